import { z } from 'zod';
import { add, constant, matmul, reshape, sub } from '../graph/index.js';
import { linear } from './blocks/linear.js';
import { movingAverageMatrix } from './blocks/moving-average.js';
import { defineModel, task } from './model.js';

/**
 * DLinear: cut the window into trend and season, forecast each with one linear map, add them.
 * It is the model to beat: if a transformer loses to this on your data, ship this.
 */
export const dlinear = defineModel({
  id: 'dlinear',
  title: 'DLinear',
  paper: 'https://arxiv.org/abs/2205.13504',
  capabilities: { series: 'one', covariates: [], mode: 'direct', quantization: 'A' },

  search: { kernel: [11, 25, 51] },
  hyperparameters: task.extend({
    kernel: z
      .int()
      .min(1)
      .max(255)
      .default(25)
      .refine((n) => n % 2 === 1, 'kernel must be odd, so that the average has a centre')
      .describe('width of the moving average, in time steps'),
  }),

  build(g, inputs, { inputLength, horizon, outputs, kernel }) {
    const past = reshape(inputs.past, { shape: [g.batch, inputLength] }); // [batch, time]

    const average = constant(movingAverageMatrix(inputLength, kernel), [inputLength, inputLength]);
    const trend = matmul(past, average); // [batch, time]
    const season = sub(past, trend); // [batch, time]

    const forecast = add(
      linear(g.scope('trend'), trend, horizon * outputs), // [batch, horizon·outputs]
      linear(g.scope('season'), season, horizon * outputs),
    );
    return reshape(forecast, { shape: [g.batch, horizon, outputs] }); // [batch, horizon, outputs]
  },

  reference: {
    model: 'DLinear',
    hyperparameters: { kernel: 'moving_avg_window' },
    parameter: (path) => {
      const [layer, kind] = path.split('/');
      return { name: `linear_${layer}.${kind}`, ...(kind === 'weight' ? { transpose: [1, 0] } : {}) };
    },
  },
});
