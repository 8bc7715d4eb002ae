/** Stacked recurrent layers, time first. Gate orders and the two biases per layer are PyTorch's. */
import { z } from 'zod';
import {
  add,
  constant,
  gru,
  lstm,
  matmul,
  mul,
  reshape,
  rnn,
  rows,
  slice,
  transpose,
  type Scope,
  type Shape,
  type Tensor,
} from '../../graph/index.js';
import type { Carry, ModelInputs, ReferenceParameter } from '../model.js';
import { pastColumns, type ColumnOrder } from './columns.js';
import { dropout } from './dropout.js';
import { fanIn } from './linear.js';

/** Of models that feed their forecasts back. */
export const trainHorizon = {
  trainHorizon: z
    .int()
    .min(1)
    .default(1)
    .describe('steps that a window teaches a model which feeds its forecasts back; at most the horizon'),
};

/** For `refine`. */
export const learnsWithinHorizon = [
  ({ trainHorizon: learned, horizon }: { readonly trainHorizon: number; readonly horizon: number }): boolean =>
    learned <= horizon,
  { path: ['trainHorizon'], message: 'at most the horizon' },
] as [(task: { trainHorizon: number; horizon: number }) => boolean, { path: string[]; message: string }];

/** What GRU, LSTM and their like have in common; each adds its own default of `hidden`. */
export const recurrentHyperparameters = {
  layers: z.int().min(1).default(2).describe('recurrent layers'),
  bias: z.boolean().default(true).describe('biases in the recurrent layers'),
  dropout: z.number().min(0).max(0.99).default(0).describe('share of states zeroed between layers in training'),
  recurrent: z
    .boolean()
    .default(false)
    .describe('forecast one step from each state, to be fed back, not the horizon at once'),
  ...trainHorizon,
};
export const recurrentReference = {
  layers: 'encoder_n_layers',
  hidden: 'encoder_hidden_size',
  bias: 'encoder_bias',
  dropout: 'encoder_dropout',
  recurrent: 'recurrent',
  trainHorizon: 'h_train',
};

interface LayerOptions {
  readonly hidden: number;
  readonly bias: boolean;
}

/** `[time, batch, columns]` → `[time, batch, hidden]` */
export type RecurrentLayer = (g: Scope, x: Tensor, options: LayerOptions) => Tensor;

interface EncoderOptions extends LayerOptions {
  readonly layers: number;
  readonly dropout: number;
  readonly order?: ColumnOrder;
}

/** The state after each past step, `[time, batch, hidden]`, and where each layer ends. */
export function recurrentEncoder(
  g: Scope,
  inputs: ModelInputs,
  layer: CarriedLayer,
  { layers, dropout: probability, order, ...options }: EncoderOptions,
  starts?: readonly Carry[],
): { readonly states: Tensor; readonly ends: readonly Carry[] } {
  let states = transpose(pastColumns(inputs, order), { order: [1, 0, 2] }); // [time, batch, columns]
  const ends: Carry[] = [];
  for (let i = 0; i < layers; i++) {
    const scope = g.scope(`layer${i}`);
    const read = i === 0 ? states : dropout(scope, states, probability);
    const layered = layer(scope, read, options, starts?.[i]);
    states = layered.states; // [time, batch, hidden]
    ends.push(layered.end);
  }
  return { states, ends };
}

/** A layer that starts where it is told, else at zero, and says where it ends. */
export type CarriedLayer = (
  g: Scope,
  x: Tensor,
  options: LayerOptions,
  start?: Carry,
) => { readonly states: Tensor; readonly end: Carry };

export const gruLayer: RecurrentLayer = (g, x, options) => carriedGru(g, x, options).states;
export const lstmLayer: RecurrentLayer = (g, x, options) => carriedLstm(g, x, options).states;
export const rnnLayer: RecurrentLayer = (g, x, options) => carriedRnn(g, x, options).states;

export const carriedGru: CarriedLayer = (g, x, { hidden, bias }, start) => {
  const x3 = inputSide(g, x, { hidden, gates: 3, bias: bias ? biasOf(g.scope('input'), hidden, 3) : undefined });
  const stateBias = bias ? biasOf(g.scope('state'), hidden, 3) : constant(new Float32Array(3 * hidden));
  const states = gru(x3, stateWeight(g, hidden, hidden, 3), stateBias, stateAt(g, x3, hidden, start)).h;
  return { states, end: ended(g, { state: lastOf(states) }, start) };
};

