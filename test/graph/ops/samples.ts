/** Every sample of every op as a small graph with random values: what the tests of all ops walk over. */
import { createNode, registry, type Op, type Tensor } from '../../../src/graph/ir.js';
import { createGraph, type Graph } from '../../../src/graph/builder.js';
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

export function opCases(): OpCase[] {
  return [...registry.values()].flatMap((op) =>
    op.samples.map((sample, number) => {
      const { shapes, with: attributes } = 'shapes' in sample ? sample : { shapes: sample, with: {} };
      const builder = createGraph();
      const inputs = shapes.map((shape, i) => builder.input(`x${i}`, shape));
      const node = createNode(op, inputs, attributes);
      const names = op.outputs ?? ['y'];
      const outputs = Object.fromEntries(names.map((name, i) => [name, node.outputs[i]!]));
      const random = seeded(number + 1);
      const [low, high] = op.domain ?? [-1, 1];
      const feeds = Object.fromEntries(
        shapes.map((shape, i) => [`x${i}`, { data: Float64Array.from({ length: elements(shape) }, () => Math.fround(low + (high - low) * random())), shape }]),
      );
      return { title: `${op.name} on ${shapes.map((shape) => `[${shape}]`).join(' ')}`, op, graph: builder.finish(outputs), inputs, outputs: node.outputs, feeds };
    }),
  );
}
