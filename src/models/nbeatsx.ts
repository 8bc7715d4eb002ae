import { z } from 'zod';
import { broadcastTo, concat, matmul, reshape, slice, transpose, type Tensor } from '../graph/index.js';
import {
  basisBlocks,
  curvesNeedSteps,
  identityBasis,
  oneCountPerStack,
  readStacks,
  seasonBlockBasis,
  stackHyperparameters,
  trendBlockBasis,
  type Basis,
} from './blocks/basis-block.js';
import { flat } from './blocks/flat.js';
import {
  blockParameter,
  blockReference,
  dropoutHyperparameter,
  residualForecast,
  blockSearch,
} from './blocks/residual-block.js';
import { defineModel, task, type ModelInputs } from './model.js';

const hyperparameters = task
  .extend({
    stacks: z
      .array(z.enum(['identity', 'trend', 'season', 'exogenous']))
      .min(1)
      .default(['identity', 'trend', 'season'])
      .describe('what each stack is made of; exogenous weighs the covariates'),
    ...stackHyperparameters,
    ...dropoutHyperparameter,
    degree: z.int().min(0).default(2).describe('degree of the polynomial of a trend'),
  })
  .refine(({ stacks, blocks }) => stacks.length === blocks.length, oneCountPerStack)
  .refine(
    ({ horizon, stacks }) => horizon > 1 || !stacks.some((stack) => stack === 'trend' || stack === 'season'),
    curvesNeedSteps,
  )
  .refine(({ stacks, future, static: fixed }) => !stacks.includes('exogenous') || future + fixed > 0, {
    path: ['stacks'],
    message: 'an exogenous stack needs future or static columns',
  });

/**
 * NBEATSx: N-BEATS that also reads covariates, and can forecast as a weighted sum of them. For electricity and demand,
 * where much of what comes is known in advance.
 */
export const nbeatsx = defineModel({
  id: 'nbeatsx',
  title: 'NBEATSx',
  paper: 'https://arxiv.org/abs/2104.05522',
  capabilities: { series: 'one', covariates: ['historic', 'future', 'static'], mode: 'direct', quantization: 'A' },
  search: { ...blockSearch, dropout: [0, 0.1, 0.3, 0.5] },
  hyperparameters,

  build(g, inputs, { harmonics, degree, ...options }) {
    const { historic, future, static: fixed } = inputs;
    const covariates = [historic, future, fixed].flatMap((x) => (x === undefined ? [] : [flat(x)]));
    const bases = {
      identity: () => identityBasis(options),
      trend: () => trendBlockBasis('polynomial', degree, options),
      season: () => seasonBlockBasis(harmonics, options),
      exogenous: () => exogenousBasis(inputs, options),
    };
    const blocks = basisBlocks(
      g,
      (stack: keyof typeof bases) => bases[stack](),
      (rest) => concat([rest, ...covariates], { axis: 1 }), // [batch, every value of the window]
      options,
    );
    return residualForecast(inputs, blocks); // [batch, horizon, outputs]
  },

  reference: {
    model: 'NBEATSx',
    hyperparameters: {
      ...blockReference,
      stacks: { name: 'stack_types', read: readStacks },
      harmonics: 'n_harmonics',
      shared: 'shared_weights',
      degree: 'n_polynomials',
    },
    parameter: blockParameter,
  },
});

/** The covariates are the curves: one weight each for the forecast, then one each for the backcast. The forecast is one for all outputs. */
function exogenousBasis(
  { future, static: fixed }: ModelInputs,
  { inputLength, horizon }: { inputLength: number; horizon: number },
): Basis {
  const steps = inputLength + horizon;
  const columns: Tensor[] = future ? [future] : [];
  if (fixed) {
    const [batch, width] = fixed.shape as [number, number];
    columns.push(broadcastTo(reshape(fixed, { shape: [batch, 1, width] }), { shape: [batch, steps, width] }));
  }
  const curves = transpose(concat(columns, { axis: 2 }), { order: [0, 2, 1] }); // [batch, column, time + horizon]
  const count = curves.shape[1] as number;
  return {
    width: 2 * count,
    spread: (weights) => {
      const batch = weights.shape[0]!;
      const weighed = (part: number, start: number, end: number): Tensor => {
        const own = slice(weights, { axis: 1, start: part * count, end: (part + 1) * count });
        return matmul(reshape(own, { shape: [batch, 1, count] }), slice(curves, { axis: 2, start, end })); // [batch, 1, steps]
      };
      return {
        backcast: reshape(weighed(1, 0, inputLength), { shape: [batch, inputLength] }),
        forecast: reshape(weighed(0, inputLength, steps), { shape: [batch, horizon, 1] }),
      };
    },
  };
}
