/** Averages over what counts: known points, and the steps of the horizon by their weight. */
import { constant, div, equal, mul, sum, where, type Tensor } from '../graph/index.js';

/** What every averaged loss accepts. */
export interface HorizonWeight {
  /** One weight per step of the horizon; all 1 when absent. */
  readonly horizonWeight?: readonly number[] | undefined;
}

/** a / b, and 0 where b is 0, without a NaN in the gradient. */
export function ratio(a: Tensor, b: Tensor): Tensor {
  const nothing = equal(b, 0);
  return where(nothing, 0, div(a, where(nothing, 1, b)));
}

/** `[batch, horizon, series]` */
export const weightOf = (mask: Tensor, horizonWeight: readonly number[] | undefined): Tensor =>
  horizonWeight === undefined ? mask : mul(mask, constant(horizonWeight, [horizonWeight.length, 1]));

/** Σ weight·losses / Σ weight; 0 when no weight is left. */
export function averageOf(losses: Tensor, mask: Tensor, { horizonWeight }: HorizonWeight = {}): Tensor {
  const weight = weightOf(mask, horizonWeight);
  return ratio(totalOf(mul(losses, weight)), totalOf(weight));
}

const totalOf = (x: Tensor): Tensor => sum(x, { axes: x.shape.map((_, axis) => axis) });
