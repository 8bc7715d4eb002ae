import { add, reshape, slice, sub } from '../graph/index.js';
import { linear } from './blocks/linear.js';
import { linearParameter } from './blocks/reference.js';
import { defineModel, task } from './model.js';

/**
 * NLinear: forecast the difference to the last value with one linear map, then add that value again.
 * For series whose level shifts; the smallest model there is.
 */
export const nlinear = defineModel({
  id: 'nlinear',
  title: 'NLinear',
  paper: 'https://arxiv.org/abs/2205.13504',
  capabilities: { series: 'one', covariates: [], mode: 'direct', quantization: 'A' },

  search: {},
  hyperparameters: task,

  build(g, inputs, { inputLength, horizon, outputs }) {
    const past = reshape(inputs.past, { shape: [g.batch, inputLength] }); // [batch, time]
    const last = slice(past, { axis: 1, start: inputLength - 1, end: inputLength }); // [batch, 1]
    const forecast = add(linear(g, sub(past, last), horizon * outputs), last); // [batch, horizon·outputs]
    return reshape(forecast, { shape: [g.batch, horizon, outputs] }); // [batch, horizon, outputs]
  },

  reference: {
    model: 'NLinear',
    hyperparameters: {},
    parameter: (path) => linearParameter('linear', path.split('/').at(-1)!),
  },
});
