/**
 * What a new model has shown of itself, in the shadow or on probation, and when that is enough to give it up (EDGE.md
 * §12). Pure sums and shares: they lie in the record of the line, so a restart goes on counting.
 */
import type { Manifest } from '../contracts/manifest.js';
import type { Interval, Run } from './forecaster.js';
import type { Step } from './lane.js';

/** Sums over everything that was seen of a candidate; `active…` is the model that ran while it was a shadow. */
const nothing = {
  /** Windows it has forecast; of these, slower than `SLOW` times its budget, and too late to be of use. */
  forecasts: 0,
  slow: 0,
  missed: 0,
  /** Milliseconds of inference. */
  ms: 0,
  /** Memory that its forecasts have taken for good or for a moment, as a share of its budget. */
  memory: 0,
  /** Values that met an interval one step ahead, how many of them lay inside, and how many should have. */
  judged: 0,
  inside: 0,
  promised: 0,
  /** Windows for which a shadow had no time. */
  skipped: 0,
  activeForecasts: 0,
  activeJudged: 0,
  activeInside: 0,
  /** Buckets that both models had forecast from the same windows, and their absolute errors, means over the steps ahead. */
  pairs: 0,
  error: 0,
  activeError: 0,
};

export type Tally = Readonly<Record<keyof typeof nothing, number>>;
/** What one look adds to a tally. */
export type Evidence = Partial<Tally>;

export const newTally: Tally = nothing;

const names = Object.keys(nothing) as (keyof Tally)[];

/** Sums stay finite, whatever a sensor or a model says: they are stored as JSON. */
export const addEvidence = (tally: Tally, seen: Evidence): Tally =>
  Object.fromEntries(
    names.map((name) => [name, Math.min((tally[name] ?? 0) + (seen[name] ?? 0), Number.MAX_VALUE)]),
  ) as Tally;

/** What a shadow's time says of the probation that follows: how it compares. All else is counted anew, unheard of before. */
export const afterShadow = ({ skipped, activeForecasts, pairs, error, activeError }: Tally): Tally => ({
  ...newTally,
  ...{ skipped, activeForecasts, pairs, error, activeError },
});

const SLOW = 1.5;

/** What one forecast says. */
export const runEvidence = ({ inferenceMs, grownBytes }: Run, { p95Ms, rssMb }: Manifest['budget']): Evidence => ({
  forecasts: 1,
  ms: inferenceMs,
  slow: Number(inferenceMs > SLOW * p95Ms),
  memory: grownBytes / (1024 * 1024 * Math.max(rssMb, 1)),
});

/** What the newest value says of the interval that was forecast for it. */
export const intervalEvidence = (interval: Interval | undefined): Evidence =>
  interval === undefined ? {} : { judged: 1, inside: Number(interval.inside), promised: interval.coverage };

/** What a bucket says of the model that serves: its forecast may have come too late. */
export const stepEvidence = ({ run, interval }: Step, budget: Manifest['budget'], isLate: boolean): Evidence => ({
  ...(run().forecast !== undefined && { ...runEvidence(run(), budget), missed: Number(isLate) }),
  ...intervalEvidence(interval),
});

export interface Rule {
  readonly what: string;
  /** Gives the candidate up when `part` is more than `limit` of `whole`, once there are `atLeast` of `counted`. */
  readonly part: (tally: Tally) => number;
  readonly whole: keyof Tally | 1;
  readonly limit: number;
  /** How much more chance alone may make of `part`. */
  readonly chance?: (tally: Tally) => number;
  readonly counted: keyof Tally;
  readonly atLeast: number;
  /** What burdens the machine ends a shadow too; what its forecasts are worth is judged when they are to be heard. */
  readonly judges: 'burden' | 'worth';
}

/** Of how many values an interval holds: a good model must not go for a bad hour. */
const threeDeviations = ({ judged, promised }: Tally): number => 3 * Math.sqrt(promised * (1 - promised / judged));

/** That more than 5 % are slower is the same as a 95th percentile that is slower. */
export const rules: readonly Rule[] = [
  { what: `forecasts slower than ${SLOW} times the budget`, part: ({ slow }) => slow, whole: 'forecasts', limit: 0.05, counted: 'forecasts', atLeast: 100, judges: 'burden' },
  { what: 'memory taken by forecasts, of the budget', part: ({ memory }) => memory, whole: 1, limit: 1, counted: 'forecasts', atLeast: 1, judges: 'burden' },
  { what: 'missed deadlines', part: ({ missed }) => missed, whole: 'forecasts', limit: 0.01, counted: 'forecasts', atLeast: 100, judges: 'worth' },
  // Below 100, since the last forecasts of a probation have not met their values when it ends.
  { what: 'values inside the interval, away from what it promises', part: ({ inside, promised }) => Math.abs(inside - promised), whole: 'judged', limit: 0.1, chance: threeDeviations, counted: 'judged', atLeast: 90, judges: 'worth' },
  { what: 'error, of that of the model before', part: ({ error }) => error, whole: 'activeError', limit: 1.1, counted: 'pairs', atLeast: 100, judges: 'worth' },
]; // prettier-ignore

/** Sums of shares are not exact. */
const ROUNDING = 1e-9;

/** Why a candidate must go; undefined while nothing speaks against it. A shadow is judged by its burden alone. */
export function disproof(tally: Tally, judges?: Rule['judges']): string | undefined {
  for (const rule of rules) {
    if (judges !== undefined && rule.judges !== judges) continue;
    const seen = tally[rule.counted];
    const part = rule.part(tally);
    const whole = rule.whole === 1 ? 1 : tally[rule.whole];
    const limit = rule.limit * whole * (1 + ROUNDING) + (rule.chance?.(tally) ?? 0);
    if (seen < rule.atLeast || !(part > limit)) continue;
    const percent = (share: number): string => `${Number((100 * share).toPrecision(3))} %`;
    return `${rule.what}: ${percent(part / whole)} over ${seen} ${rule.counted}, at most ${percent(limit / whole)} is allowed`;
  }
  return undefined;
}

/** A tally for people and fleets: counts and shares. */
export function reportedMetrics(tally: Tally, isShadow: boolean): Record<string, number> {
  const { forecasts, slow, missed, ms, memory, judged, inside, pairs, error, activeError } = tally;
  const { skipped, activeForecasts, activeJudged, activeInside } = tally;
  const own = {
    forecasts,
    meanMs: ms / forecasts,
    slow: slow / forecasts,
    missed: missed / forecasts,
    memory,
    coverage: inside / judged,
  };
  const beside = {
    skipped,
    activeForecasts,
    pairs,
    mae: error / pairs,
    activeMae: activeError / pairs,
    errorRatio: error / activeError,
    activeCoverage: activeInside / activeJudged,
  };
  const shown = isShadow || activeForecasts > 0 ? { ...own, ...beside } : own;
  return Object.fromEntries(Object.entries(shown).filter(([, value]) => Number.isFinite(value)));
}
