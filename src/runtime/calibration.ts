/**
 * How unusual is the newest bucket? It is held against what was expected one step, half a horizon and a whole horizon
 * earlier: a jump shows at once in the first, a slow drift, which one-step forecasts follow happily, only in the last.
 * Each lead has a ring of past scores; the p-value is the rank in it, continued by an exponential tail.
 */
import { adaptAlpha, createScoreRing } from '../stats/conformal.js';
import type { ScoreRing } from '../stats/conformal.js';
import { fitTail, tailPValue } from '../stats/tail.js';
import type { TailOptions } from '../stats/tail.js';
import type { Forecast } from './forecaster.js';

/** The newest bucket beside one expectation of it. */
export interface Deviation {
  /** Steps between the forecast and the bucket, from 1. */
  readonly lead: number;
  readonly expected: number;
  readonly halfWidth: number;
  /** |value − expected| / halfWidth. */
  readonly score: number;
}

export interface Surprise extends Deviation {
  /** Chance of a score at least as large, over all leads judged (Bonferroni). */
  readonly p: number;
}

export interface CalibrationSettings {
  readonly ringSize: number;
  /** Scores of the first lead before there is a verdict. */
  readonly ringMinimum: number;
  readonly gamma: number;
  /** Share of values the interval should cover. */
  readonly coverage: number;
  /** How the ranking goes on among the largest scores. */
  readonly method: keyof typeof tails;
}

export interface Calibration {
  readonly leads: readonly number[];
  /** Enough scores for a verdict? */
  readonly ready: boolean;
  /** The most surprising of the deviations; undefined when there is none. */
  surprise(deviations: readonly Deviation[]): Surprise | undefined;
  /** Takes the scores into the rings, and the hit or miss of the first lead into the adaptive interval. */
  learn(deviations: readonly Deviation[]): void;
  /** Factor on the half-width of step `step` (from 1): what the scores seen here say the interval should be. */
  stretch(step: number): number;
  /** What to store, and what `createCalibration` starts from. */
  save(): Buffer;
}

/** One step, half a horizon, a whole horizon. */
export function leadsOf(horizon: number): readonly number[] {
  return [...new Set([1, Math.ceil(horizon / 2), horizon])];
}

/** `value` beside each expectation of it that is at hand. `expectations` is keyed by the start of a forecast's first bucket. */
export function deviations(
  value: number,
  startMs: number,
  cadenceMs: number,
  leads: readonly number[],
  expectations: ReadonlyMap<number, Forecast>,
): Deviation[] {
  return leads.flatMap((lead) => {
    const forecast = expectations.get(startMs - (lead - 1) * cadenceMs);
    if (forecast === undefined) return [];
    const expected = forecast.p50[lead - 1]!;
    const halfWidth = forecast.halfWidth[lead - 1]!;
    return [{ lead, expected, halfWidth, score: Math.abs(value - expected) / halfWidth }];
  });
}

/** The interval's width is worked out anew after so many scores. */
const STRETCH_EVERY = 8;

/**
 * Share of scores at least as large as `score`. A rank among n scores cannot fall below 1 / (n + 1), so among the
 * largest ones the fitted tail goes on.
 */
export function ringPValue(ring: ScoreRing, score: number, options: TailOptions): number {
  const rank = ring.pValue(score);
  if (rank > options.share) return rank;
  const tail = fitTail(ring.scores(), options);
  return tail === undefined || !(score > tail.threshold) ? rank : tailPValue(tail, score);
}

/** `pot`: peaks over the 98 % quantile, as the paper has it. */
const tails = {
  conformal: { share: 0.05, shape: 'exponential' },
  pot: { share: 0.02, shape: 'pareto' },
} as const satisfies Record<string, TailOptions>;

/** `stored` is what `save` gave; it is left alone when it belongs to other leads. */
export function createCalibration(horizon: number, settings: CalibrationSettings, stored?: Buffer): Calibration {
  const leads = leadsOf(horizon);
  const { alpha: storedAlpha, rings: storedRings } = restore(stored, leads);
  const rings = new Map(leads.map((lead) => [lead, createScoreRing(settings.ringSize, storedRings.get(lead) ?? [])]));
  const first = rings.get(1)!;
  const target = 1 - settings.coverage;
  let alpha = storedAlpha ?? target;
  let stretches: Map<number, number> | undefined; // sorting 2,000 scores for each forecast would be waste
  let learned = 0;

  const stretchOf = (ring: ScoreRing): number => {
    if (ring.size < settings.ringMinimum) return 1;
    const quantile = ring.quantile(1 - alpha);
    return Number.isFinite(quantile) ? quantile : ring.scores().reduce((a, b) => Math.max(a, b));
  };
  const stretch = (step: number): number => {
    stretches ??= new Map(leads.map((lead) => [lead, stretchOf(rings.get(lead)!)]));
    return stretches.get(leads.find((lead) => lead >= step)!)!;
  };

  return {
    leads,
    get ready() {
      return first.size >= settings.ringMinimum;
    },
    surprise(found) {
      const judged = found.map((deviation) => ({
        ...deviation,
        p: ringPValue(rings.get(deviation.lead)!, deviation.score, tails[settings.method]),
      }));
      if (judged.length === 0) return undefined;
      const worst = judged.reduce((a, b) => (b.p < a.p ? b : a));
      return { ...worst, p: Math.min(1, worst.p * judged.length) };
    },
    learn(found) {
      for (const { lead, score } of found) {
        if (lead === 1 && first.size >= settings.ringMinimum) {
          alpha = adaptAlpha(alpha, score > stretch(1), { target, gamma: settings.gamma });
        }
        rings.get(lead)!.push(score);
      }
      if (first.size < settings.ringMinimum || ++learned % STRETCH_EVERY === 0) stretches = undefined;
    },
    stretch,
    save: () => {
      const parts = leads.map((lead) => rings.get(lead)!.scores());
      const head = Buffer.from(JSON.stringify({ alpha, rings: leads.map((lead, i) => [lead, parts[i]!.length]) }));
      const size = Buffer.alloc(4);
      size.writeUInt32LE(head.length);
      return Buffer.concat([size, head, ...parts.map((part) => Buffer.from(Float32Array.from(part).buffer))]);
    },
  };
}

interface Stored {
  readonly alpha?: number;
  readonly rings: ReadonlyMap<number, Float32Array>;
}

function restore(stored: Buffer | undefined, leads: readonly number[]): Stored {
  if (stored === undefined || stored.length < 4) return { rings: new Map() };
  const headEnd = 4 + stored.readUInt32LE(0);
  const head = JSON.parse(stored.toString('utf8', 4, headEnd)) as {
    alpha: number;
    rings: [lead: number, count: number][];
  };
  if (head.rings.some(([lead]) => !leads.includes(lead))) return { rings: new Map() };
  const rings = new Map<number, Float32Array>();
  let at = headEnd;
  for (const [lead, count] of head.rings) {
    rings.set(lead, new Float32Array(Uint8Array.from(stored.subarray(at, at + 4 * count)).buffer));
    at += 4 * count;
  }
  return { alpha: head.alpha, rings };
}
