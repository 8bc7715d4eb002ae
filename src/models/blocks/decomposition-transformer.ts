/**
 * The frame of Autoformer and FEDformer (https://arxiv.org/abs/2106.13008): each layer takes the trend out of what it
 * made, the decoder adds the trends up. They differ in how tokens look at each other.
 */
import { z } from 'zod';
import {
  add,
  addAll,
  broadcastTo,
  concat,
  constant,
  matmul,
  mean,
  slice,
  sub,
  type Scope,
  type Tensor,
} from '../../graph/index.js';
import type { ModelInputs, ReferenceParameter } from '../model.js';
import { dropout } from './dropout.js';
import { circularConvolution, dataEmbedding } from './embedding.js';
import { layerNorm } from './layer-norm.js';
import { linear } from './linear.js';
import { movingAverageMatrix } from './moving-average.js';
import {
  decoderSteps,
  endThenZeros,
  feedForward,
  knownSteps,
  transformerHyperparameters,
  transformerParameter,
  transformerReference,
  type Attend,
  type TransformerOptions,
} from './transformer.js';

export const decompositionHyperparameters = {
  ...transformerHyperparameters,
  kernel: z
    .int()
    .min(1)
    .default(25)
    .refine((n) => n % 2 === 1, 'kernel must be odd, so that the average has a centre')
    .describe('width of the moving average that is the trend, in time steps'),
};
export const decompositionReference = { ...transformerReference, kernel: 'MovingAvg_window' };
type Options = TransformerOptions & {
  readonly inputLength: number;
  readonly horizon: number;
  readonly outputs: number;
  readonly kernel: number;
};

/** How the layers of the encoder and of the decoder attend. */
export interface Attentions {
  readonly encoder: Attend;
  readonly self: Attend;
  readonly cross: Attend;
}

/** The forecast `[batch, horizon, outputs]`. */
export function decompositionTransformer(g: Scope, inputs: ModelInputs, attend: Attentions, options: Options): Tensor {
  const { inputLength, horizon, outputs, layers, decoderLayers, kernel } = options;
  const steps = decoderSteps(options);
  const known = knownSteps(inputs, steps);

  const encoder = g.scope('encoder');
  let x = dataEmbedding(encoder.scope('embedding'), inputs.past, known.window, { ...options, positions: false });
  for (let i = 0; i < layers; i++) x = encoderLayer(encoder.scope(`layer${i}`), x, attend.encoder, options);
  const encoded = seasonalNorm(encoder.scope('norm'), x); // [batch, time, hidden]

  const decoder = g.scope('decoder');
  const { season, trend: past } = decompose(inputs.past, kernel);
  const level = mean(inputs.past, { axes: [1], keep: true }); // [batch, 1, 1]
  const end = slice(past, { axis: 1, start: inputLength - steps, end: inputLength });
  let trend = concat([end, broadcastTo(level, { shape: [g.batch, horizon, 1] })], { axis: 1 }); // [batch, steps + horizon, 1]
  const seen = endThenZeros(season, steps, horizon);
  let y = dataEmbedding(decoder.scope('embedding'), seen, known.decoder, { ...options, positions: false });
  for (let i = 0; i < decoderLayers; i++) {
    const layer = decoderLayer(decoder.scope(`layer${i}`), y, encoded, attend, options);
    y = layer.season; // [batch, steps + horizon, hidden]
    trend = add(trend, layer.trend); // [batch, steps + horizon, outputs]
  }
  const seasonal = linear(decoder.scope('projection'), seasonalNorm(decoder.scope('norm'), y), outputs);
  return slice(add(trend, seasonal), { axis: 1, start: steps, end: steps + horizon });
}

/** A moving average, and what is left of `x [batch, time, columns]`. */
function decompose(x: Tensor, kernel: number): { season: Tensor; trend: Tensor } {
  const time = x.shape[1] as number;
  const byColumn = movingAverageMatrix(time, kernel);
  const byRow = byColumn.map((_, i) => byColumn[(i % time) * time + Math.floor(i / time)]!);
  const trend = matmul(constant(byRow, [time, time]), x);
  return { season: sub(x, trend), trend };
}

/** Normalised, and without its mean over time: what is left of the bias is nothing. */
function seasonalNorm(g: Scope, x: Tensor): Tensor {
  const normalized = layerNorm(g, x, { idleBias: true });
  return sub(normalized, mean(normalized, { axes: [1], keep: true }));
}

function encoderLayer(g: Scope, x: Tensor, attend: Attend, options: Options): Tensor {
  const attended = dropout(g.scope('attention'), attend(g.scope('attention'), x, x), options.dropout);
  const first = decompose(add(x, attended), options.kernel).season;
  return decompose(add(first, feedForward(g, first, { ...options, bias: false })), options.kernel).season;
}

function decoderLayer(g: Scope, x: Tensor, encoded: Tensor, attend: Attentions, options: Options) {
  const { kernel, outputs, dropout: probability } = options;
  const own = dropout(g.scope('self'), attend.self(g.scope('self'), x, x), probability);
  const first = decompose(add(x, own), kernel);
  const seen = dropout(g.scope('cross'), attend.cross(g.scope('cross'), first.season, encoded), probability);
  const second = decompose(add(first.season, seen), kernel);
  const third = decompose(add(second.season, feedForward(g, second.season, { ...options, bias: false })), kernel);
  const trends = addAll([first.trend, second.trend, third.trend]); // [batch, steps + horizon, hidden]
  return { season: third.season, trend: circularConvolution(g.scope('trend'), trends, outputs) };
}

export const decompositionParameter = (path: string): ReferenceParameter =>
  transformerParameter(path.replace('/norm/', '/norm/layernorm/'));
