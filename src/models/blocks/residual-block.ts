/**
 * What N-BEATS and its successors share: each block explains a part of the window and forecasts with it; the next block
 * sees what is left.
 */
import { z } from 'zod';
import { add, flip, mul, reshape, slice, sub, type Scope, type Tensor } from '../../graph/index.js';
import type { ModelInputs, ReferenceParameter } from '../model.js';
import { activationNames, activations, readActivation } from './activation.js';
import { dropout } from './dropout.js';
import { linear } from './linear.js';
import { linearParameter } from './reference.js';

export const perStack = z.array(z.int().min(1)).min(1);
export const blockHyperparameters = {
  blocks: perStack.default([1, 1, 1]).describe('blocks of each stack'),
  hidden: perStack
    .default([512, 512, 512, 512])
    .describe('widths of the layers of a block; the first one has no activation'),
  activation: z.enum(activationNames).default('relu').describe('between the layers'),
};
export const dropoutHyperparameter = {
  dropout: z.number().min(0).max(0.99).default(0).describe('share of each layer zeroed in training'),
};
export const blockReference = {
  blocks: 'n_blocks',
  hidden: {
    name: 'mlp_units',
    read: (units: unknown) => [(units as number[][])[0]![0], ...(units as number[][]).map(([, width]) => width)],
  },
  dropout: 'dropout_prob_theta',
  activation: { name: 'activation', read: readActivation },
};

/** What a block makes of the window `[batch, time]`, the last value first. */
export interface BlockOutput {
  /** `[batch, time]` */
  readonly backcast: Tensor;
  /** `[batch, horizon, outputs]` */
  readonly forecast: Tensor;
}
export type Block = (rest: Tensor) => BlockOutput;

/** The last value of the window plus the forecast of every block. `[batch, horizon, outputs]` */
export function residualForecast({ past, mask }: ModelInputs, blocks: readonly Block[]): Tensor {
  const [batch, time] = past.shape as [number, number];
  const backwards = (x: Tensor): Tensor => flip(reshape(x, { shape: [batch, time] }), { axis: 1 }); // [batch, time]
  const observed = backwards(mask);
  let rest = backwards(past); // [batch, time], the last value first
  let forecast = slice(past, { axis: 1, start: time - 1, end: time }); // [batch, 1, 1], as if nothing changed
  for (const block of blocks) {
    const part = block(rest);
    rest = mul(sub(rest, part.backcast), observed);
    forecast = add(forecast, part.forecast); // [batch, horizon, outputs]
  }
  return forecast;
}

export interface LayerOptions {
  readonly hidden: readonly number[];
  readonly activation: keyof typeof activations;
  readonly dropout?: number;
}

/** The fully connected layers of a block. `[batch, columns]` → `[batch, width]` */
export function blockLayers(g: Scope, seen: Tensor, width: number, options: LayerOptions): Tensor {
  const { hidden, activation, dropout: probability = 0 } = options;
  const activate = activations[activation](g.scope('activation'));
  let state = seen; // [batch, columns]
  for (const [layer, columns] of hidden.entries()) {
    const scope = g.scope(`layer${layer}`);
    const sum = linear(scope, state, columns); // [batch, columns]
    state = layer === 0 ? sum : dropout(scope, activate(sum), probability);
  }
  return linear(g.scope(`layer${hidden.length}`), state, width);
}

/** `block0/layer2/weight` -> `blocks.0.layers.3.weight`: there the layers are one list, in which every activation and dropout counts too. */
export function blockParameter(
  path: string,
  { dropout: probability }: Readonly<Record<string, unknown>>,
): ReferenceParameter {
  const [place, part, kind] = path.split('/') as [string, string, string];
  const layers = `${place.replace('block', 'blocks.')}.layers`;
  if (part === 'activation') return { name: `${layers}.2.weight` };
  const layer = Number(part.replace('layer', ''));
  const before = layer === 0 ? 0 : 1 + (layer - 1) * (Number(probability) > 0 ? 3 : 2);
  return linearParameter(`${layers}.${before}`, kind);
}

/** What a tuner tries for the hyperparameters above, as NeuralForecast's Auto models do. */
export const blockSearch = {
  hidden: [
    [256, 256],
    [512, 512],
    [512, 512, 512, 512],
  ],
};
