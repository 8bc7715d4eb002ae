/** What the tests of all passes share: a graph before and after, checked and compared. */
import { expect } from 'vitest';
import {
  constant,
  createGraph,
  evaluate,
  leafName,
  topological,
  verify,
  type Graph,
  type GraphBuilder,
  type Pass,
  type Tensor,
} from '../../../src/graph/index.js';
import { elements } from '../../../src/graph/ndarray.js';
import { bindBatch } from '../../../src/graph/shape.js';
import { seeded } from '../ops/samples.js';

/** A graph with one output. */
export function graphOf(build: (g: GraphBuilder) => Tensor): Graph {
  const g = createGraph();
  return g.finish({ y: build(g) });
}

/** Seeded values in [-0.5, 0.5). */
export function values(shape: readonly number[], seed = 1): Float64Array {
  const random = seeded(seed);
  return Float64Array.from({ length: elements(shape) }, () => random() - 0.5);
}
export const weights = (shape: readonly number[], seed?: number): Tensor => constant(values(shape, seed), shape);

/** Ops of a graph in order, leaves left out. */
export const opsOf = (graph: Graph): string[] =>
  topological(Object.values(graph.outputs)).flatMap(({ op, inputs }) => (inputs.length > 0 ? [op.name] : []));

export function run(graph: Graph, batch = 3): Float64Array {
  const fed = [...graph.inputs, ...graph.parameters, ...graph.states];
  const feeds = fed.map((tensor, i) => {
    const shape = bindBatch(tensor.shape, batch);
    return [leafName(tensor), { data: values(shape, 100 + i), shape }] as const;
  });
  return evaluate([graph.outputs['y']!], Object.fromEntries(feeds), batch)[0]!.data;
}

/** The graph after the pass, which must have kept its own rules and every number, and left the graph before as it was. */
export function applied(pass: Pass, before: Graph): Graph {
  const nodes = topological(Object.values(before.outputs));
  const expected = run(before);
  const after = pass.run(before);
  verify(after);
  const actual = run(after);
  expect(actual).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, 10);
  expect(topological(Object.values(before.outputs))).toEqual(nodes);
  return after;
}
