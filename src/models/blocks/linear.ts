/** Fully connected layers. Weights are `[inputs, outputs]`, so a layer reads `x · w + b`. */
import { add, matmul, type Init, type Scope, type Tensor } from '../../graph/index.js';

/** PyTorch's start of a linear layer: uniform within 1/√inputs (https://arxiv.org/abs/1502.01852 with a = √5). */
export const fanIn = (inputs: number): Init => ({ kind: 'uniform', bound: 1 / Math.sqrt(inputs) });

/** `[…, inputs]` → `[…, outputs]` */
export function linear(g: Scope, x: Tensor, outputs: number, { bias = true } = {}): Tensor {
  const inputs = x.shape.at(-1) as number;
  const product = matmul(x, g.parameter('weight', [inputs, outputs], fanIn(inputs)));
  return bias ? add(product, g.parameter('bias', [outputs], fanIn(inputs))) : product;
}
