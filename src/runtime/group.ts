/**
 * One verdict on many sensors: is what they say together unusual? Residuals against a forecast are smoothed, laid on the
 * principal components of quiet times, and summed up in two numbers: Hotelling's T² within the components and Q, the
 * squared prediction error, outside of them (Chiang, Russell & Braatz 2001, "Fault Detection and Diagnosis in Industrial
 * Systems", §4.3; Lowry et al. 1992 for the smoothing). Each is held against the tail of its values in training.
 */
import { eigenSymmetric } from '../stats/eigen.js';
import { mean } from '../stats/quantile.js';
import { fitTail, tailPValue } from '../stats/tail.js';
import type { Tail } from '../stats/tail.js';

/**
 * `forecast`: each sensor against the forecast of exponential smoothing. `reconstruction`: against its mean in training,
 * so that what counts is whether the sensors still fit together.
 */
export type GroupMode = 'forecast' | 'reconstruction';

/** What was learned from quiet times; plain data. */
export interface GroupModel {
  /** How fast each sensor's level follows its values; 0 = the level stays. [sensor] */
  readonly gains: readonly number[];
  /** Usual size of a residual, in the sensor's unit. [sensor] */
  readonly spreads: readonly number[];
  /** Usual size of a smoothed residual, in spreads. [sensor] */
  readonly smoothedSpreads: readonly number[];
  /** Directions that sensors usually move in, each with the variance found there. */
  readonly components: readonly { readonly variance: number; readonly direction: readonly number[] }[];
  readonly hotelling: Tail | null;
  readonly residual: Tail | null;
}

/** What is carried from row to row; plain data. */
export interface GroupState {
  readonly levels: readonly number[];
  readonly smoothed: readonly number[];
}

export interface GroupVerdict {
  /** The smaller chance of T² and Q. */
  readonly p: number;
  /** √T² and √Q. */
  readonly hotelling: number;
  readonly residual: number;
  /** The sensor that is furthest out, and what was expected of it. */
  readonly sensor: number;
  readonly expected: number;
  readonly spread: number;
}

const GAINS = [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1];
/** A level may follow its sensor faster only if that takes a tenth off the squared error: else it would follow a fault too. */
const WORTH = 1.1;
/** Rows until a level has settled. */
const SETTLE = 50;
/** Weight of the newest residual. */
const SMOOTHING = 0.2;
/** Share of the variance that the components explain. */
const EXPLAINED = 0.8;
const TAIL = { share: 0.1, shape: 'exponential' } as const;

/** Rows that `fitGroup` needs at least. */
export const groupMinimum = 4 * SETTLE;

/** Learns from rows of quiet times, [time][sensor], without holes; gives the state after them too. */
export function fitGroup(
  rows: readonly (readonly number[])[],
  mode: GroupMode = 'forecast',
): { readonly model: GroupModel; readonly state: GroupState } {
  const sensors = rows[0]!.map((_, sensor) => rows.map((row) => row[sensor]!));
  const start: GroupState = { levels: sensors.map(mean), smoothed: sensors.map(() => 0) };
  const gains = sensors.map((values, i) => (mode === 'reconstruction' ? 0 : chooseGain(values, start.levels[i]!)));
  const spreads = sensors.map((values, i) => spreadOf(residuals(values, start.levels[i]!, gains[i]!).slice(SETTLE)));
  const bare = {
    gains,
    spreads,
    smoothedSpreads: spreads.map(() => 1),
    components: [],
    hotelling: null,
    residual: null,
  };

  const walk = (model: GroupModel): { score: Score; state: GroupState }[] => {
    let state = start;
    return rows.map((row) => {
      const score = scoreOf(model, state, row);
      state = score.state;
      return { score, state };
    });
  };
  const smoothed = walk(bare)
    .map(({ state }) => state.smoothed)
    .slice(SETTLE);
  const smoothedSpreads = spreads.map((_, i) => spreadOf(smoothed.map((row) => row[i]!)));
  const standard = smoothed.map((row) => row.map((value, i) => value / smoothedSpreads[i]!));
  const components = principal(standard);
  const shaped = { ...bare, smoothedSpreads, components };
  const walked = walk(shaped);
  const quiet = walked.slice(SETTLE);
  const tailOf = (name: 'hotelling' | 'residual'): Tail | null =>
    fitTail(
      quiet.map(({ score }) => score[name]),
      TAIL,
    ) ?? null;
  const model = { ...shaped, hotelling: tailOf('hotelling'), residual: tailOf('residual') };
  return { model, state: walked.at(-1)!.state };
}

