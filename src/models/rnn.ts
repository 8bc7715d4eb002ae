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
  carriedRnn,
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
 * RNN: the plainest recurrent network, its state the tangent of what it reads and of the state before; a small decoder
 * turns the last states into the forecast. For short memories, and as the least that GRU and LSTM must beat.
 */
export const rnn = defineModel({
  id: 'rnn',
  title: 'RNN',
  paper: 'https://doi.org/10.1207/s15516709cog1402_1',
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
      hidden: z.int().min(1).default(128).describe('width of the state'),
      ...decoderHyperparameters,
    })
    .refine(...learnsWithinHorizon),

  build(g, inputs, options) {
    const { states } = recurrentEncoder(g.scope('encoder'), inputs, carriedRnn, options); // [time, batch, hidden]
    return decodeHorizon(g, states, inputs, options); // [batch, horizon, outputs]
  },

  steps(g, inputs, { outputs, ...options }, starts) {
    const { states, ends } = recurrentEncoder(g.scope('encoder'), inputs, carriedRnn, options, starts);
    return { forecast: batchFirst(linear(g.scope('readout'), states, outputs)), ends }; // [batch, time, outputs]
  },

  reference: {
    model: 'RNN',
    hyperparameters: { ...recurrentReference, ...decoderReference },
    parameter: (path) => {
      const [part, rest] = path.split(/\/(.*)/) as [string, string];
      if (part === 'encoder') return encoderParameter(rest);
      if (part === 'decoder') return decoderParameter(rest);
      return linearParameter(part === 'readout' ? 'proj' : 'upsample_sequence', rest);
    },
  },
});
