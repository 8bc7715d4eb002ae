import { expect, test } from 'vitest';
import { add, createGraph, evaluate, leafName, mul, ndarray, packCarried, verify } from '../../../src/graph/index.js';

function counting() {
  const g = createGraph({ streaming: true });
  const x = g.input('x', ['batch', 1]);
  const sum = g.scope('sums').carry('sum', ['batch', 1]);
  const last = g.carry('last', ['batch', 2, 2]);
  g.scope('sums').leave('sum', add(sum, x));
  g.leave('last', mul(last, 2));
  return g.finish({ y: add(sum, x) });
}

test('what is carried comes in and goes out as one row per stream', () => {
  const packed = packCarried.run(counting());
  verify(packed);
  expect(packed.inputs.map((input) => [leafName(input), input.shape])).toEqual([
    ['x', ['batch', 1]],
    ['state', ['batch', 5]],
  ]);
  expect(Object.keys(packed.outputs)).toEqual(['y', 'state/next']);
  const state = ndarray([1, 2, 3, 4, 5, 10, 20, 30, 40, 50], [2, 5]);
  const feeds = { x: ndarray([7, 8], [2, 1]), state };
  const [y, next] = evaluate([packed.outputs['y']!, packed.outputs['state/next']!], feeds, 2);
  expect(Array.from(y!.data)).toEqual([8, 18]);
  expect(Array.from(next!.data)).toEqual([8, 4, 6, 8, 10, 18, 40, 60, 80, 100]);
});

test('a graph that carries nothing stays as it is', () => {
  const g = createGraph();
  const graph = g.finish({ y: g.input('x', ['batch', 1]) });
  expect(packCarried.run(graph)).toBe(graph);
});
