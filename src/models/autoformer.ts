import { z } from 'zod';
import {
  add,
  broadcastTo,
  constant,
  matmul,
  mean,
  mul,
  pad,
  reshape,
  slice,
  softmax,
  sub,
  transpose,
  where,
  type Tensor,
} from '../graph/index.js';
import {
  decompositionHyperparameters,
  decompositionParameter,
  decompositionReference,
  decompositionTransformer,
} from './blocks/decomposition-transformer.js';
import { frequencyCount, spectrumOf, valuesOf } from './blocks/dft.js';
import { largest } from './blocks/largest.js';
import { seasonsFit, seasonsOf, selectionOf } from './blocks/selection.js';
import { attentionLayer, headsFit, shareFits, type Attend, type Mix, transformerSearch } from './blocks/transformer.js';
import { defineModel, task } from './model.js';

/**
 * Autoformer: the window is laid over itself at the few delays at which it repeats best, and trend is taken out of every
 * layer. For data with one strong period. In training all windows of a batch share their delays.
 */
export const autoformer = defineModel({
  id: 'autoformer',
  title: 'Autoformer',
  paper: 'https://arxiv.org/abs/2106.13008',
  capabilities: { series: 'one', covariates: ['future'], mode: 'direct', quantization: 'C' },

  search: { ...transformerSearch, factor: [1, 3, 5] },
  hyperparameters: task
    .extend({
      ...decompositionHyperparameters,
      factor: z.number().gt(0).default(3).describe('delays used, per logarithm of the window'),
      ...selectionOf('which delays: those that the data repeats at, or (static) fixed ones'),
      ...seasonsOf('delays that are evenly spread'),
    })
    .refine(...headsFit)
    .refine(...shareFits)
    .refine(...seasonsFit),

  build(g, inputs, options) {
    const { heads } = options;
    // Every delay scores the same with and without these biases; the trend that is taken out has the constant of the others.
    const constantsGo = !g.training || options.dropout === 0;
    const correlate =
      (encoder: boolean): Attend =>
      (part, x, source) => {
        const whole = (source.shape[1] as number) >= (x.shape[1] as number);
        return attentionLayer(part, x, source, autoCorrelation(options), {
          heads,
          idle: [
            'query',
            ...(whole ? (['key'] as const) : []),
            ...(encoder && constantsGo ? (['value', 'output'] as const) : []),
          ],
        });
      };
    const attend = { encoder: correlate(true), self: correlate(false), cross: correlate(false) };
    return decompositionTransformer(g, inputs, attend, options); // [batch, horizon, outputs]
  },

  reference: {
    model: 'Autoformer',
    hyperparameters: { ...decompositionReference, factor: 'factor' },
    parameter: decompositionParameter,
  },
});

const huge = 3e38;

interface Choice {
  readonly factor: number;
  readonly selection: 'data' | 'static';
  readonly seasons: readonly number[];
}

/** The values, delayed by the delays at which queries and keys agree best, and weighted by how well they do. */
const autoCorrelation =
  ({ factor, selection, seasons }: Choice): Mix =>
  (g, { query, key, value }) => {
    const tokens = query.shape[2] as number;
    const correlation = correlationOf(query, fitted(key, tokens)); // [batch, delay]
    const delays = correlation.shape[1] as number;
    const count = Math.max(1, Math.min(Math.floor(factor * Math.log(tokens)), delays));
    const shared = g.training ? mean(correlation, { axes: [0], keep: true }) : correlation;
    const used = selection === 'static' ? fixedDelays(delays, count, seasons) : largest(shared, count);
    const weights = softmax(where(used, correlation, -huge), { axis: -1 }); // [batch, delay]
    const mixed = matmul(turned(fitted(weights, tokens, 1), tokens), fitted(value, tokens)); // [batch, head, token, width]
    return transpose(mixed, { order: [0, 2, 1, 3] }); // [batch, token, head, width]
  };

/** 1 at no delay, at whole seasons, and at evenly spread delays until there are enough. `[delay]` */
function fixedDelays(delays: number, count: number, seasons: readonly number[]): Tensor {
  const whole = seasons.flatMap((steps) =>
    Array.from({ length: Math.ceil(delays / steps) - 1 }, (_, i) => (i + 1) * steps),
  );
  const spread = Array.from({ length: delays }, (_, i) => Math.floor((i * delays) / count) % delays);
  const used = [...new Set([0, ...whole, ...spread])].slice(0, count);
  return constant(Float32Array.from({ length: delays }, (_, delay) => (used.includes(delay) ? 1 : 0)));
}

/** The first steps of an axis, or zeros after the last. */
function fitted(x: Tensor, wanted: number, axis = 2): Tensor {
  const steps = x.shape[axis] as number;
  if (steps === wanted) return x;
  if (steps > wanted) return slice(x, { axis, start: 0, end: wanted });
  return pad(x, { axis, before: 0, after: wanted - steps });
}

/**
 * How well the queries, τ steps later, agree with the keys: mean over heads and columns, by way of the frequencies.
 * `[batch, head, time, width]` → `[batch, delay]`. As in the reference an odd window has one delay less.
 */
function correlationOf(query: Tensor, key: Tensor): Tensor {
  const overTime = { order: [0, 1, 3, 2] };
  const q = spectrumOf(transpose(query, overTime)); // [batch, head, width, frequency]
  const k = spectrumOf(transpose(key, overTime));
  const folded = (x: Tensor): Tensor => mean(x, { axes: [1, 2] }); // [batch, frequency]
  const real = folded(add(mul(q.real, k.real), mul(q.imaginary, k.imaginary)));
  const imaginary = folded(sub(mul(q.imaginary, k.real), mul(q.real, k.imaginary)));
  return valuesOf({ real, imaginary }, 2 * (frequencyCount(query.shape[2] as number) - 1));
}

/**
 * Row t holds the weights turned by t: at step s that of the delay s - t. `[batch, delay]` → `[batch, 1, time, time]`.
 * Written one after the other and cut to rows of one step less than two rounds, the weights turn by themselves.
 */
function turned(weights: Tensor, tokens: number): Tensor {
  const batch = weights.shape[0]!;
  const row = 2 * tokens - 1;
  const rounds = broadcastTo(reshape(weights, { shape: [batch, 1, tokens] }), { shape: [batch, row, tokens] });
  const cut = reshape(rounds, { shape: [batch, 1, tokens, row] });
  return slice(cut, { axis: 3, start: 0, end: tokens });
}
