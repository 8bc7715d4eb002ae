import { expect, test } from 'vitest';
import { add, concat, constant, createGraph, exp, peakBytes, relu, reshape } from '../../src/graph/index.js';

test('a chain takes its leaves, its output and the two tensors at the widest place', () => {
  const g = createGraph();
  const x = g.input('x', [10]); // 40 bytes
  const wide = concat([exp(x), x], { axis: 0 }); // 40, then 80
  const y = relu(exp(reshape(wide, { shape: [4, 5] })));
  // x, wide, and a tensor of 80 made from it: then from that one the next, wide being gone.
  expect(peakBytes(g.finish({ y }))).toBe(40 + 80 + 80);
});

test('what is read later stays, and outputs and updates stay to the end', () => {
  const g = createGraph();
  const [x, state] = [g.input('x', [100]), g.state('s', [100], { kind: 'constant', value: 0 })];
  const early = exp(x);
  const late = relu(relu(relu(early)));
  g.update(state, add(state, early));
  expect(peakBytes(g.finish({ y: add(late, early), early }))).toBe(400 * (2 + 1 + 2)); // x, s; early; y or an update, late
  expect(peakBytes(g.finish({ late }))).toBe(400 * (2 + 1 + 2));
});

test('the batch counts, and so does the width of the element type', () => {
  const g = createGraph();
  const graph = g.finish({ y: relu(g.input('x', ['batch', 5])), whole: constant([1, 2, 3], [3], 'int8') });
  expect(peakBytes(graph)).toBe(20 + 20 + 3);
  expect(peakBytes(graph, 7)).toBe(140 + 140 + 3);
});
