import { z } from 'zod';
import { reshape, rows } from '../graph/index.js';
import { activationNames, readActivation } from './blocks/activation.js';
import { batchFirst, decoderParameter, mlpDecoder } from './blocks/mlp-decoder.js';
import {
  carriedLstm,
  encoderParameter,
  learnsWithinHorizon,
  recurrentEncoder,
  trainHorizon,
} from './blocks/recurrent-encoder.js';
import { defineModel, task } from './model.js';

/**
 * DeepAR: an LSTM that gives the distribution of the next step at every step; its mean is fed back as if it had been
 * observed. For many related series with noise that matters, such as counts and demand.
 */
export const deepar = defineModel({
  id: 'deepar',
  title: 'DeepAR',
  paper: 'https://arxiv.org/abs/1704.04110',
  capabilities: {
    series: 'one',
    covariates: ['historic', 'future', 'static'],
    mode: 'recurrent',
    quantization: 'C',
    streams: 'always',
  },

  search: { layers: [1, 2, 3], hidden: [32, 64, 128, 256], dropout: [0, 0.1, 0.3, 0.5] },
  hyperparameters: task
    .extend({
      ...trainHorizon,
      layers: z.int().min(1).default(2).describe('recurrent layers'),
      hidden: z.int().min(1).default(128).describe('width of the state'),
      dropout: z.number().min(0).max(0.99).default(0.1).describe('share of states zeroed between layers in training'),
      decoderLayers: z.int().min(0).default(0).describe('hidden layers of the decoder; with none it is a linear map'),
      decoderHidden: z.int().min(0).default(0).describe('width of the hidden layers of the decoder'),
      decoderActivation: z.enum(activationNames).default('relu').describe('between the layers of the decoder'),
    })
    .refine(...learnsWithinHorizon)
    .refine(({ decoderLayers, decoderHidden }) => decoderLayers === 0 || decoderHidden > 0, {
      path: ['decoderHidden'],
      message: 'hidden layers of the decoder need a width of at least 1',
    }),

  steps(g, inputs, { outputs, decoderLayers, ...options }, starts) {
    const encoder = { ...options, bias: true, order: ['historic', 'future', 'static'] } as const;
    const { states, ends } = recurrentEncoder(g.scope('encoder'), inputs, carriedLstm, encoder, starts); // [time, batch, hidden]
    const decoder = { ...options, outputs, decoderLayers: decoderLayers + 1 };
    const forecast = mlpDecoder(g.scope('decoder'), rows(states), decoder); // [time·batch, outputs]
    return { forecast: batchFirst(reshape(forecast, { shape: [states.shape[0]!, g.batch, outputs] })), ends };
  },

  reference: {
    model: 'DeepAR',
    hyperparameters: {
      trainHorizon: 'h_train',
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
