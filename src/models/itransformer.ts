import { z } from 'zod';
import { concat, reshape, slice, swapLast, transpose, type Tensor } from '../graph/index.js';
import { dropout } from './blocks/dropout.js';
import { layerNorm } from './blocks/layer-norm.js';
import { linear } from './blocks/linear.js';
import { linearParameter } from './blocks/reference.js';
import { revIn } from './blocks/rev-in.js';
import { forecastOf } from './blocks/series.js';
import {
  attentionLayer,
  encoderLayer,
  fullAttention,
  headsFit,
  transformerParameter,
  type Attend,
} from './blocks/transformer.js';
import { defineModel, task } from './model.js';

/**
 * iTransformer: the window of a series is one token, and attention relates the series instead of the steps.
 * For many coupled series with long windows; its cost grows with the square of the number of series.
 */
export const itransformer = defineModel({
  id: 'itransformer',
  title: 'iTransformer',
  paper: 'https://arxiv.org/abs/2310.06625',
  capabilities: { series: 'many', covariates: ['future'], mode: 'direct', quantization: 'B' },

  search: { hidden: [64, 128, 256], heads: [4, 8] },
  hyperparameters: task
    .extend({
      hidden: z.int().min(1).default(512).describe('width of a token, a multiple of heads'),
      heads: z.int().min(1).default(8).describe('attention heads'),
      layers: z.int().min(1).default(2).describe('encoder layers'),
      feedForward: z.int().min(1).default(2048).describe('width between the two linear maps of a layer'),
      dropout: z
        .number()
        .min(0)
        .max(0.99)
        .default(0.1)
        .describe('share of tokens and of layer outputs zeroed in training'),
      normalize: z.boolean().default(true).describe('normalise each window, and undo it at the end'),
    })
    .refine(...headsFit),

  build(g, inputs, { horizon, outputs, series, heads, layers, ...options }) {
    const { normalized, restore } = options.normalize
      ? revIn(g, inputs.past)
      : { normalized: inputs.past, restore: (y: Tensor): Tensor => y };
    const embed = (name: string, x: Tensor): Tensor =>
      dropout(g.scope(name), linear(g.scope(name), x, options.hidden), options.dropout);
    const tokens = [embed('embedding', swapLast(normalized))]; // each [batch, token, hidden]
    if (inputs.future) {
      const [batch, future, time] = inputs.future.shape as [number, number, number];
      const bySeries = transpose(inputs.future, { order: [0, 3, 1, 2] }); // [batch, series, future, time + horizon]
      tokens.push(embed('known', reshape(bySeries, { shape: [batch, series * future, time] })));
    }

    const mix = fullAttention(options.dropout);
    const attend: Attend = (part, x, source) => attentionLayer(part, x, source, mix, { heads, idle: ['key'] });
    let x = concat(tokens, { axis: 1 }); // [batch, series + series·future, hidden]
    for (let layer = 0; layer < layers; layer++)
      x = encoderLayer(g.scope('encoder').scope(`layer${layer}`), x, attend, { ...options, activation: 'gelu' });
    const encoded = layerNorm(g.scope('encoder').scope('norm'), x);

    const rows = linear(g.scope('out'), slice(encoded, { axis: 1, start: 0, end: series }), horizon * outputs); // [batch, series, horizon·outputs]
    return forecastOf(rows, horizon, restore); // [batch, horizon, outputs·series]
  },

  reference: {
    model: 'iTransformer',
    hyperparameters: {
      hidden: 'hidden_size',
      heads: 'n_heads',
      layers: 'e_layers',
      feedForward: 'd_ff',
      dropout: 'dropout',
      normalize: 'use_norm',
    },
    parameter: (path) => {
      const [place, kind] = path.split('/') as [string, string];
      return place === 'encoder' ? transformerParameter(path) : linearParameter(maps[place]!, kind);
    },
  },
});

const maps: Record<string, string> = {
  embedding: 'enc_embedding.value_embedding',
  known: 'futr_embedding',
  out: 'projector',
};
