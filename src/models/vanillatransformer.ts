import { slice } from '../graph/index.js';
import { dataEmbedding } from './blocks/embedding.js';
import { layerNorm } from './blocks/layer-norm.js';
import { linear } from './blocks/linear.js';
import {
  attentionLayer,
  decoderLayer,
  decoderSteps,
  encoderLayer,
  endThenZeros,
  fullAttention,
  headsFit,
  knownSteps,
  shareFits,
  transformerHyperparameters,
  transformerParameter,
  transformerReference,
  type Attend,
  transformerSearch,
} from './blocks/transformer.js';
import { defineModel, task } from './model.js';

/**
 * VanillaTransformer: every step of the window looks at every other, and the whole horizon is decoded at once.
 * The baseline of the transformers for long windows; its cost grows with the square of the window.
 */
export const vanillatransformer = defineModel({
  id: 'vanillatransformer',
  title: 'VanillaTransformer',
  paper: 'https://arxiv.org/abs/1706.03762',
  capabilities: { series: 'one', covariates: ['future'], mode: 'direct', quantization: 'B' },

  search: { ...transformerSearch },
  hyperparameters: task
    .extend(transformerHyperparameters)
    .refine(...headsFit)
    .refine(...shareFits),

  build(g, inputs, { inputLength, horizon, outputs, heads, layers, decoderLayers, ...options }) {
    const steps = decoderSteps({ inputLength, decoderShare: options.decoderShare });
    const known = knownSteps(inputs, steps);
    const mix = fullAttention(options.dropout);
    const attend: Attend = (part, x, source) => attentionLayer(part, x, source, mix, { heads, idle: ['key'] });

    const encoder = g.scope('encoder');
    let x = dataEmbedding(encoder.scope('embedding'), inputs.past, known.window, { ...options, positions: true });
    for (let i = 0; i < layers; i++) x = encoderLayer(encoder.scope(`layer${i}`), x, attend, options);
    const encoded = layerNorm(encoder.scope('norm'), x); // [batch, time, hidden]

    const decoder = g.scope('decoder');
    const end = endThenZeros(inputs.past, steps, horizon); // [batch, steps + horizon, 1]
    let y = dataEmbedding(decoder.scope('embedding'), end, known.decoder, { ...options, positions: true });
    for (let i = 0; i < decoderLayers; i++)
      y = decoderLayer(decoder.scope(`layer${i}`), y, encoded, { self: attend, cross: attend }, options);
    const decoded = linear(decoder.scope('projection'), layerNorm(decoder.scope('norm'), y), outputs);
    return slice(decoded, { axis: 1, start: steps, end: steps + horizon }); // [batch, horizon, outputs]
  },

  reference: {
    model: 'VanillaTransformer',
    hyperparameters: transformerReference,
    parameter: transformerParameter,
  },
});
