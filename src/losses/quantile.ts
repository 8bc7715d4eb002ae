/** Quantile losses: the forecast is one quantile of what may come, or several at once. */
import { abs, add, constant, div, maximum, mul, neg, relu, reshape, sub, sum, type Tensor } from '../graph/index.js';
import type { Loss, LossInputs } from './loss.js';
import { huberOf, pointLoss } from './point.js';
import { averageOf, weightOf, type HorizonWeight } from './weight.js';

/** q·(y - ŷ) where the forecast is too low, (1 - q)·(ŷ - y) where it is too high. */
export const pinball = (error: Tensor, q: Tensor | number): Tensor => maximum(mul(error, q), mul(error, sub(q, 1)));

/** The pinball loss with Huber's bend in each arm. */
export const huberPinball = (error: Tensor, q: Tensor | number, delta: number): Tensor =>
  add(mul(huberOf(relu(error), delta), q), mul(huberOf(relu(neg(error)), delta), sub(1, q)));

/** One quantile. */
export const quantile = ({ q, ...options }: HorizonWeight & { readonly q: number }): Loss => ({
  ...pointLoss('quantile', ({ target, forecast, mask }) => averageOf(pinball(sub(target, forecast), q), mask, options)),
  quantiles: [q],
});

/** One quantile, quadratic near 0. */
export const huberQuantile = ({
  q,
  delta = 1,
  ...options
}: HorizonWeight & { readonly q: number; readonly delta?: number }): Loss => ({
  ...pointLoss('huber-quantile', ({ target, forecast, mask }) =>
    averageOf(huberPinball(sub(target, forecast), q, delta), mask, options),
  ),
  quantiles: [q],
});

export interface QuantileSet {
  /** Central intervals in percent; [80, 90] gives the median and the quantiles 0.05, 0.1, 0.9 and 0.95. */
  readonly levels?: readonly number[] | undefined;
  /** Or the quantiles themselves. */
  readonly quantiles?: readonly number[] | undefined;
}

/** Quantiles of a set: the median first, then rising; quantiles given as such keep their order. */
export function quantilesOf({ levels = [80, 90], quantiles }: QuantileSet): number[] {
  if (quantiles !== undefined) return [...new Set(quantiles)];
  const edges = [...new Set(levels)].flatMap((level) => [50 - level / 2, 50 + level / 2]);
  return [50, ...edges.sort((a, b) => a - b)].map((percent) => percent / 100);
}

/** Several quantiles at once; the pinball losses are added up over them. */
export const mq = (options: HorizonWeight & QuantileSet = {}): Loss =>
  quantileSetLoss('mq', options, (error, q) => pinball(error, q));

/** Scaled CRPS: twice the pinball losses of all known points, relative to the absolute values of all points. */
export const scrps = (options: QuantileSet = {}): Loss => {
  const base = mq(options);
  const total = (x: Tensor): Tensor => sum(x, { axes: [0, 1, 2] });
  return {
    ...base,
    name: 'scrps',
    loss: (g, inputs) => {
      const size = add(total(abs(inputs.target)), 1e-5);
      return mul(base.loss(g, inputs), div(mul(total(inputs.mask), 2), size));
    },
  };
};

/** Several quantiles at once; each arm of the pinball is bent after its weight is applied, as the reference does. */
export const huberMq = ({
  delta = 1,
  ...options
}: HorizonWeight & QuantileSet & { readonly delta?: number } = {}): Loss =>
  quantileSetLoss('huber-mq', options, (error, q) =>
    add(huberOf(mul(relu(error), q), delta), huberOf(mul(relu(neg(error)), sub(1, q)), delta)),
  );

function quantileSetLoss(
  name: string,
  options: HorizonWeight & QuantileSet,
  of: (error: Tensor, q: Tensor) => Tensor,
): Loss {
  const quantiles = quantilesOf(options);
  const middle = quantiles.reduce((best, q, i) => (Math.abs(q - 0.5) < Math.abs(quantiles[best]! - 0.5) ? i : best), 0);
  return {
    name,
    outputs: quantiles.length,
    quantiles,
    point: middle,
    fedBack: 'mean',
    loss: (_, { forecast, target, mask }: LossInputs) => {
      const [batch, horizon, series] = target.shape as [number, number, number];
      const perSeries = (x: Tensor, columns: number): Tensor =>
        reshape(x, { shape: [batch, horizon, series, columns] });
      const error = sub(perSeries(target, 1), perSeries(forecast, quantiles.length)); // [batch, horizon, series, quantile]
      const weight = perSeries(weightOf(mask, options.horizonWeight), 1);
      return averageOf(of(error, constant(quantiles, [quantiles.length])), weight);
    },
    decode: (_, forecast, { restore }) => restore(forecast),
  };
}
