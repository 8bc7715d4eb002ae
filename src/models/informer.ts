import { z } from 'zod';
import {
  add,
  constant,
  div,
  elu,
  gather,
  greater,
  matmul,
  max,
  mean,
  mul,
  pad,
  reshape,
  rows,
  slice,
  softmax,
  stopGradient,
  sub,
  sum,
  swapLast,
  where,
  type Scope,
  type Tensor,
} from '../graph/index.js';
import { batchNorm } from './blocks/batch-norm.js';
import { circularConvolution, dataEmbedding } from './blocks/embedding.js';
import { largest } from './blocks/largest.js';
import { layerNorm } from './blocks/layer-norm.js';
import { linear } from './blocks/linear.js';
import { selectionOf } from './blocks/selection.js';
import {
  attentionLayer,
  decoderLayer,
  decoderSteps,
  encoderLayer,
  endThenZeros,
  headsFit,
  knownSteps,
  shareFits,
  transformerHyperparameters,
  transformerParameter,
  transformerReference,
  type Attend,
  type Mix,
  transformerSearch,
} from './blocks/transformer.js';
import { defineModel, task } from './model.js';

/**
 * Informer: only the steps that stand out attend to the others, and each encoder layer halves the window. For long inputs.
 * Which steps stand out is judged by a random sample of keys: new at every training step, one fixed sample otherwise.
 */
export const informer = defineModel({
  id: 'informer',
  title: 'Informer',
  paper: 'https://arxiv.org/abs/2012.07436',
  capabilities: { series: 'one', covariates: ['future'], mode: 'direct', quantization: 'C' },

  search: { ...transformerSearch, factor: [1, 3, 5] },
  hyperparameters: task
    .extend({
      ...transformerHyperparameters,
      factor: z.int().min(1).default(3).describe('steps that attend, and keys sampled, per logarithm of the window'),
      ...selectionOf('which steps attend: those that stand out in the data, or (static) all'),
      distil: z.boolean().default(true).describe('halve the window between encoder layers'),
    })
    .refine(...headsFit)
    .refine(...shareFits),

  build(
    g,
    inputs,
    { inputLength, horizon, outputs, heads, layers, decoderLayers, factor, selection, distil, ...options },
  ) {
    const steps = decoderSteps({ inputLength, decoderShare: options.decoderShare });
    const known = knownSteps(inputs, steps);
    const sparse =
      (causal: boolean): Attend =>
      (part, x, source) =>
        attentionLayer(
          part,
          x,
          source,
          selection === 'static' ? allAttend(causal) : sparseAttention({ factor, causal }),
          { heads, idle: ['key'] },
        );

    const encoder = g.scope('encoder');
    let x = dataEmbedding(encoder.scope('embedding'), inputs.past, known.window, { ...options, positions: true });
    for (let i = 0; i < layers; i++) {
      const shorter = distil && i < layers - 1;
      x = encoderLayer(encoder.scope(`layer${i}`), x, sparse(false), {
        ...options,
        normalizedNext: shorter && g.training, // by the statistics of the batch
      });
      if (shorter) x = halved(encoder.scope(`distil${i}`), x);
    }
    const encoded = layerNorm(encoder.scope('norm'), x); // [batch, shorter time, hidden]

    const decoder = g.scope('decoder');
    const end = endThenZeros(inputs.past, steps, horizon); // [batch, steps + horizon, 1]
    let y = dataEmbedding(decoder.scope('embedding'), end, known.decoder, { ...options, positions: true });
    for (let i = 0; i < decoderLayers; i++)
      y = decoderLayer(decoder.scope(`layer${i}`), y, encoded, { self: sparse(true), cross: sparse(false) }, options);
    const decoded = linear(decoder.scope('projection'), layerNorm(decoder.scope('norm'), y), outputs);
    return slice(decoded, { axis: 1, start: steps, end: steps + horizon }); // [batch, horizon, outputs]
  },

  reference: {
    model: 'Informer',
    hyperparameters: { ...transformerReference, factor: 'factor', distil: 'distil' },
    parameter: transformerParameter,
    // It counts its samples in the order in which it draws them.
    draw: (path, hyperparameters) => {
      const [, side, layer, part, kind] = /^(encoder|decoder)\/layer(\d+)\/(\w+)\/(sample|kept)$/.exec(path) ?? [];
      if (side === undefined) return undefined;
      const { layers, inputLength, distil } = hyperparameters as {
        layers: number;
        inputLength: number;
        distil: boolean;
      };
      const call = side === 'encoder' ? Number(layer) : layers + 2 * Number(layer) + (part === 'cross' ? 1 : 0);
      let encoded = inputLength;
      for (let i = 0; distil && i < layers - 1; i++) encoded = halfLength(encoded);
      return {
        name: (pass) => `${pass}.${call}`,
        read: (keys, [tokens]) => {
          const share = (key: number): number => (key + 0.5) / (part === 'cross' ? encoded : tokens!);
          return keys.map((key) => (kind === 'kept' ? 2 * share(key) - 1 : share(key)));
        },
      };
    },
  },
});

