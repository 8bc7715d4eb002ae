import { z } from 'zod';
import { trendBases } from './blocks/basis.js';
import {
  basisBlocks,
  curvesNeedSteps,
  identityBasis,
  oneCountPerStack,
  readStacks,
  seasonBlockBasis,
  stackHyperparameters,
  trendBlockBasis,
} from './blocks/basis-block.js';
import { blockParameter, blockReference, residualForecast, blockSearch } from './blocks/residual-block.js';
import { defineModel, task } from './model.js';

/** Fewer curves than this are no basis. */
const leastDegree: Partial<Record<(typeof trendBases)[number], number>> = { spline: 3, 'linear-hat': 1 };

const hyperparameters = task
  .extend({
    stacks: z
      .array(z.enum(['identity', 'trend', 'season']))
      .min(1)
      .default(['identity', 'trend', 'season'])
      .describe('what each stack is made of'),
    ...stackHyperparameters,
    basis: z.enum(trendBases).default('polynomial').describe('curves of a trend'),
    degree: z.int().min(0).default(2).describe('curves of a trend, less one'),
  })
  .refine(({ stacks, blocks }) => stacks.length === blocks.length, oneCountPerStack)
  .refine(({ horizon, stacks }) => horizon > 1 || stacks.every((stack) => stack === 'identity'), curvesNeedSteps)
  .refine(({ basis, degree }) => degree >= (leastDegree[basis] ?? 0), {
    path: ['degree'],
    message: 'a spline needs at least degree 3, a linear-hat 1',
  });

/**
 * N-BEATS: a deep stack of small networks, each of which explains a part of the window, as a trend, a season or freely.
 * Its trend and season can be read off, so it is the one to show to people.
 */
export const nbeats = defineModel({
  id: 'nbeats',
  title: 'NBEATS',
  paper: 'https://arxiv.org/abs/1905.10437',
  capabilities: { series: 'one', covariates: [], mode: 'direct', quantization: 'A' },
  search: { ...blockSearch },
  hyperparameters,

  build(g, inputs, { harmonics, basis, degree, ...options }) {
    const bases = {
      identity: () => identityBasis(options),
      trend: () => trendBlockBasis(basis, degree, options),
      season: () => seasonBlockBasis(harmonics, options),
    };
    const blocks = basisBlocks(
      g,
      (stack: keyof typeof bases) => bases[stack](),
      (rest) => rest,
      options,
    );
    return residualForecast(inputs, blocks); // [batch, horizon, outputs]
  },

  reference: {
    model: 'NBEATS',
    hyperparameters: {
      blocks: blockReference.blocks,
      hidden: blockReference.hidden,
      activation: blockReference.activation,
      stacks: { name: 'stack_types', read: readStacks },
      harmonics: 'n_harmonics',
      shared: 'shared_weights',
      basis: { name: 'basis', read: readTrendBasis },
      degree: 'n_basis',
    },
    parameter: blockParameter,
  },
});

/** Ours for the reference's: `linear_hat` is `linear-hat`. */
export function readTrendBasis(name: unknown): string {
  return String(name).replace('_', '-');
}
