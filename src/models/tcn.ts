import { z } from 'zod';
import { swapLast } from '../graph/index.js';
import { activationNames, activations, readActivation } from './blocks/activation.js';
import { pastColumns } from './blocks/columns.js';
import { convolution, convolutionParameter } from './blocks/convolution.js';
import { withBefore } from './blocks/memory.js';
import {
  decoderHyperparameters,
  decoderParameter,
  decoderReference,
  decodeOverTime,
  decoderSearch,
} from './blocks/mlp-decoder.js';
import { linearParameter } from './blocks/reference.js';
import { defineModel, task } from './model.js';

/**
 * TCN: causal convolutions with growing gaps see far back with few weights; a linear map over time and a small decoder
 * make the forecast. For sensors that stream: fast, and it quantizes well.
 */
export const tcn = defineModel({
  id: 'tcn',
  title: 'TCN',
  paper: 'https://arxiv.org/abs/1803.01271',
  capabilities: {
    series: 'one',
    covariates: ['historic', 'future', 'static'],
    mode: 'direct',
    quantization: 'A',
    streams: 'always',
  },

  search: { ...decoderSearch, hidden: [16, 32, 64, 128] },
  hyperparameters: task.extend({
    kernel: z.int().min(1).default(2).describe('taps of each convolution'),
    dilations: z
      .array(z.int().min(1))
      .min(1)
      .default([1, 2, 4, 8, 16])
      .describe('steps between the taps, one entry per layer'),
    hidden: z.int().min(1).default(128).describe('channels of each convolution'),
    activation: z.enum(activationNames).default('relu').describe('after each convolution'),
    ...decoderHyperparameters,
  }),

  build(g, inputs, { horizon, outputs, kernel, dilations, hidden, activation, ...options }) {
    let x = pastColumns(inputs); // [batch, time, column]
    for (const [layer, dilation] of dilations.entries()) {
      const scope = g.scope(`convolution${layer}`);
      const seen = withBefore(scope, x, (kernel - 1) * dilation); // only the past is padded: nothing looks ahead
      x = activations[activation](scope)(convolution(scope, seen, hidden, { kernel, dilation })); // [batch, time, hidden]
    }

    return decodeOverTime(g, swapLast(x), inputs, { ...options, horizon, outputs }); // [batch, horizon, outputs]
  },

  reference: {
    model: 'TCN',
    hyperparameters: {
      kernel: 'kernel_size',
      dilations: 'dilations',
      hidden: 'encoder_hidden_size',
      activation: { name: 'encoder_activation', read: readActivation },
      ...decoderReference,
    },
    parameter: (path) => {
      const [part, rest] = path.split(/\/(.*)/) as [string, string];
      if (part === 'decoder') return decoderParameter(rest);
      if (part === 'adapter') return linearParameter('context_adapter', rest);
      const place = part.replace('convolution', 'hist_encoder.tcn.');
      return rest === 'slope' ? { name: `${place}.activation.weight` } : convolutionParameter(`${place}.conv`, rest);
    },
  },
});
