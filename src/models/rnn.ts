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
  rnnLayer,
  recurrentEncoder,
  recurrentHyperparameters,
  recurrentReference,
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
  capabilities: { series: 'one', covariates: ['historic', 'future', 'static'], mode: 'both', quantization: 'C' },

  hyperparameters: task.extend({
    ...recurrentHyperparameters,
    hidden: z.int().min(1).default(128).describe('width of the state'),
    ...decoderHyperparameters,
  }),

  build(g, inputs: ModelInputs, { horizon, outputs, recurrent, ...options }) {
    const states = recurrentEncoder(g.scope('encoder'), inputs, rnnLayer, options); // [time, batch, hidden]
    if (!recurrent) return decodeHorizon(g, states, inputs, { ...options, horizon, outputs }); // [batch, horizon, outputs]

    const next = linear(g.scope('readout'), lastSteps(states, horizon), outputs); // [horizon, batch, outputs]
    return batchFirst(next); // [batch, horizon, outputs]
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
