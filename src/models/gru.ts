import { z } from 'zod';
import type { ModelInputs } from './model.js';
import {
  batchFirst,
  decodeHorizon,
  decoderHyperparameters,
  decoderParameter,
  decoderReference,
  lastSteps,
} from './blocks/mlp-decoder.js';
import {
  encoderParameter,
  gruLayer,
  recurrentEncoder,
  recurrentHyperparameters,
  recurrentReference,
} from './blocks/recurrent-encoder.js';
import { linear } from './blocks/linear.js';
import { linearParameter } from './blocks/reference.js';
import { defineModel, task } from './model.js';

/**
 * GRU: a recurrent network reads the window step by step; a small decoder turns its last states into the forecast.
 * Its state is small and one step costs little, so it suits streams.
 */
export const gru = defineModel({
  id: 'gru',
  title: 'GRU',
  paper: 'https://arxiv.org/abs/1406.1078',
  capabilities: { series: 'one', covariates: ['historic', 'future', 'static'], mode: 'both', quantization: 'C' },

  hyperparameters: task.extend({
    ...recurrentHyperparameters,
    hidden: z.int().min(1).default(200).describe('width of the state'),
    ...decoderHyperparameters,
  }),

  build(g, inputs: ModelInputs, { horizon, outputs, recurrent, ...options }) {
    const states = recurrentEncoder(g.scope('encoder'), inputs, gruLayer, options); // [time, batch, hidden]
    if (!recurrent) return decodeHorizon(g, states, inputs, { ...options, horizon, outputs }); // [batch, horizon, outputs]

    const next = linear(g.scope('readout'), lastSteps(states, horizon), outputs); // [horizon, batch, outputs]
    return batchFirst(next); // [batch, horizon, outputs]
  },

  reference: {
    model: 'GRU',
    hyperparameters: { ...recurrentReference, ...decoderReference },
    parameter: (path) => {
      const [part, rest] = path.split(/\/(.*)/) as [string, string];
      if (part === 'encoder') return encoderParameter(rest);
      if (part === 'decoder') return decoderParameter(rest);
      return linearParameter(part === 'readout' ? 'proj' : 'upsample_sequence', rest);
    },
  },
});
