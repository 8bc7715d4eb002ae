/**
 * What SOFTS and SOFTSSharp share: the series of a window are summed up in one core, and each reads the core back
 * (https://arxiv.org/abs/2404.14197). The cost grows with the number of series, not with its square.
 */
import { z } from 'zod';
import {
  broadcastTo,
  concat,
  firstMax,
  gelu,
  log,
  mul,
  neg,
  softmax,
  sub,
  sum,
  swapLast,
  type Scope,
  type Tensor,
} from '../../graph/index.js';
import { task, type ModelInputs, type Reference, type ReferenceDraw, type ReferenceParameter } from '../model.js';
import { dropout } from './dropout.js';
import { linear } from './linear.js';
import { linearParameter } from './reference.js';
import { revIn } from './rev-in.js';
import { forecastOf } from './series.js';
import { encoderLayer } from './transformer.js';

export const starHyperparameters = task.extend({
  hidden: z.int().min(1).default(512).describe('width of a series'),
  core: z.int().min(1).default(512).describe('width of the core that all series share'),
  layers: z.int().min(1).default(2).describe('encoder layers'),
  feedForward: z.int().min(1).default(2048).describe('width between the two linear maps of a layer'),
  dropout: z.number().min(0).max(0.99).default(0.1).describe('share of each layer zeroed in training'),
  normalize: z.boolean().default(true).describe('normalise each window, and undo it at the end'),
});
type Hyperparameters = z.output<typeof starHyperparameters>;

interface StarOptions extends Hyperparameters {
  /** What a series is before it meets the others. */
  readonly place?: (g: Scope, x: Tensor) => Tensor;
  /** Also inside the exchange. */
  readonly innerDropout?: number;
}

/** One token per series, encoded and mapped to the horizon: `[batch, horizon, outputs·series]`. */
export function starEncoder(g: Scope, inputs: ModelInputs, options: StarOptions): Tensor {
  const { horizon, outputs, layers, feedForward, dropout: probability, normalize } = options;
  const { normalized, restore } = normalize ? revIn(g, inputs.past) : { normalized: inputs.past, restore: same };

  const embedding = g.scope('embedding');
  let x = dropout(embedding, linear(embedding, swapLast(normalized), options.hidden), probability); // [batch, series, hidden]
  for (let layer = 0; layer < layers; layer++) {
    const exchange = (part: Scope, tokens: Tensor): Tensor => star(part, tokens, options);
    x = encoderLayer(g.scope(`layer${layer}`), x, exchange, { feedForward, activation: 'gelu', dropout: probability }); // [batch, series, hidden]
  }
  return forecastOf(linear(g.scope('head'), x, horizon * outputs), horizon, restore); // [batch, horizon, outputs·series]
}

/** Aggregate, then dispatch. `x [batch, series, hidden]` → the same shape. */
function star(g: Scope, input: Tensor, { place = (_, x) => x, innerDropout = 0, ...options }: StarOptions): Tensor {
  const { series, hidden, core: width } = options;
  const x = place(g.scope('position'), input);
  const seen = dropout(g.scope('seen'), gelu(linear(g.scope('seen'), x, hidden)), innerDropout);
  const parts = linear(g.scope('core'), seen, width); // [batch, series, core]
  const core = sum(mul(parts, sharesOf(g.scope('core'), parts)), { axes: [1], keep: true }); // [batch, 1, core]

  const everywhere = dropout(g.scope('core'), broadcastTo(core, { shape: [g.batch, series, width] }), innerDropout);
  const both = concat([x, everywhere], { axis: 2 }); // [batch, series, hidden + core]
  const fused = dropout(g.scope('fused'), gelu(linear(g.scope('fused'), both, hidden)), innerDropout);
  return linear(g.scope('dispatch'), fused, hidden); // [batch, series, hidden]
}

/**
 * How much of the core each series gives: a softmax. In training one series gives it all, drawn with that probability:
 * the winner of a race in which -log u is how long a series of rate 1 takes.
 */
function sharesOf(g: Scope, parts: Tensor): Tensor {
  if (!g.training) return softmax(parts, { axis: 1 });
  const lateness = log(neg(log(g.uniform('race', parts.shape))));
  return firstMax(sub(parts, lateness), { axis: 1 });
}

const same = (y: Tensor): Tensor => y;

export const starReference = {
  hyperparameters: {
    hidden: 'hidden_size',
    core: 'd_core',
    layers: 'e_layers',
    feedForward: 'd_ff',
    dropout: 'dropout',
    normalize: 'use_norm',
  },
  parameter: (path: string): ReferenceParameter => {
    const kind = path.slice(path.lastIndexOf('/') + 1);
    const [place, part] = path.slice(0, -kind.length - 1).split(/\/(.*)/) as [string, string | undefined];
    if (place === 'embedding') return linearParameter('enc_embedding.value_embedding', kind);
    if (place === 'head') return linearParameter('projection', kind);
    const name = `${place.replace('layer', 'encoder.attn_layers.')}.${names[part!]}`;
    return part!.startsWith('norm') ? { name: `${name}.${kind}` } : linearParameter(name, kind);
  },
  draw: (path: string): ReferenceDraw | undefined =>
    path.endsWith('/race') ? { name: (pass) => `${pass}.${layerOf(path)}`, read: winners } : undefined,
} satisfies Omit<Reference, 'model'>;

export const layerOf = (path: string): number => Number(/\d+/.exec(path)![0]);

/** There the winners themselves are drawn: draws `[batch, series, core]` with which these series win. */
export function winners(numbers: Float32Array, [, series, width]: readonly number[]): Float32Array {
  const draws = new Float32Array(numbers.length * series!).fill(1e-30);
  for (const [i, winner] of numbers.entries()) {
    draws[(Math.floor(i / width!) * series! + winner) * width! + (i % width!)] = 1 - 2 ** -24;
  }
  return draws;
}

const names: Record<string, string> = {
  'attention/seen': 'attention.gen1',
  'attention/core': 'attention.gen2',
  'attention/fused': 'attention.gen3',
  'attention/dispatch': 'attention.gen4',
  wide: 'conv1',
  narrow: 'conv2',
  norm1: 'norm1',
  norm2: 'norm2',
};

/** What a tuner tries for the hyperparameters above, as NeuralForecast's Auto models do. */
export const starSearch = { hidden: [64, 128, 256, 512], core: [64, 128, 256, 512] };
