/** Convolutions over time, with a bias per channel. */
import { add, conv1d, reshape, type Scope, type Tensor } from '../../graph/index.js';
import { fanIn } from './linear.js';

interface ConvolutionOptions {
  readonly kernel: number;
  /** Steps between the taps. */
  readonly dilation?: number;
}

/** `[batch, channel, time]` → `[batch, outputs, fewer steps]`; pad before it what it may look at. */
export function convolution(
  g: Scope,
  x: Tensor,
  outputs: number,
  { kernel, dilation = 1 }: ConvolutionOptions,
): Tensor {
  const channels = x.shape[1] as number;
  const weight = g.parameter('weight', [outputs, channels, kernel], fanIn(channels * kernel));
  const bias = g.parameter('bias', [outputs], fanIn(channels * kernel));
  return add(conv1d(x, weight, { dilation }), reshape(bias, { shape: [outputs, 1] }));
}
