import { expect, test } from 'vitest';
import {
  add,
  bindParameters,
  createGraph,
  evaluate,
  leafName,
  matmul,
  mul,
  ndarray,
  verify,
} from '../../../src/graph/index.js';
import { values } from './fixture.js';

function learned() {
  const g = createGraph();
  const w = g.scope('out').parameter('weight', [3, 2], { kind: 'constant', value: 0 });
  const mean = g.state('mean', [2], { kind: 'constant', value: 0 });
  const y = add(matmul(g.input('x', ['batch', 3]), w), mean);
  g.update(mean, mul(mean, 0.9));
  return g.finish({ y });
}
const [weight, mean] = [values([3, 2], 100), values([2], 101)];

test('parameters and states become constants of their values, and updates go', () => {
  const graph = learned();
  const bound = bindParameters(graph, { 'out/weight': weight, mean });
  verify(bound);
  expect([bound.parameters, bound.states, bound.updates]).toEqual([[], [], {}]);
  expect(bound.inputs.map(leafName)).toEqual(['x']);
  const feeds = { x: ndarray(values([2, 3]), [2, 3]), 'out/weight': ndarray(weight, [3, 2]), mean: ndarray(mean, [2]) };
  const y = [bound.outputs['y']!, graph.outputs['y']!].map((output) => evaluate([output], feeds, 2)[0]!.data);
  expect(y[0]).toEqual(y[1]);
});

test('a constant keeps the name of the parameter it was', () => {
  const bound = bindParameters(learned(), { 'out/weight': weight, mean });
  const product = bound.outputs['y']!.node.inputs[0]!;
  expect(leafName(product.node.inputs[1]!)).toBe('out/weight');
});

test('a missing value is named, and so is one of the wrong length', () => {
  expect(() => bindParameters(learned(), { mean })).toThrow(/^out\/weight: has no value.*\[ND_GRAPH_INVALID\]$/);
  expect(() => bindParameters(learned(), { 'out/weight': mean, mean })).toThrow('[ND_SHAPE_MISMATCH]');
});
