/**
 * An encoder that reads the window and a decoder that reads its end, zeros in place of the horizon, and the encoder
 * (https://arxiv.org/abs/1706.03762). How tokens look at each other is handed in: full, sparse, by correlation, by frequency.
 */
import { z } from 'zod';
import {
  add,
  gelu,
  matmul,
  mul,
  pad,
  relu,
  reshape,
  slice,
  softmax,
  swapLast,
  transpose,
  type Scope,
  type Tensor,
} from '../../graph/index.js';
import type { ModelInputs, ReferenceParameter } from '../model.js';
import { dropout } from './dropout.js';
import { layerNorm } from './layer-norm.js';
import { linear } from './linear.js';

export const transformerHyperparameters = {
  decoderShare: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.5)
    .describe('share of the window that the decoder sees too, less than all of it'),
  hidden: z.int().min(1).default(128).describe('width of a token, a multiple of heads'),
  heads: z.int().min(1).default(4).describe('attention heads'),
  feedForward: z.int().min(1).default(32).describe('width between the two linear maps of a layer'),
  layers: z.int().min(1).default(2).describe('encoder layers'),
  decoderLayers: z.int().min(1).default(1).describe('decoder layers'),
  activation: z.enum(['gelu', 'relu']).default('gelu').describe('between the two linear maps of a layer'),
  dropout: z
    .number()
    .min(0)
    .max(0.99)
    .default(0.05)
    .describe('share of tokens and of layer outputs zeroed in training'),
};
export const transformerReference = {
  decoderShare: 'decoder_input_size_multiplier',
  hidden: 'hidden_size',
  heads: 'n_head',
  feedForward: 'conv_hidden_size',
  layers: 'encoder_layers',
  decoderLayers: 'decoder_layers',
  activation: 'activation',
  dropout: 'dropout',
};
export type TransformerOptions = z.output<z.ZodObject<typeof transformerHyperparameters>>;

/** Refinements of a schema: `schema.refine(...headsFit).refine(...shareFits)`. */
export const headsFit: [(o: { hidden: number; heads: number }) => boolean, { path: string[]; message: string }] = [
  ({ hidden, heads }) => hidden % heads === 0,
  { path: ['heads'], message: 'hidden must be a multiple of heads' },
];
interface Window {
  readonly inputLength: number;
  readonly decoderShare: number;
}
export const shareFits: [(o: Window) => boolean, { path: string[]; message: string }] = [
  (options) => decoderSteps(options) < options.inputLength,
  { path: ['decoderShare'], message: 'the decoder must see less than the whole window' },
];

/** Past steps that the decoder sees. */
export const decoderSteps = ({ inputLength, decoderShare }: Window): number => Math.ceil(inputLength * decoderShare);

/** What is known of the steps the encoder sees `[batch, time, future]`, and of those of the decoder `[batch, steps + horizon, future]`. */
export function knownSteps({ future, past }: ModelInputs, steps: number): { window?: Tensor; decoder?: Tensor } {
  if (future === undefined) return {};
  const time = past.shape[1] as number;
  return {
    window: slice(future, { axis: 1, start: 0, end: time }),
    decoder: slice(future, { axis: 1, start: time - steps, end: future.shape[1] as number }),
  };
}

/** The last steps of a window, then zeros. `[batch, time, columns]` → `[batch, steps + horizon, columns]` */
export function endThenZeros(x: Tensor, steps: number, horizon: number): Tensor {
  const time = x.shape[1] as number;
  return pad(slice(x, { axis: 1, start: time - steps, end: time }), { axis: 1, before: 0, after: horizon });
}

export interface Heads {
  /** `[batch, head, token, width]` */
  readonly query: Tensor;
  /** `[batch, head, other token, width]`, as is `value`. */
  readonly key: Tensor;
  readonly value: Tensor;
}
/** What each token gathers from the others: `[batch, token, head, width]`, or what is then read as that. */
export type Mix = (g: Scope, heads: Heads) => Tensor;

/** Scaled dot products of all pairs of tokens. */
export const fullAttention =
  (probability: number): Mix =>
  (g, { query, key, value }) => {
    const width = query.shape[3] as number;
    const scores = mul(matmul(query, swapLast(key)), 1 / Math.sqrt(width));
    const weights = dropout(g.scope('weights'), softmax(scores, { axis: -1 }), probability);
    return transpose(matmul(weights, value), { order: [0, 2, 1, 3] });
  };

interface AttentionOptions {
  readonly heads: number;
  /** Biases that add the same to all scores of a token: their gradient is zero. */
  readonly idle?: readonly ('query' | 'key' | 'value' | 'output')[];
}

