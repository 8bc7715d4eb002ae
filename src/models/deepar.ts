import { z } from 'zod';
import { reshape, rows } from '../graph/index.js';
import { activationNames, readActivation } from './blocks/activation.js';
import { batchFirst, decoderParameter, lastSteps, mlpDecoder } from './blocks/mlp-decoder.js';
import { encoderParameter, lstmLayer, recurrentEncoder } from './blocks/recurrent-encoder.js';
import { defineModel, task } from './model.js';

/**
 * DeepAR: an LSTM that gives the distribution of the next step at every step; its mean is fed back as if it had been
 * observed. For many related series with noise that matters, such as counts and demand.
 */
export const deepar = defineModel({
  id: 'deepar',
  title: 'DeepAR',
  paper: 'https://arxiv.org/abs/1704.04110',
  capabilities: { series: 'one', covariates: ['historic', 'future', 'static'], mode: 'recurrent', quantization: 'C' },

  hyperparameters: task
    .extend({
      layers: z.int().min(1).default(2).describe('recurrent layers'),
      hidden: z.int().min(1).default(128).describe('width of the state'),
      dropout: z.number().min(0).max(0.99).default(0.1).describe('share of states zeroed between layers in training'),
      decoderLayers: z.int().min(0).default(0).describe('hidden layers of the decoder; with none it is a linear map'),
      decoderHidden: z.int().min(0).default(0).describe('width of the hidden layers of the decoder'),
      decoderActivation: z.enum(activationNames).default('relu').describe('between the layers of the decoder'),
    })
    .refine(({ decoderLayers, decoderHidden }) => decoderLayers === 0 || decoderHidden > 0, {
      path: ['decoderHidden'],
      message: 'hidden layers of the decoder need a width of at least 1',
    }),

  build(g, inputs, { horizon, outputs, decoderLayers, ...options }) {
    const states = recurrentEncoder(g.scope('encoder'), inputs, lstmLayer, {
      ...options,
      bias: true,
      order: ['historic', 'future', 'static'],
    }); // [time, batch, hidden]
    const last = lastSteps(states, horizon); // [horizon, batch, hidden]
    const forecast = mlpDecoder(g.scope('decoder'), rows(last), {
      ...options,
      outputs,
      decoderLayers: decoderLayers + 1,
    }); // [horizon·batch, outputs]
    return batchFirst(reshape(forecast, { shape: [horizon, g.batch, outputs] })); // [batch, horizon, outputs]
  },

  reference: {
    model: 'DeepAR',
    hyperparameters: {
      layers: 'lstm_n_layers',
      hidden: 'lstm_hidden_size',
      dropout: 'lstm_dropout',
      decoderLayers: 'decoder_hidden_layers',
      decoderHidden: 'decoder_hidden_size',
      decoderActivation: { name: 'decoder_activation', read: readActivation },
    },
    parameter: (path) => {
      const [part, rest] = path.split(/\/(.*)/) as [string, string];
      if (part === 'encoder') return encoderParameter(rest);
      const { name, ...layout } = decoderParameter(rest);
      return { name: name.replace('mlp_decoder', 'decoder'), ...layout };
    },
  },
});
