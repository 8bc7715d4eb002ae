/**
 * What a student pays: its own loss against the truth, and the distance from its teacher in time, at several scales, and in
 * frequency. Multi-scale and multi-period terms: https://arxiv.org/abs/2502.15016
 */
import {
  add,
  addAll,
  constant,
  exp,
  log,
  max,
  mean,
  mul,
  reshape,
  slice,
  sqrt,
  square,
  stopGradient,
  sub,
  sum,
  swapLast,
  type Tensor,
} from '../graph/index.js';
import type { Loss } from '../losses/index.js';
import { frequencyCount, spectrumOf } from '../models/blocks/dft.js';
import { pool } from '../models/blocks/pooling.js';
import type { DistillSettings } from './settings.js';

/** A column of the student's forecast that learns from one of the teacher's. */
export type ColumnPair = readonly [student: number, teacher: number];

/** Columns of equal quantile levels; where there are none, point and point. */
export function pairColumns(
  student: Pick<Loss, 'quantiles' | 'point'>,
  teacher: Pick<Loss, 'quantiles' | 'point'>,
): readonly ColumnPair[] {
  const pairs = student.quantiles.flatMap((q, own) => {
    const theirs = teacher.quantiles.findIndex((other) => Math.abs(other - q) < 1e-9);
    return theirs < 0 ? [] : [[own, theirs] as const];
  });
  return pairs.length > 0 ? pairs : [[student.point, teacher.point]];
}

type Weights = Pick<DistillSettings, 'alpha' | 'truth' | 'scales' | 'spectrum' | 'tilt'>;

/** truth · loss + alpha · (multi-scale + spectrum · divergence of spectra), the second mean over the pairs of columns. */
export function taughtLoss(loss: Loss, pairs: readonly ColumnPair[], columns: number, weights: Weights): Loss {
  const { alpha, truth } = weights;
  return {
    ...loss,
    loss: (g, inputs) => {
      const own = loss.loss(g, inputs);
      const { teacher, forecast, units, target } = inputs;
      if (teacher === undefined) return own; // a look at the validation part
      const [batch, count, series] = target.shape as [number, number, number];
      const horizon = (teacher.shape[1] as number) / columns;
      const decoded = loss.decode(g, forecast, units); // [batch, count, series·own columns], series by series
      const width = (decoded.shape[2] as number) / series;
      const bySeries = reshape(decoded, { shape: [batch, count, series, width] });
      const distances = pairs.map(([mine, theirs]) => {
        const column = reshape(slice(bySeries, { axis: 3, start: mine, end: mine + 1 }), {
          shape: [batch, count, series],
        });
        const start = theirs * horizon;
        const taught = slice(teacher, { axis: 1, start, end: start + count });
        return distance(units.apply(column), taught, weights);
      });
      return add(mul(own, truth), mul(addAll(distances), alpha / pairs.length));
    },
  };
}

/** `[batch, time, series]` both, in scaled units. */
function distance(student: Tensor, teacher: Tensor, { scales, spectrum, tilt }: Weights): Tensor {
  const time = student.shape[1] as number;
  const late = constant(stepWeights(time, tilt), [1, time, 1]);
  const widths = Array.from({ length: scales }, (_, k) => 2 ** k).filter((width) => width <= time);
  const inTime = widths.map((width) => {
    const error = square(sub(pool(student, width, 'average'), pool(teacher, width, 'average')));
    return mean(mul(error, pool(late, width, 'average')), { axes: [0, 1, 2] });
  });
  const multiScale = mul(addAll(inTime), 1 / widths.length);
  if (spectrum === 0 || frequencyCount(time) < 3) return multiScale;
  return add(multiScale, mul(spectralDivergence(student, teacher), spectrum));
}

/** softmax(tilt · t / (H - 1)) · H: a mean of 1. */
export function stepWeights(horizon: number, tilt: number): number[] {
  const raw = Array.from({ length: horizon }, (_, step) => Math.exp((tilt * step) / Math.max(1, horizon - 1)));
  const total = raw.reduce((a, b) => a + b, 0);
  return raw.map((value) => (value * horizon) / total);
}

/** How sharply amplitudes are told apart. */
const temperature = 0.5;

/** KL(softmax(|F teacher| / 0.5) ‖ softmax(|F student| / 0.5)) without the constant frequency, mean over batch and series. */
function spectralDivergence(student: Tensor, teacher: Tensor): Tensor {
  const [theirs, mine] = [logShares(teacher), logShares(student)];
  const divergence = sum(mul(exp(theirs), sub(theirs, mine)), { axes: [2] });
  return mean(divergence, { axes: [0, 1] });
}

/** `[batch, time, series]` → `[batch, series, frequencies - 1]`, the logarithm of a softmax. */
function logShares(x: Tensor): Tensor {
  const { real, imaginary } = spectrumOf(swapLast(x));
  const count = real.shape[2] as number;
  const amplitude = sqrt(add(add(square(real), square(imaginary)), 1e-8)); // the root has no slope at 0
  const scores = mul(slice(amplitude, { axis: 2, start: 1, end: count }), 1 / temperature);
  const [batch, series] = scores.shape as [number, number];
  const top = stopGradient(reshape(max(scores, { axis: 2 }), { shape: [batch, series, 1] }));
  const shifted = sub(scores, top);
  return sub(shifted, log(sum(exp(shifted), { axes: [2], keep: true })));
}
