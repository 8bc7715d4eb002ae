/**
 * A stream without a model: what would simple forecasts have expected? Two things are asked of every bucket. Is it far
 * from the forecast that has lately been the best of a few simple ones? And has the level of the last buckets left the
 * level of a long time? Each gap is ranked among the gaps before it.
 */
import { createScoreRing } from '../stats/conformal.js';
import { ringPValue } from './calibration.js';

/** Everything a baseline remembers; plain data. */
export interface BaselineMemory {
  /** Exponential means, one for each of `LEVEL_GAINS`. */
  readonly levels: number[];
  /** By phase of the day and of the week; null = not seen yet. */
  readonly seasons: (number | null)[][];
  /** Mean absolute error of each forecast; null = none made yet. */
  readonly errors: (number | null)[];
  /** Level of the last buckets, of a long time, and the usual gap between them. */
  fast: number;
  slow: number;
  levelError: number;
  /** Gaps so far, oldest first: to the forecast, and between the levels. */
  readonly gaps: readonly number[];
  readonly levelGaps: readonly number[];
}

export interface BaselineVerdict {
  /** Chance of so large a gap; the smaller one of the two questions. */
  readonly p: number;
  readonly against: 'forecast' | 'level';
  /** The bucket, or the level of the last buckets. */
  readonly value: number;
  readonly expected: number;
  /** Twice the usual gap: about 90 % of the gaps are smaller. */
  readonly halfWidth: number;
}

export interface Baseline {
  /** Enough buckets for a verdict? */
  readonly ready: boolean;
  /** The verdict on the next bucket, which is then learned; undefined while not ready. */
  judge(startMs: number, value: number): BaselineVerdict | undefined;
  /** Undefined before the first bucket. */
  save(): BaselineMemory | undefined;
}

/** The last value, and means over some ten and some hundred buckets. */
const LEVEL_GAINS = [1, 0.1, 0.01];
const DAY_MS = 86_400_000;
const SEASONS_MS = [DAY_MS, 7 * DAY_MS];
const SEASON_GAIN = 0.3;
/** A week of minutes: longer seasons are not learned. */
const PHASES_MAXIMUM = 10_080;
/** Weight of the newest error when forecasts are compared: a memory of 200 buckets. */
const ERROR_GAIN = 0.005;
/** The levels compared: over some ten buckets and over some three hundred. */
const FAST_GAIN = 0.1;
const SLOW_GAIN = 0.003;
const RING_SIZE = 4000;
const RING_MINIMUM = 100;
const TAIL = { share: 0.1, shape: 'exponential' } as const;

export function createBaseline(cadenceMs: number, stored?: BaselineMemory): Baseline {
  const phases = SEASONS_MS.map((seasonMs) => Math.round(seasonMs / cadenceMs)).filter((n) => n <= PHASES_MAXIMUM);
  const gaps = createScoreRing(RING_SIZE, stored?.gaps);
  const levelGaps = createScoreRing(RING_SIZE, stored?.levelGaps);
  let memory = stored;

  /** The smaller chance; both gaps are learned. */
  function rank(pairs: readonly BaselineVerdict[]): BaselineVerdict | undefined {
    const judged = pairs.flatMap((pair) => {
      const ring = pair.against === 'forecast' ? gaps : levelGaps;
      const gap = Math.abs(pair.value - pair.expected);
      const p = ring.size < RING_MINIMUM ? undefined : ringPValue(ring, gap, TAIL);
      ring.push(gap);
      return p === undefined ? [] : [{ ...pair, p }];
    });
    return judged.length === 0 ? undefined : judged.reduce((a, b) => (b.p < a.p ? b : a));
  }

  return {
    get ready() {
      return levelGaps.size >= RING_MINIMUM;
    },
    judge(startMs, value) {
      memory ??= begin(value, phases);
      const { levels, seasons, errors } = memory;
      const places = phases.map((count) => Math.round(startMs / cadenceMs) % count);
      const forecasts = [...levels, ...seasons.map((season, i) => season[places[i]!]!)];
      const best = bestOf(forecasts, errors);
      memory.fast += FAST_GAIN * (value - memory.fast);
      const level = { value: memory.fast, expected: memory.slow, halfWidth: 2 * memory.levelError };
      const verdict = rank([
        ...(best === undefined
          ? []
          : [{ p: 1, against: 'forecast' as const, value, expected: forecasts[best]!, halfWidth: 2 * errors[best]! }]),
        { p: 1, against: 'level', ...level },
      ]);
      learn(memory, value, forecasts, places);
      return verdict;
    },
    save: () => memory && { ...memory, gaps: rounded(gaps.scores()), levelGaps: rounded(levelGaps.scores()) },
  };
}

function begin(value: number, phases: readonly number[]): BaselineMemory {
  return {
    levels: LEVEL_GAINS.map(() => value),
    seasons: phases.map((count) => Array.from({ length: count }, () => null)),
    errors: [...LEVEL_GAINS, ...phases].map(() => null),
    fast: value,
    slow: value,
    levelError: 0,
    gaps: [],
    levelGaps: [],
  };
}

/** The forecast at hand with the smallest error so far. */
function bestOf(forecasts: readonly (number | null)[], errors: readonly (number | null)[]): number | undefined {
  let best: number | undefined;
  forecasts.forEach((forecast, i) => {
    if (forecast === null || errors[i] === null) return;
    if (best === undefined || errors[i]! < errors[best]!) best = i;
  });
  return best;
}

function learn(
  memory: BaselineMemory,
  value: number,
  forecasts: readonly (number | null)[],
  places: readonly number[],
): void {
  const { levels, seasons, errors } = memory;
  forecasts.forEach((forecast, i) => {
    if (forecast === null) return;
    const error = Math.abs(value - forecast);
    errors[i] = errors[i] === null ? error : errors[i]! + ERROR_GAIN * (error - errors[i]!);
  });
  LEVEL_GAINS.forEach((gain, i) => (levels[i]! += gain * (value - levels[i]!)));
  seasons.forEach((season, i) => {
    const known = season[places[i]!];
    season[places[i]!] = known === null ? value : known! + SEASON_GAIN * (value - known!);
  });
  memory.levelError += ERROR_GAIN * (Math.abs(memory.fast - memory.slow) - memory.levelError);
  memory.slow += SLOW_GAIN * (value - memory.slow);
}

/** Single precision is plenty for ranks, and half the bytes. */
const rounded = (scores: Float64Array): number[] => Array.from(scores, (score) => Number(score.toPrecision(6)));
