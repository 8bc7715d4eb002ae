import { z } from 'zod';
import {
  batchFirst,
  decodeHorizon,
  decoderHyperparameters,
  decoderParameter,
  decoderReference,
  decoderSearch,
} from './blocks/mlp-decoder.js';
import {
  carriedGru,
  encoderParameter,
  learnsWithinHorizon,
  recurrentEncoder,
  recurrentHyperparameters,
  recurrentReference,
  recurrentSearch,
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
  capabilities: {
    series: 'one',
    covariates: ['historic', 'future', 'static'],
    mode: 'both',
    quantization: 'C',
    streams: 'always',
  },

  search: { ...recurrentSearch, ...decoderSearch, hidden: [16, 32, 64, 128] },
  hyperparameters: task
    .extend({
      ...recurrentHyperparameters,
      hidden: z.int().min(1).default(200).describe('width of the state'),
      ...decoderHyperparameters,
    })
    .refine(...learnsWithinHorizon),

  build(g, inputs, options) {
    const { states } = recurrentEncoder(g.scope('encoder'), inputs, carriedGru, options); // [time, batch, hidden]
    return decodeHorizon(g, states, inputs, options); // [batch, horizon, outputs]
  },

  steps(g, inputs, { outputs, ...options }, starts) {
    const { states, ends } = recurrentEncoder(g.scope('encoder'), inputs, carriedGru, options, starts);
    return { forecast: batchFirst(linear(g.scope('readout'), states, outputs)), ends }; // [batch, time, outputs]
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
