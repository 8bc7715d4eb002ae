import { expect, test } from 'vitest';
import {
  createGraph,
  evaluate,
  gradients,
  lstm,
  ndarray,
  reshape,
  slice,
  sum,
  square,
} from '../../../src/graph/index.js';
import { probe } from './samples.js';

test('an lstm that goes on from the state and cell of another is one over both parts, and so are its gradients', () => {
  const shapes = { x: [5, 2, 8], w: [2, 8], h0: [2, 2], c0: [2, 2] };
  const g = createGraph();
  const x = g.input('x', shapes.x);
  const w = g.input('w', shapes.w);
  const h0 = g.input('h0', shapes.h0);
  const c0 = g.input('c0', shapes.c0);
  const feeds = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [name, ndarray([...probe(shape)], shape)]),
  );

  const whole = slice(lstm(x, w, h0, c0).h, { axis: 0, start: 2, end: 5 });
  const { h, last } = lstm(slice(x, { axis: 0, start: 0, end: 2 }), w, h0, c0);
  const state = reshape(slice(h, { axis: 0, start: 1, end: 2 }), { shape: [2, 2] });
  const second = lstm(slice(x, { axis: 0, start: 2, end: 5 }), w, state, last).h;

  const all = [whole, second].map((states) => {
    const loss = sum(square(states), { axes: [0, 1, 2] });
    return evaluate([states, ...gradients(loss, [x, w, h0, c0])], feeds).map(({ data }) => [...data]);
  });
  for (const [i, values] of all[0]!.entries())
    for (const [j, value] of values.entries()) expect(all[1]![i]![j]).toBeCloseTo(value, 12);
});
