import { expect, test } from 'vitest';
import { add, createGraph, relu, verify, type Tensor } from '../../src/graph/index.js';

const build = () => {
  const g = createGraph();
  return g.finish({ y: relu(add(g.input('x', ['batch', 2]), g.parameter('b', [2], { kind: 'constant', value: 0 }))) });
};

test('a graph that keeps its rules passes', () => {
  expect(() => verify(build())).not.toThrow();
});

test('a leaf that the graph does not list is found', () => {
  expect(() => verify({ ...build(), inputs: [] })).toThrow(/^x: is used but not listed.*\[ND_GRAPH_INVALID\]$/);
  expect(() => verify({ ...build(), parameters: [] })).toThrow(/^b: is used but not listed/);
});

test('an output whose shape is not what its op says is found', () => {
  const graph = build();
  const { node } = graph.outputs['y']!;
  const outputs: Tensor[] = [];
  const wrong = { ...node, outputs };
  outputs.push({ node: wrong, index: 0, shape: ['batch', 3], dtype: 'float32' });
  expect(() => verify({ ...graph, outputs: { y: outputs[0]! } })).toThrow(
    'relu: output 0 is [batch,3] but must be [batch,2].',
  );
});

test('an output that belongs to another node is found', () => {
  const graph = build();
  const { node } = graph.outputs['y']!;
  const stray = { ...node };
  expect(() =>
    verify({ ...graph, outputs: { y: { node: stray, index: 0, shape: ['batch', 2], dtype: 'float32' } } }),
  ).toThrow('relu: output 0 does not belong to its node.');
});
