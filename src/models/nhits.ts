import { z } from 'zod';
import { concat, reshape, rows, slice, transpose, type Scope, type Tensor } from '../graph/index.js';
import { flat } from './blocks/flat.js';
import { interpolate, interpolations } from './blocks/interpolate.js';
import { pool, poolings } from './blocks/pooling.js';
import {
  blockHyperparameters,
  blockLayers,
  blockParameter,
  blockReference,
  dropoutHyperparameter,
  perStack,
  residualForecast,
  type Block,
  type BlockOutput,
  blockSearch,
} from './blocks/residual-block.js';
import { defineModel, task, type ModelInputs } from './model.js';

const hyperparameters = task
  .extend({
    ...blockHyperparameters,
    ...dropoutHyperparameter,
    pool: perStack.default([2, 2, 1]).describe('steps that each stack sees as one'),
    downsample: perStack.default([4, 2, 1]).describe('steps of the horizon per knot of each stack'),
    pooling: z.enum(poolings).default('max').describe('what stands for the steps seen as one'),
    interpolation: z.enum(interpolations).default('linear').describe('from knots to the horizon'),
  })
  .refine(
    ({ blocks, pool: widths, downsample }) => blocks.length === widths.length && widths.length === downsample.length,
    {
      path: ['blocks'],
      message: 'blocks, pool and downsample need one entry per stack',
    },
  );
type Hyperparameters = z.output<typeof hyperparameters>;

/**
 * NHITS: each stack sees the window at its own resolution, explains a part of it, and forecasts that part with few knots.
 * The default choice, above all for long horizons.
 */
export const nhits = defineModel({
  id: 'nhits',
  title: 'NHITS',
  paper: 'https://arxiv.org/abs/2201.12886',
  capabilities: { series: 'one', covariates: ['historic', 'future', 'static'], mode: 'direct', quantization: 'A' },
  search: {
    ...blockSearch,
    pool: [
      [2, 2, 1],
      [1, 1, 1],
      [2, 2, 2],
      [4, 4, 4],
      [8, 4, 1],
      [16, 8, 1],
    ],
    downsample: [
      [168, 24, 1],
      [24, 12, 1],
      [180, 60, 1],
      [60, 8, 1],
      [40, 20, 1],
      [1, 1, 1],
    ],
    dropout: [0, 0.1, 0.3, 0.5],
  },
  hyperparameters,

  build(g, inputs, options) {
    const stackOf = options.blocks.flatMap((count, stack) => new Array<number>(count).fill(stack));
    const blocks = stackOf.map((stack, number): Block => {
      const scope = g.scope(`block${number}`);
      return (rest) => pooledBlock(scope, rest, inputs, stack, options);
    });
    return residualForecast(inputs, blocks); // [batch, horizon, outputs]
  },

  reference: {
    model: 'NHITS',
    hyperparameters: {
      ...blockReference,
      pool: 'n_pool_kernel_size',
      downsample: 'n_freq_downsample',
      pooling: { name: 'pooling_mode', read: (name) => (name === 'MaxPool1d' ? 'max' : 'average') },
      interpolation: { name: 'interpolation_mode', read: (name) => (String(name).includes('cubic') ? 'cubic' : name) },
    },
    parameter: blockParameter,
  },
});

/** Pool, a few layers, then as many numbers as the window has steps (backcast) and the horizon has knots (forecast). */
function pooledBlock(
  g: Scope,
  rest: Tensor,
  inputs: ModelInputs,
  stack: number,
  options: Hyperparameters,
): BlockOutput {
  const { inputLength, horizon, outputs, interpolation } = options;
  const pooled = (x: Tensor): Tensor => flat(pool(x, options.pool[stack]!, options.pooling));
  const seen = [pooled(reshape(rest, { shape: [g.batch, inputLength, 1] }))];
  if (inputs.historic) seen.push(pooled(inputs.historic));
  if (inputs.future) seen.push(pooled(inputs.future));
  if (inputs.static) seen.push(inputs.static);

  const knots = Math.max(Math.floor(horizon / options.downsample[stack]!), 1);
  const theta = blockLayers(g, concat(seen, { axis: 1 }), inputLength + outputs * knots, options);
  const coarse = slice(theta, { axis: 1, start: inputLength, end: inputLength + outputs * knots }); // [batch, outputs·knots]
  const perOutput = rows(reshape(coarse, { shape: [g.batch, outputs, knots] })); // [batch·outputs, knots]
  const fine = reshape(interpolate(perOutput, horizon, interpolation), { shape: [g.batch, outputs, horizon] });
  return {
    backcast: slice(theta, { axis: 1, start: 0, end: inputLength }), // [batch, time]
    forecast: transpose(fine, { order: [0, 2, 1] }), // [batch, horizon, outputs]
  };
}
