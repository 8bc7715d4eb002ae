/** The yardstick of the M4 contest: the last value, where a season shows with the season taken off and put on again. */

/** 90 % of the autocorrelations of noise lie below so many standard errors. */
const seasonalDeviations = 1.645;
/** Fewer seasons show nothing. */
const seasonsMin = 3;

/**
 * Forecasts `horizon` steps from a whole series without gaps. A series with a value that is not positive is not adjusted,
 * since its seasons do not multiply (https://doi.org/10.1016/j.ijforecast.2019.04.014, appendix).
 */
export function naive2(values: ArrayLike<number>, horizon: number, season: number): Float32Array {
  const figure = isSeasonal(values, season) ? seasonalFigure(values, season) : [1];
  const last = values.length - 1;
  const level = values[last]! / figure[last % figure.length]!;
  return Float32Array.from({ length: horizon }, (_, h) => level * figure[(last + 1 + h) % figure.length]!);
}

/** Is the autocorrelation at a season beyond what chance makes of the shorter lags? */
function isSeasonal(values: ArrayLike<number>, season: number): boolean {
  const { length } = values;
  if (season < 2 || length < seasonsMin * season || Array.from(values).some((value) => !(value > 0))) return false;
  const mean = Array.from(values).reduce((sum, value) => sum + value, 0) / length;
  const at = (lag: number): number => {
    let sum = 0;
    for (let i = lag; i < length; i++) sum += (values[i]! - mean) * (values[i - lag]! - mean);
    return sum;
  };
  const variance = at(0);
  if (variance === 0) return false;
  let squares = 0;
  for (let lag = 1; lag < season; lag++) squares += (at(lag) / variance) ** 2;
  return Math.abs(at(season) / variance) > seasonalDeviations * Math.sqrt((1 + 2 * squares) / length);
}

/** Factors of the steps of a season, with mean 1: classical decomposition by a centred moving average. */
function seasonalFigure(values: ArrayLike<number>, season: number): number[] {
  const half = Math.floor(season / 2);
  const weights = Array.from({ length: 2 * half + 1 }, (_, i) => (season % 2 === 0 && (i === 0 || i === 2 * half) ? 0.5 : 1) / season); // prettier-ignore
  const sums = new Array<number>(season).fill(0);
  const counts = new Array<number>(season).fill(0);
  for (let i = half; i < values.length - half; i++) {
    const trend = weights.reduce((sum, weight, k) => sum + weight * values[i - half + k]!, 0);
    sums[i % season]! += values[i]! / trend;
    counts[i % season]! += 1;
  }
  const means = sums.map((sum, i) => sum / counts[i]!);
  const mean = means.reduce((sum, value) => sum + value, 0) / season;
  return means.map((value) => value / mean);
}
