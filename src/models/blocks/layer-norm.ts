/** Layer normalisation, over the last axis. */
import { normalizeRows, stopGradient, type Scope, type Tensor } from '../../graph/index.js';

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
  return (x) => normalizeRows(x, weight, idleBias ? stopGradient(bias) : bias, { eps }).y;
}
