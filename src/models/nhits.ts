import { z } from 'zod';
import {
  add,
  concat,
  flip,
  mul,
  reshape,
  rows,
  slice,
  sub,
  transpose,
  type Scope,
  type Tensor,
} from '../graph/index.js';
import { activationNames, activations, readActivation } from './blocks/activation.js';
import { dropout } from './blocks/dropout.js';
import { flat } from './blocks/flat.js';
import { interpolate, interpolations } from './blocks/interpolate.js';
import { linear } from './blocks/linear.js';
import { pool, poolings } from './blocks/pooling.js';
import { linearParameter } from './blocks/reference.js';
import { defineModel, task, type ModelInputs } from './model.js';

const perStack = z.array(z.int().min(1)).min(1);

const hyperparameters = task
  .extend({
    blocks: perStack.default([1, 1, 1]).describe('blocks of each stack'),
    hidden: perStack
      .default([512, 512, 512, 512])
      .describe('widths of the layers of a block; the first one has no activation'),
    pool: perStack.default([2, 2, 1]).describe('steps that each stack sees as one'),
    downsample: perStack.default([4, 2, 1]).describe('steps of the horizon per knot of each stack'),
    pooling: z.enum(poolings).default('max').describe('what stands for the steps seen as one'),
    interpolation: z.enum(interpolations).default('linear').describe('from knots to the horizon'),
    dropout: z.number().min(0).max(0.99).default(0).describe('share of each layer zeroed in training'),
    activation: z.enum(activationNames).default('relu').describe('between the layers'),
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
  hyperparameters,

  build(g, inputs, options) {
    const { inputLength, blocks } = options;
    const backwards = (x: Tensor): Tensor => flip(reshape(x, { shape: [g.batch, inputLength] }), { axis: 1 }); // [batch, time]
    const mask = backwards(inputs.mask);
    let rest = backwards(inputs.past); // [batch, time], the last value first
    let forecast = slice(inputs.past, { axis: 1, start: inputLength - 1, end: inputLength }); // [batch, 1, 1], as if nothing changed

    const stackOf = blocks.flatMap((count, stack) => new Array<number>(count).fill(stack));
    for (const [number, stack] of stackOf.entries()) {
      const part = block(g.scope(`block${number}`), rest, inputs, stack, options);
      rest = mul(sub(rest, part.backcast), mask);
      forecast = add(forecast, part.forecast); // [batch, horizon, outputs]
    }
    return forecast;
  },

  reference: {
    model: 'NHITS',
    hyperparameters: {
      blocks: 'n_blocks',
      hidden: {
        name: 'mlp_units',
        read: (units) => [(units as number[][])[0]![0], ...(units as number[][]).map(([, width]) => width)],
      },
      pool: 'n_pool_kernel_size',
      downsample: 'n_freq_downsample',
      pooling: { name: 'pooling_mode', read: (name) => (name === 'MaxPool1d' ? 'max' : 'average') },
      interpolation: { name: 'interpolation_mode', read: (name) => (String(name).includes('cubic') ? 'cubic' : name) },
      dropout: 'dropout_prob_theta',
      activation: { name: 'activation', read: readActivation },
    },
    // There the layers of a block are one list, in which every activation and dropout counts too.
    parameter: (path, { dropout: probability }) => {
      const [place, part, kind] = path.split('/') as [string, string, string];
      const layers = `${place.replace('block', 'blocks.')}.layers`;
      if (part === 'activation') return { name: `${layers}.2.weight` };
      const layer = Number(part.replace('layer', ''));
      return linearParameter(
        `${layers}.${layer === 0 ? 0 : 1 + (layer - 1) * (Number(probability) > 0 ? 3 : 2)}`,
        kind,
      );
    },
  },
});

/** Pool, a few layers, then as many numbers as the window has steps (backcast) and the horizon has knots (forecast). */
function block(g: Scope, rest: Tensor, inputs: ModelInputs, stack: number, options: Hyperparameters) {
  const { inputLength, horizon, outputs, hidden, interpolation } = options;
  const pooled = (x: Tensor): Tensor => flat(pool(x, options.pool[stack]!, options.pooling));
  const seen = [pooled(reshape(rest, { shape: [g.batch, inputLength, 1] }))];
  if (inputs.historic) seen.push(pooled(inputs.historic));
  if (inputs.future) seen.push(pooled(inputs.future));
  if (inputs.static) seen.push(inputs.static);

  const activate = activations[options.activation](g.scope('activation'));
  let state = concat(seen, { axis: 1 }); // [batch, columns]
  for (const [layer, width] of hidden.entries()) {
    const scope = g.scope(`layer${layer}`);
    const sum = linear(scope, state, width); // [batch, width]
    state = layer === 0 ? sum : dropout(scope, activate(sum), options.dropout);
  }

  const knots = Math.max(Math.floor(horizon / options.downsample[stack]!), 1);
  const theta = linear(g.scope(`layer${hidden.length}`), state, inputLength + outputs * knots);
  const coarse = slice(theta, { axis: 1, start: inputLength, end: inputLength + outputs * knots }); // [batch, outputs·knots]
  const perOutput = rows(reshape(coarse, { shape: [g.batch, outputs, knots] })); // [batch·outputs, knots]
  const fine = reshape(interpolate(perOutput, horizon, interpolation), { shape: [g.batch, outputs, horizon] });
  return {
    backcast: slice(theta, { axis: 1, start: 0, end: inputLength }), // [batch, time]
    forecast: transpose(fine, { order: [0, 2, 1] }), // [batch, horizon, outputs]
  };
}
