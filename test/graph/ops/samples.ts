/** Every sample of every op as a small graph with random values: what the tests of all ops walk over. */
import { createNode, inputName, registry, type DType, type Op, type Tensor } from '../../../src/graph/ir.js';
import type { Graph } from '../../../src/graph/builder.js';
import { fromHalf, toHalf } from '../../../src/graph/onnx/half.js';
import { mul } from '../../../src/graph/ops/elementwise.js';
import { constant, inputOp, leaf } from '../../../src/graph/ops/leaf.js';
import { sum } from '../../../src/graph/ops/reduce.js';
import { elements, type NdArray } from '../../../src/graph/ndarray.js';

export interface OpCase {
  readonly title: string;
  readonly op: Op;
  readonly graph: Graph;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly feeds: Record<string, NdArray>;
}

/** A small seeded generator: the same values on every run (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A value in [-1, 1] as one the element type can hold; integers are spread over their range. */
const representable: Record<DType, (value: number) => number> = {
  float32: Math.fround,
  float16: (value) => fromHalf(toHalf(value)),
  int4: (value) => Math.round(7 * value),
  int8: (value) => Math.round(127 * value),
  uint8: (value) => Math.round(127.5 * (value + 1)),
  int32: (value) => Math.round(1e6 * value),
  int64: (value) => Math.round(1e6 * value),
};

export function opCases(): OpCase[] {
  return [...registry.values()].flatMap((op) =>
    op.samples.map((sample, number) => {
      const {
        shapes,
        with: attributes,
        dtype = 'float32',
      } = 'shapes' in sample ? sample : { shapes: sample, with: {} };
      const inputs = shapes.map((shape, i) =>
        leaf(inputOp, { name: `x${i}`, shape, dtype: typeof dtype === 'string' ? dtype : dtype[i]! }),
      );
      const node = createNode(op, inputs, attributes);
      const names = op.outputs ?? ['y'];
      const outputs = Object.fromEntries(names.map((name, i) => [name, node.outputs[i]!]));
      const random = seeded(number + 1);
      const [low, high] = op.domain ?? [-1, 1];
      const draw = (type: DType): number => representable[type](low + (high - low) * random());
      const feeds = Object.fromEntries(
        shapes.map((shape, i) => [
          `x${i}`,
          { data: Float64Array.from({ length: elements(shape) }, () => draw(inputs[i]!.dtype)), shape },
        ]),
      );
      const graph: Graph = { inputs, parameters: [], states: [], draws: [], updates: {}, outputs };
      return {
        title: `${op.name} on ${shapes.map((shape) => `[${shape}]`).join(' ')}`,
        op,
        graph,
        inputs,
        outputs: node.outputs,
        feeds,
      };
    }),
  );
}

/** Inputs in which an op with a gradient is flat. */
const flat = new Set(['where.mask', 'gate.by']);

/** The cases of ops through which a gradient flows, with the inputs it flows to. */
export function differentiableCases(): (OpCase & { readonly wrt: readonly Tensor[] })[] {
  return opCases()
    .filter(({ op }) => op.grad !== 'none')
    .map((opCase) => ({
      ...opCase,
      wrt: opCase.inputs.filter((_, i) => !flat.has(`${opCase.op.name}.${inputName(opCase.op, i)}`)),
    }));
}

/** Fixed random weights that make a scalar of a tensor. */
export function probe(shape: readonly number[]): Float64Array {
  const random = seeded(7);
  return Float64Array.from({ length: elements(shape) }, () => Math.fround(random() - 0.5));
}

/** The first output times its probe, added up: its gradient tests every element. A recurrent layer learns from its first output alone. */
export function probeLoss([y]: readonly Tensor[]): Tensor {
  const shape = y!.shape as readonly number[];
  return sum(mul(y!, constant(probe(shape), shape)), { axes: shape.map((_, axis) => axis) });
}
