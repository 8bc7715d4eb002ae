/** Which stretch of the number line an activation gets its 256 steps on: what calibration decides. */
import { NeuroDivergentError } from '../errors.js';

/** Values of one tensor over all calibration windows, in equal bins from `low` to `high`. Both sides reach 0. */
export interface Histogram {
  readonly low: number;
  readonly high: number;
  readonly counts: Float64Array;
}

export const methods = [
  'minmax',
  'percentile-99.999',
  'percentile-99.99',
  'percentile-99.9',
  'mse',
  'entropy',
] as const;
export type Method = (typeof methods)[number];

const bins = 4096;

/** An empty histogram over what was seen. Throws when that is nothing that can be scaled. */
export function createHistogram(where: string, low: number, high: number): Histogram {
  if (!Number.isFinite(low) || !Number.isFinite(high)) {
    throw new NeuroDivergentError('ND_QUANTIZE_SCALE_NOT_FINITE', {
      where,
      what: `Its input runs from ${low} to ${high} on the calibration windows.`,
      mend: 'Check that the FP32 model gives finite forecasts for these windows.',
    });
  }
  if (low >= high) {
    throw new NeuroDivergentError('ND_QUANTIZE_RANGE_COLLAPSED', {
      where,
      what: `Its input is ${low} on every calibration window, so it has no range to divide.`,
      mend: 'Calibrate on windows in which the series moves; if it does, the layer before is dead: train again.',
    });
  }
  return { low: Math.min(low, 0), high: Math.max(high, 0), counts: new Float64Array(bins) };
}

export function countInto({ low, high, counts }: Histogram, values: Float32Array): void {
  const perUnit = bins / (high - low);
  for (const value of values) counts[Math.min(bins - 1, Math.floor((value - low) * perUnit))]!++;
}

/** Scale and zero point of one activation; 0 is exactly representable. */
export interface ActivationScale {
  readonly dtype: 'uint8' | 'int8';
  readonly scale: readonly [number];
  readonly zero: readonly [number];
}

/** int8 has both sides alike, as GPUs want it; uint8 spends its steps where there are values. */
export function activationScale(
  histogram: Histogram,
  method: Method,
  dtype: ActivationScale['dtype'] = 'uint8',
): ActivationScale {
  const [low, high] = ranges[method](histogram);
  if (dtype === 'int8') return { dtype, scale: [Math.fround(Math.max(-low, high) / 127)], zero: [0] };
  const scale = Math.fround((high - low) / 255);
  return { dtype: 'uint8', scale: [scale], zero: [Math.min(255, Math.max(0, Math.round(-low / scale)))] };
}

type Range = readonly [low: number, high: number];

const ranges: Record<Method, (histogram: Histogram) => Range> = {
  minmax: ({ low, high }) => [low, high],
  'percentile-99.9': (histogram) => percentile(histogram, 0.999),
  'percentile-99.99': (histogram) => percentile(histogram, 0.9999),
  'percentile-99.999': (histogram) => percentile(histogram, 0.99999),
  mse: smallestError,
  entropy: smallestDivergence,
};

/** The range that `share` of the values lie below, and above; all of them when that would leave none. */
function percentile(histogram: Histogram, share: number): Range {
  const { low, high, counts } = histogram;
  const width = (high - low) / bins;
  const allowed = (1 - share) * counts.reduce((total, count) => total + count, 0);
  const edge = (order: (i: number) => number): number => {
    let outside = 0;
    let i = 0;
    while (i < bins - 1 && outside + counts[order(i)]! <= allowed) outside += counts[order(i++)]!;
    return i;
  };
  const from = Math.min(0, low + width * edge((i) => i));
  const to = Math.max(0, high - width * edge((i) => bins - 1 - i));
  return from < to ? [from, to] : [low, high];
}

/** The range with the smallest squared error among those that cut both sides by the same share. */
function smallestError(histogram: Histogram): Range {
  const { low, high, counts } = histogram;
  const width = (high - low) / bins;
  let best: { range: Range; error: number } = { range: [low, high], error: Number.POSITIVE_INFINITY };
  for (let kept = 1; kept > 0.2; kept -= 0.02) {
    const range: Range = [low * kept, high * kept];
    const scale = (range[1] - range[0]) / 255;
    let error = 0;
    for (let i = 0; i < bins; i++) {
      if (counts[i] === 0) continue;
      const value = low + (i + 0.5) * width;
      // Inside, rounding is off by scale²/12 on average; outside, by the distance to the edge.
      const over = Math.max(range[0] - value, value - range[1], 0);
      error += counts[i]! * (over > 0 ? over * over : (scale * scale) / 12);
    }
    if (error < best.error) best = { range, error };
  }
  return best.range;
}

const steps = 128;

/**
 * The range whose 128 steps tell least wrong of how the values are spread: the least Kullback-Leibler divergence between
 * their distribution, clipped into the range, and the same in steps. Both sides are cut by the same share.
 * https://on-demand.gputechconf.com/gtc/2017/presentation/s7310-8-bit-inference-with-tensorrt.pdf
 */
function smallestDivergence({ low, high, counts }: Histogram): Range {
  const zeroBin = Math.floor((-low / (high - low)) * bins);
  let best = { kept: 1, divergence: Number.POSITIVE_INFINITY };
  for (let kept = 1; kept > 0.2; kept -= 0.02) {
    const from = Math.round(zeroBin * (1 - kept));
    const to = Math.min(bins, Math.round(zeroBin + (bins - zeroBin) * kept));
    const clipped = counts.slice(from, to);
    for (let i = 0; i < from; i++) clipped[0]! += counts[i]!;
    for (let i = to; i < bins; i++) clipped[clipped.length - 1]! += counts[i]!;
    const divergence = divergenceInSteps(clipped, counts.subarray(from, to));
    if (divergence < best.divergence) best = { kept, divergence };
  }
  return [low * best.kept, high * best.kept];
}

/** Of `clipped` from `seen` in steps, each of which spreads its values evenly over the bins that hold any. */
function divergenceInSteps(clipped: Float64Array, seen: Float64Array): number {
  const total = clipped.reduce((sum, count) => sum + count, 0);
  const inside = seen.reduce((sum, count) => sum + count, 0);
  if (inside === 0) return Number.POSITIVE_INFINITY;
  let divergence = 0;
  for (let step = 0; step < steps; step++) {
    const [from, to] = [step, step + 1].map((s) => Math.floor((s * clipped.length) / steps)) as [number, number];
    let sum = 0;
    let filled = 0;
    for (let i = from; i < to; i++) {
      sum += seen[i]!;
      if (clipped[i]! > 0) filled++;
    }
    // A bin that only clipping filled is there in the one distribution alone: it costs as a value of half a count would.
    const share = Math.max(sum, 0.5) / filled / inside;
    for (let i = from; i < to; i++)
      if (clipped[i]! > 0) divergence += (clipped[i]! / total) * Math.log(clipped[i]! / total / share);
  }
  return divergence;
}