/** `x [batch, token, hidden]` looks at `source [batch, other token, hidden]` → `[batch, token, hidden]` */
export function attentionLayer(
  g: Scope,
  x: Tensor,
  source: Tensor,
  mix: Mix,
  { heads, idle = [] }: AttentionOptions,
): Tensor {
  const hidden = x.shape[2] as number;
  const apart = (name: 'query' | 'key' | 'value', from: Tensor): Tensor => {
    const all = linear(g.scope(name), from, hidden, { idleBias: idle.includes(name) });
    const split = reshape(all, { shape: [from.shape[0]!, from.shape[1]!, heads, hidden / heads] });
    return transpose(split, { order: [0, 2, 1, 3] });
  };
  const mixed = mix(g, { query: apart('query', x), key: apart('key', source), value: apart('value', source) });
  return linear(g.scope('output'), reshape(mixed, { shape: x.shape }), hidden, { idleBias: idle.includes('output') });
}

type LayerOptions = Pick<TransformerOptions, 'feedForward' | 'activation' | 'dropout'>;

/** Two linear maps, the same for each token. `[batch, token, hidden]` */
export function feedForward(g: Scope, x: Tensor, options: LayerOptions & { readonly bias?: boolean }): Tensor {
  const { bias = true, activation, dropout: probability } = options;
  const wide = activations[activation](linear(g.scope('wide'), x, options.feedForward, { bias }));
  const kept = dropout(g.scope('wide'), wide, probability);
  return dropout(g.scope('narrow'), linear(g.scope('narrow'), kept, x.shape[2] as number, { bias }), probability);
}
const activations = { gelu, relu };

/** How a layer attends; `source` is what the tokens look at. */
export type Attend = (g: Scope, x: Tensor, source: Tensor) => Tensor;

/** Attention and feed-forward, each added to what came in, then normalised; `normalizedNext`: what follows takes a constant out again. */
export function encoderLayer(
  g: Scope,
  x: Tensor,
  attend: Attend,
  options: LayerOptions & { readonly normalizedNext?: boolean },
): Tensor {
  const seen = dropout(g.scope('attention'), attend(g.scope('attention'), x, x), options.dropout);
  const attended = layerNorm(g.scope('norm1'), add(x, seen));
  return layerNorm(g.scope('norm2'), add(attended, feedForward(g, attended, options)), {
    idleBias: options.normalizedNext ?? false,
  });
}

/** The same, and between the two a look at what the encoder made of the window. */
export function decoderLayer(
  g: Scope,
  x: Tensor,
  encoded: Tensor,
  { self, cross }: { readonly self: Attend; readonly cross: Attend },
  options: LayerOptions,
): Tensor {
  const own = dropout(g.scope('self'), self(g.scope('self'), x, x), options.dropout);
  const first = layerNorm(g.scope('norm1'), add(x, own));
  const seen = dropout(g.scope('cross'), cross(g.scope('cross'), first, encoded), options.dropout);
  const second = layerNorm(g.scope('norm2'), add(first, seen));
  return layerNorm(g.scope('norm3'), add(second, feedForward(g, second, options)));
}

/** Our path -> the reference's name: `encoder/layer0/attention/key/weight` is `encoder.attn_layers.0.attention.key_projection.weight`. */
export function transformerParameter(path: string): ReferenceParameter {
  const name = renamings.reduce((text, [ours, theirs]) => text.replace(ours, theirs), path).replaceAll('/', '.');
  const order = layouts.find(([pattern]) => pattern.test(name))?.[1];
  return { name, ...(order && { transpose: order }) };
}

const renamings: readonly (readonly [RegExp, string])[] = [
  [/^encoder\/embedding/, 'enc_embedding'],
  [/^decoder\/embedding/, 'dec_embedding'],
  [/embedding\/value/, 'embedding/value_embedding/tokenConv'],
  [/embedding\/known/, 'embedding/temporal_embedding/embed'],
  [/^encoder\/layer/, 'encoder/attn_layers/'],
  [/^encoder\/distil(\d+)\/convolution/, 'encoder/conv_layers/$1/downConv'],
  [/^encoder\/distil/, 'encoder/conv_layers/'],
  [/\/mean$/, '/running_mean'],
  [/\/variance$/, '/running_var'],
  [/^decoder\/layer/, 'decoder/layers/'],
  [/\/(self|cross)\//, '/$1_attention/'],
  [/\/(query|key|value)\/(weight|bias)$/, '/$1_projection/$2'],
  [/\/output\//, '/out_projection/'],
  [/\/wide\//, '/conv1/'],
  [/\/narrow\//, '/conv2/'],
  [/\/trend\//, '/projection/'],
];
/** Orders of axes, by the name there; a convolution has its taps last. */
const layouts: readonly (readonly [RegExp, readonly number[]])[] = [
  [/(tokenConv|downConv|layers\.\d+\.projection)\.weight$/, [2, 1, 0]],
  [/conv[12]\.weight$/, [1, 0, 2]],
  [/(projection|embed)\.weight$/, [1, 0]],
];

/** What a tuner tries for the hyperparameters above, as NeuralForecast's Auto models do. */
export const transformerSearch = { hidden: [64, 128, 256], heads: [4, 8] };
