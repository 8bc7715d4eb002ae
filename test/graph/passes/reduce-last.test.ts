import { expect, test } from 'vitest';
import { mean, mul, reduceLast, sum } from '../../../src/graph/index.js';
import { applied, graphOf, opsOf } from './fixture.js';

test.each([
  ['a sum over time with one column', (g) => sum(g.input('x', ['batch', 4, 1]), { axes: [1], keep: true })],
  ['a mean of it that drops the axis', (g) => mean(g.input('x', ['batch', 4, 1, 1]), { axes: [-3] })],
  ['a sum over two axes', (g) => sum(g.input('x', ['batch', 2, 4, 1]), { axes: [1, 2], keep: true })],
] as const satisfies readonly (readonly [string, Parameters<typeof graphOf>[0]])[])(
  '%s becomes one over the last axis',
  (_, build) => {
    const graph = graphOf(build);
    expect(opsOf(applied(reduceLast, graph))).toEqual(['reshape', ...opsOf(graph), 'reshape']);
  },
);

test.each([
  ['a sum over the last axis', (g) => sum(g.input('x', ['batch', 4]), { axes: [1], keep: true })],
  ['a sum over time of two columns', (g) => sum(g.input('x', ['batch', 4, 2]), { axes: [1] })],
  ['a product', (g) => mul(g.input('x', ['batch', 4, 1]), 2)],
] as const satisfies readonly (readonly [string, Parameters<typeof graphOf>[0]])[])('%s is left alone', (_, build) => {
  const graph = graphOf(build);
  expect(opsOf(applied(reduceLast, graph))).toEqual(opsOf(graph));
});
