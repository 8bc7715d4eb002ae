/** Convolutions over time, with a bias per channel. */
import { add, concat, matmul, reshape, slice, type Scope, type Tensor } from '../../graph/index.js';
import { fanIn } from './linear.js';

interface ConvolutionOptions {
  readonly kernel: number;
  /** Steps between the taps. */
  readonly dilation?: number;
}

/**
 * `[batch, time, channel]` → `[batch, fewer steps, outputs]`; pad before it what it may look at. What the taps see stands
 * side by side, so that all of it is one product: faster than ONNX Runtime's convolution, there and back.
 */
export function convolution(
  g: Scope,
  x: Tensor,
  outputs: number,
  { kernel, dilation = 1 }: ConvolutionOptions,
): Tensor {
  const [, time, channels] = x.shape as [number, number, number];
  const steps = time - (kernel - 1) * dilation;
  const taps = Array.from({ length: kernel }, (_, tap) =>
    slice(x, { axis: 1, start: tap * dilation, end: tap * dilation + steps }),
  );
  const weight = g.parameter('weight', [kernel, channels, outputs], fanIn(channels * kernel));
  const bias = g.parameter('bias', [outputs], fanIn(channels * kernel));
  const seen = kernel === 1 ? x : concat(taps, { axis: 2 }); // [batch, steps, kernel·channel]
  return add(matmul(seen, reshape(weight, { shape: [kernel * channels, outputs] })), bias);
}

/** Where the taps stand in the reference's weights. */
export const convolutionParameter = (
  name: string,
  kind: string,
): { readonly name: string; readonly transpose?: readonly number[] } => ({
  name: `${name}.${kind}`,
  ...(kind === 'weight' && { transpose: [2, 1, 0] }),
});
