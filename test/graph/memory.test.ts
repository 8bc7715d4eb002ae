import { expect, test } from 'vitest';
import {
  add,
  concat,
  constant,
  createGraph,
  exp,
  peakBytes,
  relu,
  reshape,
  slice,
  workingBytes,
} from '../../src/graph/index.js';

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

test('working memory is what is neither fed nor asked for; an op that can writes over what nothing else reads', () => {
  const g = createGraph();
  const x = g.input('x', [100]);
  const early = exp(x);
  const doubled = reshape(concat([early, early], { axis: 0 }), { shape: [2, 100] });
  // `early` 400 and its double 800, which relu writes over; a reshape takes nothing.
  expect(workingBytes(g.finish({ y: slice(relu(doubled), { axis: 0, start: 0, end: 1 }) }))).toBe(1200);
  expect(workingBytes(g.finish({ early, y: slice(relu(doubled), { axis: 0, start: 0, end: 1 }) }))).toBe(800);
});

test('nodes are taken from the last output back, as ONNX Runtime does: what only the first one needs is not there yet', () => {
  const g = createGraph();
  const x = g.input('x', [100]);
  const branch = () => slice(concat([x, x, x], { axis: 0 }), { axis: 0, start: 0, end: 1 });
  expect(workingBytes(g.finish({ first: branch(), second: branch() }))).toBe(1200);
});
