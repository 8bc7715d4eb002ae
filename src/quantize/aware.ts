/**
 * Quantization-aware training: every product that INT8 would compute sees its weights and its input as INT8 would store
 * them, and learns to live with it. Gradients pass straight through the rounding. FORECASTING.md §13
 */
import {
  abs,
  conv1d,
  definePass,
  div,
  fakeQuantize,
  gemm,
  matmul,
  max,
  maximum,
  neg,
  reshape,
  size,
  stopGradient,
  sub,
  throughIntegers,
  type Node,
  type Pass,
  type Tensor,
} from '../graph/index.js';
import { createNode } from '../graph/ir.js';
import { parameterOp } from '../graph/ops/leaf.js';
import { largestWeight, worthwhile } from './layers.js';

const products = [matmul.op, gemm.op, conv1d.op];
const tiny = 1e-12;

/** Ranges follow the weights, and the inputs of each batch. Without `activations` the weights alone are rounded. */
export function quantizationAware({ activations }: { activations: boolean }): Pass {
  return definePass('quantization-aware', [
    (node) => {
      const { op, inputs, attributes } = node;
      if (!products.includes(op) || !isLayer(node)) return undefined;
      const [x, weight, ...rest] = inputs as [Tensor, Tensor, ...Tensor[]];
      const seen = activations ? throughBytes(x) : x;
      return createNode(op, [seen, roundedWeight(weight, op === conv1d.op), ...rest], attributes).outputs[0];
    },
  ]);
}

const isLayer = ({ op, inputs: [x, weight] }: Node): boolean =>
  weight?.node.op === parameterOp &&
  x?.node.op !== parameterOp &&
  weight.shape.length === (op === conv1d.op ? 3 : 2) &&
  (size(weight.shape) as number) >= worthwhile;

/** Symmetric, seven bits for each output channel: the first axis of a convolution, the last of a matrix. */
function roundedWeight(weight: Tensor, convolution: boolean): Tensor {
  const fixed = abs(stopGradient(weight));
  const [outputs, ...taps] = weight.shape as [number, number, number];
  const largest = convolution
    ? reshape(max(reshape(fixed, { shape: [outputs, taps[0] * taps[1]] }), { axis: 1 }), { shape: [outputs, 1, 1] })
    : max(fixed, { axis: 0 });
  const scale = div(maximum(largest, tiny), largestWeight);
  return fakeQuantize(weight, scale, 0, { low: -largestWeight, high: largestWeight });
}

/** A byte for the range of the batch, 0 in it, and exact. */
function throughBytes(x: Tensor): Tensor {
  const fixed = stopGradient(x);
  const top = (values: Tensor): Tensor =>
    maximum(
      values.shape.reduce((rest) => max(rest, { axis: 0 }), values),
      0,
    );
  const [high, low] = [top(fixed), neg(top(neg(fixed)))];
  const scale = maximum(div(sub(high, low), 255), tiny);
  const zero = throughIntegers(neg(div(low, scale)), 1, 0, { low: 0, high: 255 });
  return fakeQuantize(x, scale, zero, { low: 0, high: 255 });
}