export const carriedLstm: CarriedLayer = (g, x, { hidden, bias }, start) => {
  const x4 = inputSide(g, x, { hidden, gates: 4, bias: bias ? lstmBias(g, hidden) : undefined });
  const zero = start || g.streaming ? undefined : zeroState(x4, hidden);
  const state = zero ?? stateAt(g, x4, hidden, start);
  const cell = zero ?? stateAt(g, x4, hidden, start, 'cell');
  const { h, last } = lstm(x4, stateWeight(g, hidden, hidden, 4), state, cell);
  return { states: h, end: ended(g, { state: lastOf(h), cell: last }, start) };
};

/** Where a layer starts `[batch, hidden]`: where it is told, else where the stream stands, else at zero. */
export const stateAt = (g: Scope, x: Tensor, hidden: number, start?: Carry, part: keyof Carry = 'state'): Tensor =>
  start?.[part] ?? (g.streaming ? g.carry(part, [x.shape[1]!, hidden]) : zeroState(x, hidden));

/** Where a layer ends; in a stream, that is where it starts at the next step. */
export function ended(g: Scope, end: Carry, start?: Carry): Carry {
  if (g.streaming && start === undefined)
    for (const [part, value] of Object.entries(end) as [keyof Carry, Tensor][]) g.leave(part, value);
  return end;
}

/** `[time, batch, hidden]` → `[batch, hidden]` */
export function lastOf(states: Tensor): Tensor {
  const [time, batch, hidden] = states.shape as [number, number, number];
  return reshape(slice(states, { axis: 0, start: time - 1, end: time }), { shape: [batch, hidden] });
}

export const carriedRnn: CarriedLayer = (g, x, { hidden, bias }, start) => {
  const x1 = inputSide(g, x, { hidden, gates: 1, bias: bias ? sumOfBiases(g, hidden, 1) : undefined });
  const states = rnn(x1, stateWeight(g, hidden, hidden, 1), stateAt(g, x1, hidden, start));
  return { states, end: ended(g, { state: lastOf(states) }, start) };
};

/** Both sides of an LSTM only ever add up. */
export const lstmBias = (g: Scope, hidden: number): Tensor => sumOfBiases(g, hidden, 4);

const sumOfBiases = (g: Scope, hidden: number, gates: number): Tensor =>
  add(biasOf(g.scope('input'), hidden, gates), biasOf(g.scope('state'), hidden, gates));

export const stateWeight = (g: Scope, width: number, hidden: number, gates: number): Tensor =>
  g.scope('state').parameter('weight', [width, gates * hidden], fanIn(hidden));

const biasOf = (g: Scope, hidden: number, gates: number): Tensor =>
  g.parameter('bias', [gates * hidden], fanIn(hidden));

interface InputSide {
  readonly hidden: number;
  readonly gates: number;
  readonly bias: Tensor | undefined;
}

/** What the input adds to the gates, for all steps in one product. `[time, batch, columns]` → `[time, batch, gates·hidden]` */
export function inputSide(g: Scope, x: Tensor, { hidden, gates, bias }: InputSide): Tensor {
  const [time, batch, columns] = x.shape as [number, number, number];
  const product = matmul(rows(x), g.scope('input').parameter('weight', [columns, gates * hidden], fanIn(hidden)));
  return reshape(bias ? add(product, bias) : product, { shape: [time, batch, gates * hidden] });
}

/** A state of zeros. While the batch is unknown it is cut from a tensor that has it. `[batch, hidden]` */
export function zeroState(x: Tensor, hidden: number): Tensor {
  const shape: Shape = [x.shape[1]!, hidden];
  if (typeof shape[0] === 'number') return constant(new Float32Array(shape[0] * hidden), [shape[0], hidden]);
  const first = slice(slice(x, { axis: 0, start: 0, end: 1 }), { axis: 2, start: 0, end: hidden });
  return mul(reshape(first, { shape }), 0);
}

/** `encoder/layer1/state/weight` -> `hist_encoder.weight_hh_l1`, for the path below `encoder`. */
export function encoderParameter(path: string): ReferenceParameter {
  const [layer, side, kind] = path.split('/') as [string, string, string];
  return {
    name: `hist_encoder.${kind}_${sides[side]}_l${layer.replace('layer', '')}`,
    ...(kind === 'weight' && { transpose: [1, 0] }),
  };
}
const sides: Record<string, string> = { input: 'ih', state: 'hh', projection: 'hr' };

/** What a tuner tries for the hyperparameters above, as NeuralForecast's Auto models do. */
export const recurrentSearch = { layers: [1, 2, 3] };
