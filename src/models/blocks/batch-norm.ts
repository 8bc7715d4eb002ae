/** Batch normalisation (https://arxiv.org/abs/1502.03167), over the last axis. */
import { add, div, mean, mul, sqrt, square, sub, type Scope, type Tensor } from '../../graph/index.js';

interface BatchNormOptions {
  /** Added to the variance. */
  readonly epsilon?: number;
  /** How much of the running statistics each training step replaces. */
  readonly momentum?: number;
}

/**
 * `[rows, columns]`: every column gets mean 0 and variance 1, then a learned scale and shift. Training uses the statistics
 * of the batch and keeps running ones; otherwise the running ones make it one product and one sum.
 */
export function batchNorm(g: Scope, x: Tensor, { epsilon = 1e-5, momentum = 0.1 }: BatchNormOptions = {}): Tensor {
  const columns = x.shape[1] as number;
  const weight = g.parameter('weight', [columns], { kind: 'constant', value: 1 });
  const bias = g.parameter('bias', [columns], { kind: 'constant', value: 0 });
  const runningMean = g.state('mean', [columns], { kind: 'constant', value: 0 });
  const runningVariance = g.state('variance', [columns], { kind: 'constant', value: 1 });

  if (!g.training) {
    const scale = div(weight, sqrt(add(runningVariance, epsilon))); // [columns]
    return add(mul(x, scale), sub(bias, mul(runningMean, scale)));
  }

  const rows = x.shape[0] as number;
  const centre = mean(x, { axes: [0] }); // [columns]
  const centred = sub(x, centre);
  const variance = mean(square(centred), { axes: [0] }); // [columns]
  const blend = (running: Tensor, batch: Tensor): Tensor => add(mul(running, 1 - momentum), mul(batch, momentum));
  g.update(runningMean, blend(runningMean, centre));
  g.update(runningVariance, blend(runningVariance, mul(variance, rows / (rows - 1)))); // the unbiased one
  return add(mul(centred, div(weight, sqrt(add(variance, epsilon)))), bias);
}
