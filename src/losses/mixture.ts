/**
 * Losses that fit a mixture: each step is drawn from one of several distributions of a kind. All equally likely, or with
 * weights that the model gives too (https://arxiv.org/abs/2110.13179).
 */
import {
  add,
  div,
  exp,
  logSumExp,
  mul,
  neg,
  reshape,
  slice,
  softplus,
  sub,
  sum,
  type Shape,
  type Tensor,
} from '../graph/index.js';
import { negativeBinomial, normal, poisson, type Distribution } from './distribution.js';
import type { Loss, WindowUnits } from './loss.js';
import { averageOf } from './weight.js';

export interface MixtureOptions {
  readonly components?: number | undefined;
  /** The model gives the weights of the components too. */
  readonly weighted?: boolean | undefined;
  /** All windows of a batch, or all steps of a window, come from the same component. */
  readonly batchCorrelation?: boolean | undefined;
  readonly horizonCorrelation?: boolean | undefined;
}

/** Normal distributions. */
export const gmm = (options: MixtureOptions = {}): Loss => mixtureLoss('gmm', normal, 1, options);

/** Poisson distributions. */
export const pmm = (options: MixtureOptions = {}): Loss => mixtureLoss('pmm', mixedPoisson, 10, options);

/** Negative binomial distributions. */
export const nbmm = (options: MixtureOptions = {}): Loss => mixtureLoss('nbmm', mixedNegativeBinomial, 1, options);

const mixedPoisson: Distribution = {
  ...poisson,
  parameters: ([rate], { shift, scale }) => [add(softplus(add(mul(rate!, scale), shift)), 1e-3)],
};

/** The window's shift anchors the mean, as in the reference; it must be positive. */
const mixedNegativeBinomial: Distribution = {
  ...negativeBinomial,
  parameters: ([rawMean, rawAlpha], { shift }) => {
    const mean = mul(add(softplus(rawMean!), 1e-8), shift);
    const alpha = div(add(softplus(rawAlpha!), 1e-8), add(shift, 1));
    const odds = mul(mean, alpha);
    return [div(1, alpha), add(div(odds, add(odds, 1)), 1e-8)];
  },
};

function mixtureLoss(name: string, distribution: Distribution, usual: number, options: MixtureOptions): Loss {
  const { components = usual, weighted = false, batchCorrelation = false, horizonCorrelation = false } = options;
  const groups = distribution.outputs + (weighted ? 1 : 0);

  /** Parameters `[batch, horizon, series, component]` and the logarithms of the weights, which broadcast against them. */
  const fit = (forecast: Tensor, units: WindowUnits) => {
    const [batch, horizon, width] = forecast.shape as [number, number, number];
    const split = reshape(forecast, { shape: [batch, horizon, width / (groups * components), groups * components] });
    const raw = Array.from({ length: groups }, (_, i) =>
      slice(split, { axis: 3, start: i * components, end: (i + 1) * components }),
    );
    const wide = (x: Tensor): Tensor => reshape(x, { shape: [...x.shape, 1] });
    const logits = weighted ? raw.at(-1)! : mul(raw[0]!, 0);
    return {
      parameters: distribution.parameters(raw, { ...units, shift: wide(units.shift), scale: wide(units.scale) }),
      logWeights: sub(logits, logSumExp(logits, { axis: 3 })),
    };
  };
  const together = (logProbability: Tensor): Tensor => {
    const axes = [...(batchCorrelation ? [0] : []), ...(horizonCorrelation ? [1] : [])];
    return axes.length === 0 ? logProbability : sum(logProbability, { axes, keep: true });
  };
  const withoutLast = (x: Tensor): Tensor => reshape(x, { shape: x.shape.slice(0, -1) satisfies Shape });

  return {
    name,
    outputs: groups * components,
    quantiles: [],
    point: 0,
    loss: (_, { forecast, rawTarget, mask, units }) => {
      const { parameters, logWeights } = fit(forecast, units);
      const y = reshape(rawTarget, { shape: [...rawTarget.shape, 1] });
      const each = together(distribution.logProbability(y, parameters));
      return averageOf(neg(withoutLast(logSumExp(add(each, logWeights), { axis: 3 }))), mask);
    },
    decode: (_, forecast, units) => {
      const { parameters, logWeights } = fit(forecast, units);
      return sum(mul(distribution.mean(parameters), exp(logWeights)), { axes: [3] });
    },
  };
}
