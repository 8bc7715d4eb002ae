/**
 * Losses that fit a distribution: the negative log-likelihood of the truth, in sensor units. A window's shift and scale
 * enter the parameters, so that the model itself gives numbers of ordinary size (https://arxiv.org/abs/1704.04110).
 */
import {
  add,
  concat,
  div,
  exp,
  log,
  maximum,
  mul,
  neg,
  reshape,
  sigmoid,
  slice,
  softplus,
  square,
  sub,
  type Dim,
  type Operand,
  type Tensor,
} from '../graph/index.js';
import { erfOf } from '../graph/ops/special.js';
import type { Loss, WindowUnits } from './loss.js';
import { quantilesOf, type QuantileSet } from './quantile.js';
import { averageOf, type HorizonWeight } from './weight.js';

/** All tensors `[batch, horizon, series]`, or with one more axis for the components of a mixture. */
export interface Distribution {
  /** Numbers per step and series. */
  readonly outputs: number;
  /** The distribution's parameters from what the model gives. */
  readonly parameters: (raw: readonly Tensor[], units: WindowUnits) => readonly Tensor[];
  readonly logProbability: (y: Tensor, parameters: readonly Tensor[]) => Tensor;
  readonly mean: (parameters: readonly Tensor[]) => Tensor;
  /** Where it has a closed form. */
  readonly quantile?: (parameters: readonly Tensor[], q: number) => Tensor;
}

export const minimum = (a: Operand, b: Operand): Tensor => neg(maximum(neg(a), neg(b)));
const clamp = (x: Tensor, low: number, high: number): Tensor => minimum(maximum(x, low), high);
const inUnits = (x: Tensor, { shift, scale }: WindowUnits): Tensor => add(mul(x, scale), shift);

/** log Γ(x) for x > 0: Stirling's series seven steps further up, where it is exact to float32. */
export function logGamma(x: Tensor): Tensor {
  const product = (from: number, to: number): Tensor => {
    let result = add(x, from);
    for (let i = from + 1; i <= to; i++) result = mul(result, add(x, i));
    return result;
  };
  const z = add(x, 7);
  const inverse = div(1, z);
  const series = mul(inverse, add(1 / 12, mul(square(inverse), add(-1 / 360, mul(square(inverse), 1 / 1260)))));
  const stirling = add(sub(mul(sub(z, 0.5), log(z)), z), add(series, 0.5 * Math.log(2 * Math.PI)));
  return sub(stirling, add(log(product(0, 3)), log(product(4, 6)))); // two factors, so that neither overflows
}

