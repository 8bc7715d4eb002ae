/** How long is one season? The first guess of a seasonal baseline, from the data alone. */

const MAX_VALUES = 20_000;
/** Below this correlation a repeat may be chance. */
const MIN_REPEAT = 0.2;
/** Changes smaller than this share of the variance are rounding, not a season. */
const MIN_CHANGE = 0.05;

/**
 * Autocorrelation of a series without its straight-line trend at the lags 0 to `maxLag`. NaN values do not count.
 * Each sum is divided by the number of pairs it has, so that long lags are not pulled to zero.
 */
export function autocorrelation(values: ArrayLike<number>, maxLag: number): Float64Array {
  const rest = withoutTrend(values);
  const at = (lag: number): number => {
    let sum = 0;
    let count = 0;
    for (let i = lag; i < rest.length; i++) {
      const product = rest[i]! * rest[i - lag]!;
      if (Number.isNaN(product)) continue;
      sum += product;
      count++;
    }
    return count === 0 ? 0 : sum / count;
  };
  const variance = at(0);
  return Float64Array.from({ length: maxLag + 1 }, (_, lag) => (variance > 0 ? at(lag) / variance : 0));
}

function withoutTrend(values: ArrayLike<number>): Float64Array {
  let count = 0,
    sumX = 0,
    sumY = 0,
    sumXX = 0,
    sumXY = 0;
  for (let i = 0; i < values.length; i++) {
    const y = values[i]!;
    if (Number.isNaN(y)) continue;
    count++;
    sumX += i;
    sumY += y;
    sumXX += i * i;
    sumXY += i * y;
  }
  const slope = (count * sumXY - sumX * sumY) / (count * sumXX - sumX * sumX) || 0;
  const level = (sumY - slope * sumX) / count;
  return Float64Array.from(values, (y, i) => y - level - slope * i);
}

export interface SeasonOptions {
  /** Longest season to look for, in steps; default a quarter of the values, at most 1,000. */
  readonly maxLag?: number;
  /** Seasons known from the calendar (`naturalSeasons`): a guess within a tenth of one becomes that one. */
  readonly natural?: readonly number[];
}

/**
 * The season of a series in steps, or 1 when it has none. For each lag m it asks how well the change over half a
 * season, x(t) - x(t - m/2), repeats after m: such changes forget a level that wanders, which would drown the season.
 * Three seasons repeat, too, so of lags nearly as good the shortest is taken. Looks at the last 20,000 values.
 */
export function guessSeason(values: ArrayLike<number>, { maxLag = 1000, natural = [] }: SeasonOptions = {}): number {
  const length = Math.min(values.length, MAX_VALUES);
  const last = Float64Array.from({ length }, (_, i) => values[values.length - length + i]!);
  const lags = Math.min(maxLag, Math.floor(length / 4));
  const correlation = autocorrelation(last, Math.ceil(lags * 1.5) + 1);
  const at = (lag: number): number => (correlation[Math.floor(lag)]! + correlation[Math.ceil(lag)]!) / 2;

  const repeats = Float64Array.from({ length: lags + 1 }, (_, m) => {
    if (m < 2 || at(m) < at(m - 1) || at(m) < at(m + 1)) return 0; // no peak
    const change = Math.max(1 - at(m / 2), MIN_CHANGE); // variance of those changes
    return (at(m) - (at(m / 2) + at(m * 1.5)) / 2) / change;
  });
  const best = repeats.reduce((a, b) => Math.max(a, b), 0);
  if (best < MIN_REPEAT) return 1;
  const season = repeats.findIndex((repeat) => repeat >= 0.8 * best);
  return natural.find((known) => Math.abs(known - season) <= known / 10) ?? season;
}
