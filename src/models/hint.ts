import { z } from 'zod';
import { NeuroDivergentError } from '../errors.js';
import { projection, reconciliations } from './blocks/reconcile.js';
import { defineModel, feedsBack, task, type Covariate, type Model } from './model.js';

const hyperparameters = task.extend({
  base: z.string().default('nhits').describe('the model that forecasts each series: one of one series'),
  baseOptions: z.record(z.string(), z.unknown()).default({}).describe('its hyperparameters'),
  summing: z
    .array(z.array(z.number()))
    .default([])
    .describe(
      'a row per series in the order of the frame, a column per bottom series; bottom series come last. Empty: none adds up',
    ),
  reconciliation: z.enum(reconciliations).default('bottom-up').describe('how forecasts are made to add up'),
  samples: z.int().min(2).max(10_000).default(200).describe('samples that quantiles are made of'),
});
type Hyperparameters = z.output<typeof hyperparameters>;

/**
 * HINT: any model of one series forecasts every series of a hierarchy, and the forecasts are made to add up, quantiles by
 * way of samples. For sums that a plan has to meet: halls, plants, the whole.
 */
export const hintOver = (bases: readonly Model[]) => {
  const baseOf = ({
    base,
    baseOptions,
    inputLength,
    horizon,
    outputs,
    historic,
    future,
    static: fixed,
  }: Hyperparameters) => {
    const model = bases.find(({ id }) => id === base)!;
    return {
      model,
      hyperparameters: model.parse({ ...baseOptions, inputLength, horizon, outputs, historic, future, static: fixed }),
    };
  };

  return defineModel({
    id: 'hint',
    title: 'HINT',
    paper: 'https://arxiv.org/abs/2305.07089',
    capabilities: {
      series: 'many',
      covariates: ['historic', 'future', 'static'],
      mode: 'direct',
      quantization: 'A',
    },

    search: { reconciliation: reconciliations },
    hyperparameters: hyperparameters.superRefine((given, context) => {
      const refuse = (path: string, message: string): void =>
        context.addIssue({ code: 'custom', path: [path], message });
      const model = bases.find(({ id }) => id === given.base);
      if (model === undefined) return refuse('base', `one of ${bases.map(({ id }) => id).join(', ')}`);
      const unread = (['historic', 'future', 'static'] satisfies Covariate[]).filter(
        (kind) => given[kind] > 0 && !model.capabilities.covariates.includes(kind),
      );
      if (unread.length > 0) return refuse('base', `${given.base} reads no ${unread.join(' and no ')} columns`);
      if (feedsBack(model, given.baseOptions)) return refuse('base', 'it has to forecast the horizon at once');
      const fault = faultOf(given.summing, given.series);
      if (fault !== undefined) return refuse('summing', fault);
      try {
        baseOf(given);
      } catch (error) {
        if (!(error instanceof NeuroDivergentError)) throw error;
        refuse('baseOptions', error.what.replace(/\.$/, ''));
      }
    }),

    over: (given) => ({
      ...baseOf(given),
      samples: given.samples,
      projection:
        given.reconciliation === 'none' || given.summing.length === 0
          ? undefined
          : projection(given.summing, given.reconciliation),
    }),

    reference: {
      model: 'HINT',
      hyperparameters: {},
      parameter: (path, given) => {
        const { model, hyperparameters: own } = baseOf(given as Hyperparameters);
        return model.reference.parameter(path, own);
      },
    },
  });
};

/** What is wrong with a summing matrix. */
function faultOf(summing: readonly (readonly number[])[], series: number): string | undefined {
  if (summing.length === 0) return undefined;
  const bottom = summing[0]!.length;
  // One is also what stands where the frame has not been seen yet.
  if (series > 1 && summing.length !== series) return `it has ${summing.length} rows, and there are ${series} series`;
  if (summing.some((row) => row.length !== bottom)) return 'its rows have different lengths';
  if (bottom === 0 || bottom > summing.length) return `it has ${bottom} columns for ${summing.length} series`;
  const isBottom = (row: readonly number[], k: number): boolean => row.every((value, j) => value === (j === k ? 1 : 0));
  if (!summing.slice(summing.length - bottom).every(isBottom))
    return `its last ${bottom} rows have to be the bottom series, each a 1 of its own`;
  if (summing.some((row) => row.reduce((sum, value) => sum + value, 0) <= 0)) return 'a row adds nothing up';
  return undefined;
}