/** The verdict on the next row, [sensor], and the state after it. */
export function judgeGroup(
  model: GroupModel,
  state: GroupState,
  row: readonly number[],
): { readonly verdict: GroupVerdict; readonly state: GroupState } {
  const { hotelling, residual, standard, state: next } = scoreOf(model, state, row);
  const sizes = standard.map(Math.abs);
  const sensor = sizes.indexOf(Math.max(...sizes));
  const verdict = {
    p: Math.min(chance(model.hotelling, hotelling), chance(model.residual, residual)),
    hotelling,
    residual,
    sensor,
    expected: state.levels[sensor]!,
    spread: model.spreads[sensor]!,
  };
  return { verdict, state: next };
}

interface Score {
  readonly hotelling: number;
  readonly residual: number;
  /** Smoothed residuals in their usual sizes. [sensor] */
  readonly standard: readonly number[];
  readonly state: GroupState;
}

function scoreOf(
  { gains, spreads, smoothedSpreads, components }: GroupModel,
  state: GroupState,
  row: readonly number[],
): Score {
  const gaps = row.map((value, i) => value - state.levels[i]!);
  const levels = state.levels.map((level, i) => level + gains[i]! * gaps[i]!);
  const smoothed = state.smoothed.map((old, i) => old + SMOOTHING * (gaps[i]! / spreads[i]! - old));
  const standard = smoothed.map((value, i) => value / smoothedSpreads[i]!);
  let within = 0;
  let left = dot(standard, standard);
  for (const { variance, direction } of components) {
    const along = dot(direction, standard);
    within += along ** 2 / variance;
    left -= along ** 2;
  }
  return {
    hotelling: Math.sqrt(within),
    residual: Math.sqrt(Math.max(0, left)),
    standard,
    state: { levels, smoothed },
  };
}

/** Below the tail the chance falls evenly with the score; nothing is decided there. */
function chance(tail: Tail | null, score: number): number {
  if (tail === null) return 1;
  return score > tail.threshold ? tailPValue(tail, score) : 1 - (1 - tail.share) * (score / tail.threshold);
}

function residuals(values: readonly number[], start: number, gain: number): number[] {
  let level = start;
  return values.map((value) => {
    const gap = value - level;
    level += gain * gap;
    return gap;
  });
}

/** The slowest level whose forecasts one step ahead are nearly the best. */
function chooseGain(values: readonly number[], start: number): number {
  const errors = GAINS.map((gain) => spreadOf(residuals(values, start, gain).slice(SETTLE)) ** 2);
  const enough = WORTH * Math.min(...errors);
  return GAINS[errors.findIndex((error) => error <= enough)]!;
}

/** Root mean square; tiny instead of zero, so that the first move of a sensor that never moved stands out. */
const spreadOf = (values: readonly number[]): number =>
  Math.max(Math.sqrt(mean(values.map((value) => value ** 2))), 1e-9);

function principal(rows: readonly (readonly number[])[]): GroupModel['components'] {
  const correlation = rows[0]!.map((_, i) => rows[0]!.map((__, j) => mean(rows.map((row) => row[i]! * row[j]!))));
  const { values, vectors } = eigenSymmetric(correlation);
  const total = values.reduce((sum, value) => sum + value, 0);
  let explained = 0;
  return values.flatMap((variance, i) => {
    if (explained >= EXPLAINED * total) return [];
    explained += variance;
    return [{ variance, direction: vectors[i]! }];
  });
}

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
