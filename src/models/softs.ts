import { starEncoder, starHyperparameters, starReference, starSearch } from './blocks/star.js';
import { defineModel } from './model.js';

/**
 * SOFTS: each series is one token; they meet in a core that all of them fill and read.
 * For hundreds of coupled series, since its cost grows with their number, not with its square.
 */
export const softs = defineModel({
  id: 'softs',
  title: 'SOFTS',
  paper: 'https://arxiv.org/abs/2404.14197',
  capabilities: { series: 'many', covariates: [], mode: 'direct', quantization: 'B' },
  search: { ...starSearch },
  hyperparameters: starHyperparameters,
  build: starEncoder,
  reference: { model: 'SOFTS', ...starReference },
});
