/** Every loss by name, with what it accepts. */
import { z } from 'zod';
import { NeuroDivergentError } from '../errors.js';
import {
  bernoulliLoss,
  negativeBinomialLoss,
  normalLoss,
  poissonLoss,
  studentTLoss,
  tweedieLoss,
} from './distribution.js';
import { huberIq, iq } from './implicit-quantile.js';
import { isqfLoss } from './isqf.js';
import type { Loss } from './loss.js';
import { gmm, nbmm, pmm } from './mixture.js';
import { fredf, huber, mae, mape, mase, mse, relMse, rmse, smape, tukey } from './point.js';
import { huberMq, huberQuantile, mq, quantile, scrps } from './quantile.js';

const weighted = z.strictObject({
  horizonWeight: z.array(z.number().min(0)).optional().describe('one weight per step of the horizon'),
});
const probability = z.number().gt(0).lt(1);
const delta = z.number().gt(0).default(1).describe('where the square becomes a line');
const quantileSet = weighted.extend({
  levels: z.array(z.number().gt(0).lt(100)).optional().describe('central intervals in percent'),
  quantiles: z.array(probability).min(1).optional().describe('or the quantiles themselves'),
});

const implicit = weighted.extend({
  embedding: z.int().min(1).default(64).describe('width of the cosine embedding of the level'),
  concentration: z
    .tuple([z.number().gt(0), z.number().gt(0)])
    .default([1, 1])
    .describe('of the Beta distribution that levels are drawn from'),
  level: probability.default(0.5).describe('the level that is forecast'),
});

const mixture = z.strictObject({
  components: z.int().min(1).optional().describe('distributions in the mixture'),
  weighted: z.boolean().default(false).describe('the model gives the weights of the components too'),
  batchCorrelation: z.boolean().default(false).describe('all windows of a batch come from the same component'),
  horizonCorrelation: z.boolean().default(false).describe('all steps of a window come from the same component'),
});

interface LossEntry {
  /** The class in the reference library: `MQLoss`; with the distribution where there is one class for several. */
  readonly reference: string;
  readonly options: z.ZodObject;
  readonly create: (options: never) => Loss;
}

const entry = <S extends z.ZodObject>(
  reference: string,
  options: S,
  create: (options: z.output<S>) => Loss,
): LossEntry => ({ reference, options, create });

/** Name -> loss: what configuration, command line, import and parity look losses up in. */
export const losses: Readonly<Record<string, LossEntry>> = {
  mae: entry('MAE', weighted, mae),
  mse: entry('MSE', weighted, mse),
  rmse: entry('RMSE', weighted, rmse),
  mape: entry('MAPE', weighted, mape),
  smape: entry('SMAPE', weighted, smape),
  mase: entry('MASE', weighted.extend({ seasonality: z.int().min(1), batchPairs: z.boolean().default(false) }), mase),
  'rel-mse': entry('relMSE', weighted, relMse),
  huber: entry('HuberLoss', weighted.extend({ delta }), huber),
  tukey: entry(
    'TukeyLoss',
    z.strictObject({ c: z.number().gt(0).default(4.685), normalize: z.boolean().default(true) }),
    tukey,
  ),
  fredf: entry('FreDF', weighted.extend({ alpha: z.number().min(0).max(1).default(0.5) }), fredf),
  quantile: entry('QuantileLoss', weighted.extend({ q: probability }), quantile),
  'huber-quantile': entry('HuberQLoss', weighted.extend({ q: probability, delta }), huberQuantile),
  mq: entry('MQLoss', quantileSet, mq),
  scrps: entry('sCRPS', quantileSet.omit({ horizonWeight: true }), scrps),
  'huber-mq': entry('HuberMQLoss', quantileSet.extend({ delta }), huberMq),
  iq: entry('IQLoss', implicit, iq),
  'huber-iq': entry('HuberIQLoss', implicit.extend({ delta }), huberIq),
  normal: entry('DistributionLoss Normal', quantileSet, normalLoss),
  'student-t': entry('DistributionLoss StudentT', weighted, studentTLoss),
  poisson: entry('DistributionLoss Poisson', weighted, poissonLoss),
  'negative-binomial': entry('DistributionLoss NegativeBinomial', weighted, negativeBinomialLoss),
  bernoulli: entry('DistributionLoss Bernoulli', weighted, bernoulliLoss),
  tweedie: entry(
    'DistributionLoss Tweedie',
    weighted.extend({ rho: z.number().gt(1).lt(2).default(1.5) }),
    tweedieLoss,
  ),
  isqf: entry(
    'DistributionLoss ISQF',
    weighted.extend({
      levels: quantileSet.shape.levels.unwrap().min(1).optional().describe('central intervals in percent'),
      quantiles: z.array(probability).min(2).optional().describe('or the quantiles themselves'),
      pieces: z.int().min(1).default(5).describe('pieces of the spline between two quantiles'),
    }),
    isqfLoss,
  ),
  gmm: entry('GMM', mixture, gmm),
  pmm: entry('PMM', mixture, pmm),
  nbmm: entry('NBMM', mixture, nbmm),
};

/** The values that a distribution may have been observed at, by name of the loss; any, of those that are not here. */
export const targetRanges: Readonly<Record<string, { readonly least: number; readonly most: number }>> = {
  poisson: { least: 0, most: Infinity },
  'negative-binomial': { least: 0, most: Infinity },
  tweedie: { least: 0, most: Infinity },
  bernoulli: { least: 0, most: 1 },
  pmm: { least: 0, most: Infinity },
  nbmm: { least: 0, most: Infinity },
};

/** The loss of this name. Throws `ND_CONFIG_OUT_OF_RANGE` for an unknown name and for options it does not accept. */
export function createLoss(name: string, options: Readonly<Record<string, unknown>> = {}): Loss {
  const found = losses[name];
  if (found === undefined)
    throw refused(`There is no loss "${name}".`, `Use one of ${Object.keys(losses).join(', ')}.`);
  const parsed = found.options.safeParse(options);
  if (parsed.success) return found.create(parsed.data as never);
  const faults = parsed.error.issues.map(({ path, message }) => `${[name, ...path].join('.')}: ${message}`);
  throw refused(`${faults.join('; ')}.`, `The options of ${name} are ${Object.keys(found.options.shape).join(', ')}.`);
}

const refused = (what: string, mend: string): NeuroDivergentError =>
  new NeuroDivergentError('ND_CONFIG_OUT_OF_RANGE', { where: 'loss', what, mend });
