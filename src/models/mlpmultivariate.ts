import { z } from 'zod';
import { concat, relu, reshape } from '../graph/index.js';
import { flat } from './blocks/flat.js';
import { linear } from './blocks/linear.js';
import { linearParameter } from './blocks/reference.js';
import { inEachWindow } from './blocks/series.js';
import { defineModel, task } from './model.js';

/** MLPMultivariate: fully connected layers over the windows of all series at once. For few series that drive each other. */
export const mlpmultivariate = defineModel({
  id: 'mlpmultivariate',
  title: 'MLPMultivariate',
  paper: 'https://doi.org/10.1038/323533a0',
  capabilities: { series: 'many', covariates: ['historic', 'future', 'static'], mode: 'direct', quantization: 'A' },

  search: { layers: [2, 3, 4, 5], hidden: [256, 512, 1024] },
  hyperparameters: task.extend({
    layers: z.int().min(1).max(16).default(2).describe('hidden layers'),
    hidden: z.int().min(1).max(65_536).default(1024).describe('width of a hidden layer'),
  }),

  build(g, inputs, { horizon, outputs, series, layers, hidden }) {
    const columns = [flat(inputs.past)];
    if (inputs.historic) columns.push(flat(inputs.historic));
    if (inputs.future) columns.push(flat(inputs.future));
    if (inputs.static) columns.push(flat(inEachWindow(inputs.static, inputs.past)));

    let state = concat(columns, { axis: 1 }); // [batch, every value of the window]
    for (let layer = 0; layer < layers; layer++) {
      state = relu(linear(g.scope(`layer${layer}`), state, hidden)); // [batch, hidden]
    }
    const forecast = linear(g.scope('out'), state, horizon * outputs * series); // [batch, horizon·outputs·series]
    return reshape(forecast, { shape: [g.batch, horizon, outputs * series] }); // [batch, horizon, outputs·series]
  },

  reference: {
    model: 'MLPMultivariate',
    hyperparameters: { layers: 'num_layers', hidden: 'hidden_size' },
    parameter: (path) => {
      const [place, kind] = path.split('/') as [string, string];
      return linearParameter(place.replace('layer', 'mlp.'), kind);
    },
  },
});