const huge = 3e38;
/** 1 where a key is not later than the query. `[token, token]` */
const earlier = (tokens: number): Tensor =>
  constant(
    Float32Array.from({ length: tokens ** 2 }, (_, i) => (i % tokens <= Math.floor(i / tokens) ? 1 : 0)),
    [tokens, tokens],
  );

/** `scores [batch, head, token, other token]`, `value [batch, head, other token, width]` → `[batch, head, token, width]` */
function attend(scores: Tensor, value: Tensor, causal: boolean): Tensor {
  const scaled = mul(scores, 1 / Math.sqrt(value.shape[3] as number));
  const seen = causal ? where(earlier(scores.shape[2] as number), scaled, -huge) : scaled;
  return matmul(softmax(seen, { axis: -1 }), value);
}

/** As if all queries stood out. */
const allAttend =
  (causal: boolean): Mix =>
  (_, { query, key, value }) =>
    attend(matmul(query, swapLast(key)), value, causal);

/**
 * Attention of the queries that stand out; the others get the mean of all values, or the sum of the values so far where
 * they must not look ahead. All scores are computed: one product is faster than gathering those of a few queries.
 */
function sparseAttention({ factor, causal }: { factor: number; causal: boolean }): Mix {
  const perLogarithm = (tokens: number): number => Math.max(1, Math.min(factor * Math.ceil(Math.log(tokens)), tokens));
  return (g, { query, key, value }) => {
    const tokens = query.shape[2] as number;
    const others = key.shape[2] as number;
    const scores = matmul(query, swapLast(key)); // [batch, head, token, other token]

    const sample = sampledKeys(g, tokens, others, perLogarithm(others)); // [token, other token]
    const peak = max(where(greater(sample, 0), scores, -huge), { axis: 3 }); // [batch, head, token]
    const sparsity = sub(peak, div(sum(mul(scores, sample), { axes: [3] }), others));
    const chosen = largest(sparsity, perLogarithm(tokens)); // [batch, head, token]

    const attended = attend(scores, value, causal);
    const plain = causal ? matmul(earlier(tokens), value) : mean(value, { axes: [2], keep: true });
    return where(reshape(chosen, { shape: [...chosen.shape, 1] }), attended, plain);
  };
}

/** How often each key was drawn for each token, `[token, other token]`. */
function sampledKeys(g: Scope, tokens: number, others: number, count: number): Tensor {
  const kept = g.state('kept', [tokens, count], { kind: 'uniform', bound: 1 });
  const share = g.training ? g.uniform('sample', [tokens, count]) : mul(add(kept, 1), 0.5); // in [0, 1)
  const place = mul(reshape(share, { shape: [tokens, count, 1] }), others);
  const keys = Float32Array.from({ length: others }, (_, i) => i);
  const below = (limits: Float32Array): Tensor => greater(constant(limits), place); // [token, count, other token]
  return sum(sub(below(keys.map((i) => i + 1)), below(keys)), { axes: [1] });
}

/** Steps that are left of `time`. */
const halfLength = (time: number): number => Math.floor((time + 1) / 2) + 1;

/** A convolution and a maximum over three steps, every other one: half as many tokens. `[batch, time, hidden]` */
function halved(g: Scope, x: Tensor): Tensor {
  const [batch, time, hidden] = x.shape as [number, number, number];
  const convolution = g.scope('convolution');
  const bias = convolution.parameter('bias', [hidden], { kind: 'uniform', bound: 1 / Math.sqrt(3 * hidden) });
  // In training the batch normalisation takes the bias out again.
  const sums = add(circularConvolution(convolution, x, hidden, { padding: 2 }), g.training ? stopGradient(bias) : bias); // [batch, time + 2, hidden]
  const normalized = elu(batchNorm(g.scope('norm'), rows(sums)), { alpha: 1 });
  const padded = pad(reshape(normalized, { shape: sums.shape }), { axis: 1, before: 1, after: 1, value: -huge });
  const left = halfLength(time);
  const indices = Array.from({ length: 3 * left }, (_, i) => 2 * Math.floor(i / 3) + (i % 3));
  const windows = reshape(gather(padded, { axis: 1, indices }), { shape: [batch, left, 3, hidden] });
  return max(windows, { axis: 2 }); // [batch, time / 2 + 1, hidden]
}
