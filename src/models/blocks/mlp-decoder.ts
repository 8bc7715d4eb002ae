/** The small network that turns the hidden state of a step into its forecast. */
import { z } from 'zod';
import { concat, reshape, rows, transpose, type Scope, type Tensor } from '../../graph/index.js';
import type { ModelInputs, ReferenceParameter } from '../model.js';
import { activationNames, activations, readActivation } from './activation.js';
import { futureColumns } from './columns.js';
import { dropout } from './dropout.js';
import { linear } from './linear.js';
import { newest } from './memory.js';
import { linearParameter } from './reference.js';

export const decoderHyperparameters = {
  decoderHidden: z.int().min(1).default(128).describe('width of the decoder'),
  decoderLayers: z.int().min(1).default(2).describe('layers of the decoder'),
  decoderActivation: z.enum(activationNames).default('relu').describe('between the layers of the decoder'),
};
export const decoderReference = {
  decoderHidden: 'decoder_hidden_size',
  decoderLayers: 'decoder_layers',
  decoderActivation: { name: 'decoder_activation', read: readActivation },
};

type DecoderOptions = {
  readonly inputLength: number;
  readonly outputs: number;
  /** Share of each layer zeroed in training. */
  readonly decoderDropout?: number;
} & z.output<z.ZodObject<typeof decoderHyperparameters>>;

/** `[rows, columns]` → `[rows, outputs]` */
export function mlpDecoder(
  g: Scope,
  x: Tensor,
  { outputs, decoderHidden, decoderLayers, decoderActivation, decoderDropout = 0 }: Omit<DecoderOptions, 'inputLength'>,
): Tensor {
  const activate = decoderLayers > 1 ? activations[decoderActivation](g) : undefined; // one for all layers: they share a learned slope
  let hidden = x;
  for (let i = 0; i < decoderLayers - 1; i++) {
    const scope = g.scope(`layer${i}`);
    hidden = dropout(scope, activate!(linear(scope, hidden, decoderHidden)), decoderDropout);
  }
  return linear(g.scope(`layer${decoderLayers - 1}`), hidden, outputs);
}

/** `decoder/layer1/weight` -> `mlp_decoder.layers.3.weight`, for the path below `decoder`: activation and dropout count as layers there. */
export function decoderParameter(path: string): ReferenceParameter {
  const [layer, kind] = path.split('/') as [string, string];
  if (layer === 'slope') return { name: 'mlp_decoder.activation.weight' };
  return linearParameter(`mlp_decoder.layers.${3 * Number(layer.replace('layer', ''))}`, kind);
}

/**
 * The forecast from the states of the last steps, one each, with what is known of the future.
 * `states [time, batch, hidden]` → `[batch, horizon, outputs]`. With fewer steps than the horizon, a linear map over time makes more.
 */
export function decodeHorizon(
  g: Scope,
  states: Tensor,
  inputs: ModelInputs,
  { horizon, ...options }: DecoderOptions & { readonly horizon: number },
): Tensor {
  const { inputLength } = options;
  const batch = states.shape[1]!;
  const recent = lastSteps(g.scope('decoder'), states, Math.min(horizon, inputLength));
  const perStep = horizon > inputLength ? stretch(g.scope('upsample'), recent, horizon) : recent; // [horizon, batch, hidden]
  const future = futureColumns(inputs, horizon);
  const known = future ? concat([perStep, transpose(future, { order: [1, 0, 2] })], { axis: 2 }) : perStep;
  const forecast = mlpDecoder(g.scope('decoder'), rows(known), options); // [horizon·batch, outputs]
  return batchFirst(reshape(forecast, { shape: [horizon, batch, options.outputs] }));
}

/**
 * The forecast from all states by a linear map over time, with what is known of the future.
 * `states [batch, hidden, time]` → `[batch, horizon, outputs]`
 */
export function decodeOverTime(
  g: Scope,
  states: Tensor,
  inputs: ModelInputs,
  { horizon, ...options }: DecoderOptions & { readonly horizon: number },
): Tensor {
  const seen = newest(g.scope('adapter'), states, options.inputLength, 2);
  const context = transpose(linear(g.scope('adapter'), seen, horizon), { order: [0, 2, 1] }); // [batch, horizon, hidden]
  const future = futureColumns(inputs, horizon);
  const known = future ? concat([context, future], { axis: 2 }) : context; // [batch, horizon, hidden + future]
  const forecast = mlpDecoder(g.scope('decoder'), rows(known), options); // [batch·horizon, outputs]
  return reshape(forecast, { shape: [g.batch, horizon, options.outputs] });
}

/** `[time, batch, columns]` → `[count, batch, columns]` */
const lastSteps = (g: Scope, states: Tensor, count: number): Tensor =>
  g.streaming ? batchFirst(newest(g, batchFirst(states), count)) : newest(g, states, count, 0);

/** `[time, batch, columns]` → `[batch, time, columns]`, and back */
export const batchFirst = (x: Tensor): Tensor => transpose(x, { order: [1, 0, 2] });

/** A linear map over time, the same for every window and column. `[time, batch, hidden]` → `[horizon, batch, hidden]` */
function stretch(g: Scope, states: Tensor, horizon: number): Tensor {
  const timeLast = transpose(states, { order: [1, 2, 0] }); // [batch, hidden, time]
  return transpose(linear(g, timeLast, horizon), { order: [2, 0, 1] }); // [horizon, batch, hidden]
}

/** What a tuner tries for the hyperparameters above, as NeuralForecast's Auto models do. */
export const decoderSearch = { decoderHidden: [16, 32, 64, 128] };
