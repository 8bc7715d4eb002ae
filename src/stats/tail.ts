/**
 * How rare is a score beyond what was seen? Peaks over threshold: the excesses over a high quantile follow a generalised
 * Pareto distribution (Siffer et al. 2017, "Anomaly detection in streams with extreme value theory", §3). A shape of
 * zero is the exponential, the safer choice when few peaks are at hand.
 */
import { mean, sorted } from './quantile.js';

export interface Tail {
  /** Scores above it are the tail … */
  readonly threshold: number;
  /** … which is this share of all. */
  readonly share: number;
  /** γ of the generalised Pareto distribution; 0 = exponential. */
  readonly shape: number;
  /** σ, in the unit of the scores. */
  readonly scale: number;
}

export interface TailOptions {
  /** Share of the scores that makes the tail. */
  readonly share: number;
  readonly shape: 'exponential' | 'pareto';
}

const PEAKS_MINIMUM = 10;
/** Further out an extrapolation says nothing. */
const SMALLEST_P = 1e-9;

/** Fits the tail of scores; undefined when there are too few of them, or nothing exceeds the threshold. */
export function fitTail(scores: ArrayLike<number>, { share, shape }: TailOptions): Tail | undefined {
  const peaks = Math.max(PEAKS_MINIMUM, Math.floor(scores.length * share));
  if (scores.length < 2 * peaks) return undefined;
  const ascending = sorted(scores);
  const threshold = ascending[ascending.length - peaks - 1]!;
  const excesses = ascending.subarray(ascending.length - peaks).map((score) => score - threshold);
  const scale = mean(excesses);
  if (!(scale > 0)) return undefined;
  const base = { threshold, share: peaks / ascending.length, shape: 0, scale };
  return shape === 'exponential' ? base : { ...base, ...fitPareto(excesses, scale) };
}

const LADDER = 48;

/**
 * Maximum likelihood by Grimshaw's reduction: with θ = γ / σ the best γ is mean(log(1 + θ y)), so one unknown is left,
 * looked for on a ladder between −1 / max(y) and 100 / mean(y). Shapes below −1/2 (likelihood unbounded) and from 1 up
 * (no mean) are left out; θ = 0 is the exponential.
 */
function fitPareto(excesses: Float64Array, average: number): Pick<Tail, 'shape' | 'scale'> {
  const largest = excesses.at(-1)!;
  let best = { shape: 0, scale: average };
  let bestLikelihood = -(Math.log(average) + 1);
  for (let rung = 1; rung <= 2 * LADDER; rung++) {
    const theta = rung < LADDER ? -rung / LADDER / largest : 10 ** (-2 + (4 * (rung - LADDER)) / LADDER) / average;
    const shape = mean(excesses.map((excess) => Math.log1p(theta * excess)));
    const likelihood = -(Math.log(shape / theta) + shape + 1);
    if (!(likelihood > bestLikelihood) || shape <= -0.5 || shape >= 1) continue;
    bestLikelihood = likelihood;
    best = { shape, scale: shape / theta };
  }
  return best;
}

/** Chance of a score at least as large as `score`, which lies above the tail's threshold. */
export function tailPValue({ threshold, share, shape, scale }: Tail, score: number): number {
  const excess = (score - threshold) / scale;
  const beyond = Math.abs(shape) < 1e-6 ? Math.exp(-excess) : Math.max(0, 1 + shape * excess) ** (-1 / shape);
  return Math.max(SMALLEST_P, share * beyond);
}

/** The score that is exceeded with chance `p`, which is smaller than the tail's share: z_q of the paper, equation 1. */
export function tailQuantile({ threshold, share, shape, scale }: Tail, p: number): number {
  const ratio = share / p;
  return threshold + scale * (Math.abs(shape) < 1e-6 ? Math.log(ratio) : (ratio ** shape - 1) / shape);
}
