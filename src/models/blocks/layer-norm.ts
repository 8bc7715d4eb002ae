/** Layer normalisation (https://arxiv.org/abs/1607.06450), over the last axis. */
import { add, div, mean, mul, sqrt, square, stopGradient, sub, type Scope, type Tensor } from '../../graph/index.js';

interface LayerNormOptions {
  /** Added to the variance. */
  readonly eps?: number;
  /** What follows takes a constant out again, so that the true gradient of the bias is zero. */
  readonly idleBias?: boolean;
}

/** `[…, columns]`: every row gets mean 0 and variance 1, then a learned scale and shift per column. */
export const layerNorm = (g: Scope, x: Tensor, options: LayerNormOptions = {}): Tensor =>
  layerNormMap(g, x.shape.at(-1) as number, options)(x);

/** One that several tensors pass. */
export function layerNormMap(
  g: Scope,
  columns: number,
  { eps = 1e-5, idleBias = false }: LayerNormOptions = {},
): (x: Tensor) => Tensor {
  const weight = g.parameter('weight', [columns], { kind: 'constant', value: 1 });
  const bias = g.parameter('bias', [columns], { kind: 'constant', value: 0 });
  return (x) => {
    const overColumns = { axes: [x.shape.length - 1], keep: true };
    const centred = sub(x, mean(x, overColumns));
    const deviation = sqrt(add(mean(square(centred), overColumns), eps)); // […, 1]
    return add(mul(div(centred, deviation), weight), idleBias ? stopGradient(bias) : bias);
  };
}