/** Where a standard normal variable falls below with this probability. */
function normalQuantile(q: number): number {
  let [low, high] = [-10, 10];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if ((1 + erfOf(middle * Math.SQRT1_2)) / 2 < q) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

export const normal: Distribution = {
  outputs: 2,
  parameters: ([mean, deviation], units) => [inUnits(mean!, units), mul(add(softplus(deviation!), 0.2), units.scale)],
  logProbability: (y, [mean, deviation]) => {
    const distance = square(div(sub(y, mean!), deviation!));
    return sub(mul(distance, -0.5), add(log(deviation!), 0.5 * Math.log(2 * Math.PI)));
  },
  mean: ([mean]) => mean!,
  quantile: ([mean, deviation], q) => add(mean!, mul(deviation!, normalQuantile(q))),
};

const studentT: Distribution = {
  outputs: 3,
  parameters: ([freedom, mean, spread], units) => [
    add(softplus(freedom!), 3),
    inUnits(mean!, units),
    mul(add(softplus(spread!), 0.1), units.scale),
  ],
  logProbability: (y, [freedom, mean, spread]) => {
    const half = mul(add(freedom!, 1), 0.5);
    const distance = square(div(sub(y, mean!), spread!));
    const tails = mul(half, log(add(div(distance, freedom!), 1)));
    const size = add(log(spread!), mul(add(log(freedom!), Math.log(Math.PI)), 0.5));
    return sub(sub(logGamma(half), logGamma(mul(freedom!, 0.5))), add(tails, size));
  },
  mean: ([, mean]) => mean!,
};

export const poisson: Distribution = {
  outputs: 1,
  parameters: ([rate], units) => [add(softplus(inUnits(rate!, units)), 1e-10)],
  logProbability: (y, [rate]) => sub(sub(mul(y, log(rate!)), rate!), logGamma(add(y, 1))),
  mean: ([rate]) => rate!,
};

export const negativeBinomial: Distribution = {
  outputs: 2,
  parameters: ([rawMean, rawAlpha], units) => {
    const mean = inUnits(add(softplus(rawMean!), 1e-8), units);
    const alpha = div(add(softplus(rawAlpha!), 1e-8), add(units.scale, 1)); // 1 / number of failures
    const odds = mul(mean, alpha);
    return [div(1, alpha), add(div(odds, add(odds, 1)), 1e-8)];
  },
  logProbability: (y, [count, probability]) => {
    const p = clamp(probability!, 1.1920929e-7, 1 - 1.1920929e-7);
    const ways = sub(logGamma(add(count!, y)), add(logGamma(add(y, 1)), logGamma(count!)));
    return add(ways, add(mul(count!, log(sub(1, p))), mul(y, log(p))));
  },
  mean: ([count, probability]) => div(mul(count!, probability!), sub(1, probability!)),
};

/** The parameter is the logit. */
const bernoulli: Distribution = {
  outputs: 1,
  parameters: ([logit]) => [logit!],
  logProbability: (y, [logit]) => sub(mul(y, logit!), softplus(logit!)),
  mean: ([logit]) => sigmoid(logit!),
};

/** The parameter is the logarithm of the mean; its anchor is the window's shift, which must be positive. */
const tweedie = (rho: number): Distribution => ({
  outputs: 1,
  parameters: ([raw], { shift }) => [clamp(add(clamp(softplus(raw!), 1e-9, 37), log(shift)), 1e-9, 37)],
  logProbability: (y, [logMean]) => {
    const some = div(mul(y, exp(mul(logMean!, 1 - rho))), 1 - rho);
    return sub(some, div(exp(mul(logMean!, 2 - rho)), 2 - rho));
  },
  mean: ([logMean]) => exp(logMean!),
});

export type DistributionOptions = HorizonWeight & QuantileSet;

/** A distribution as a loss. Its forecast is the quantiles where they have a closed form, else the mean alone. */
function distributionLoss(name: string, distribution: Distribution, options: DistributionOptions): Loss {
  const { outputs, quantile } = distribution;
  const quantiles = quantile === undefined ? [] : quantilesOf(options);
  const fit = (forecast: Tensor, units: WindowUnits): readonly Tensor[] => {
    const series = (forecast.shape[2] as number) / outputs;
    const raw = Array.from({ length: outputs }, (_, i) =>
      slice(forecast, { axis: 2, start: i * series, end: (i + 1) * series }),
    );
    return distribution.parameters(raw, units);
  };
  return {
    name,
    outputs,
    quantiles,
    point: Math.max(0, quantiles.indexOf(0.5)),
    ...(quantile && {
      atQuantiles: (others) => distributionLoss(name, distribution, { ...options, quantiles: others }),
    }),
    loss: (_, { forecast, rawTarget, mask, units }) =>
      averageOf(neg(distribution.logProbability(rawTarget, fit(forecast, units))), mask, options),
    decode: (_, forecast, units) => {
      const parameters = fit(forecast, units);
      if (quantile === undefined) return distribution.mean(parameters);
      const perSeries = quantiles
        .map((q) => quantile(parameters, q))
        .map((x) => reshape(x, { shape: [...x.shape, 1] }));
      const [batch, horizon, width] = forecast.shape as [Dim, number, number];
      const columns = (width / outputs) * quantiles.length;
      return reshape(concat(perSeries, { axis: 3 }), { shape: [batch, horizon, columns] });
    },
  };
}

export const normalLoss = (options: DistributionOptions = {}): Loss => distributionLoss('normal', normal, options);
export const studentTLoss = (options: DistributionOptions = {}): Loss =>
  distributionLoss('student-t', studentT, options);
export const poissonLoss = (options: DistributionOptions = {}): Loss => distributionLoss('poisson', poisson, options);
export const negativeBinomialLoss = (options: DistributionOptions = {}): Loss =>
  distributionLoss('negative-binomial', negativeBinomial, options);
export const bernoulliLoss = (options: DistributionOptions = {}): Loss =>
  distributionLoss('bernoulli', bernoulli, options);
export const tweedieLoss = ({ rho, ...options }: DistributionOptions & { readonly rho: number }): Loss =>
  distributionLoss('tweedie', tweedie(rho), options);
