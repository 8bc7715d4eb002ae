/** Fully connected layers. Weights are `[inputs, outputs]`, so a layer reads `x · w + b`. */
import { add, matmul, stopGradient, type Init, type Scope, type Tensor } from '../../graph/index.js';

/** PyTorch's start of a linear layer: uniform within 1/√inputs (https://arxiv.org/abs/1502.01852 with a = √5). */
export const fanIn = (inputs: number): Init => ({ kind: 'uniform', bound: 1 / Math.sqrt(inputs) });

interface LinearOptions {
  readonly bias?: boolean;
  /**
   * What follows takes a constant out again, so the true gradient of the bias is zero. Without this, Adam would turn the
   * rounding noise around that zero into steps.
   */
  readonly idleBias?: boolean;
}

/** `[…, inputs]` → `[…, outputs]` */
export const linear = (g: Scope, x: Tensor, outputs: number, options: LinearOptions = {}): Tensor =>
  linearMap(g, x.shape.at(-1) as number, outputs, options)(x);

/** One layer that several tensors pass. */
export function linearMap(
  g: Scope,
  inputs: number,
  outputs: number,
  { bias = true, idleBias = false }: LinearOptions = {},
): (x: Tensor) => Tensor {
  const weight = g.parameter('weight', [inputs, outputs], fanIn(inputs));
  if (!bias) return (x) => matmul(x, weight);
  const constant = g.parameter('bias', [outputs], fanIn(inputs));
  return (x) => add(matmul(x, weight), idleBias ? stopGradient(constant) : constant);
}
