import { z } from 'zod';
import { concat, mul, relu, reshape, slice, softmax, sum, transpose } from '../graph/index.js';
import { batchNorm } from './blocks/batch-norm.js';
import { dropout } from './blocks/dropout.js';
import { flat } from './blocks/flat.js';
import { linear } from './blocks/linear.js';
import { linearParameter } from './blocks/reference.js';
import { defineModel, task } from './model.js';

/**
 * DeepNPTS: a small network gives each value of the window a weight for each step of the horizon; the forecast is the
 * weighted mean, so it never leaves the range of the window.
 */
export const deepnpts = defineModel({
  id: 'deepnpts',
  title: 'DeepNPTS',
  paper: 'https://arxiv.org/abs/2312.14657',
  capabilities: { series: 'one', covariates: ['historic', 'future', 'static'], mode: 'direct', quantization: 'B' },

  search: { hidden: [16, 32, 64], layers: [1, 2, 4], dropout: [0, 0.1, 0.3, 0.5] },
  hyperparameters: task.extend({
    hidden: z.int().min(1).default(32).describe('width of a layer'),
    layers: z.int().min(1).default(2).describe('layers of the network'),
    batchNorm: z.boolean().default(true).describe('normalise each layer over the batch'),
    dropout: z.number().min(0).max(0.99).default(0.1).describe('share of each layer zeroed in training'),
  }),

  build(g, inputs, { inputLength, horizon, outputs, hidden, layers, ...options }) {
    const { past, historic, future, static: fixed } = inputs;
    const perStep = [past]; // [batch, time, columns]
    if (future) perStep.push(slice(future, { axis: 1, start: 0, end: inputLength }));
    if (historic) perStep.push(historic);
    const seen = [flat(concat(perStep, { axis: 2 }))];
    if (fixed) seen.push(fixed);
    if (future) seen.push(flat(slice(future, { axis: 1, start: inputLength, end: inputLength + horizon })));

    let state = concat(seen, { axis: 1 }); // [batch, every value of the window]
    for (let layer = 0; layer < layers; layer++) {
      const scope = g.scope(`layer${layer}`);
      state = relu(linear(scope, state, hidden)); // [batch, hidden]
      if (options.batchNorm) state = batchNorm(scope.scope('norm'), state);
      state = dropout(scope, state, options.dropout);
    }
    // The reference has one output only; here each output of a step has weights of its own.
    const scores = linear(g.scope('out'), state, inputLength * horizon * outputs); // [batch, time·horizon·outputs]
    const timeLast = transpose(reshape(scores, { shape: [g.batch, inputLength, horizon * outputs] }), {
      order: [0, 2, 1],
    });
    const weights = softmax(timeLast, { axis: -1 }); // [batch, horizon·outputs, time]
    const values = reshape(past, { shape: [g.batch, 1, inputLength] }); // [batch, 1, time]
    const forecast = sum(mul(weights, values), { axes: [2] }); // [batch, horizon·outputs]
    return reshape(forecast, { shape: [g.batch, horizon, outputs] }); // [batch, horizon, outputs]
  },

  reference: {
    model: 'DeepNPTS',
    hyperparameters: { hidden: 'hidden_size', layers: 'n_layers', batchNorm: 'batch_norm', dropout: 'dropout' },
    // There all is one list, in which every activation, normalisation and dropout counts too.
    parameter: (path, { layers, batchNorm: norms, dropout: probability }) => {
      const parts = path.split('/');
      const kind = parts.at(-1)!;
      const each = 2 + (norms === true ? 1 : 0) + (Number(probability) > 0 ? 1 : 0);
      const layer = parts[0] === 'out' ? Number(layers) : Number(parts[0]!.replace('layer', ''));
      return parts[1] === 'norm'
        ? { name: `deepnptsnetwork.${layer * each + 2}.${statistics[kind] ?? kind}` }
        : linearParameter(`deepnptsnetwork.${layer * each}`, kind);
    },
  },
});

const statistics: Record<string, string> = { mean: 'running_mean', variance: 'running_var' };
