import { expect, test } from 'vitest';
import { add, fuseCross, matmul, sum, swapLast } from '../../../src/graph/index.js';
import { applied, graphOf, opsOf, weights } from './fixture.js';

test('a matrix that is turned only to be multiplied becomes one node with the product', () => {
  const graph = graphOf((g) => matmul(swapLast(g.input('x', ['batch', 4])), g.input('y', ['batch', 3])));
  expect(opsOf(applied(fuseCross, graph))).toEqual(['cross']);
});

test.each([
  ['a product of rank 3', (g) => matmul(swapLast(g.input('x', ['batch', 2, 4])), g.input('y', ['batch', 2, 3]))],
  ['a second factor that is turned', (g) => matmul(g.input('x', ['batch', 4]), swapLast(weights([3, 4])))],
  [
    'a turned matrix with a second reader',
    (g) => {
      const turned = swapLast(g.input('x', ['batch', 4]));
      return add(matmul(turned, g.input('y', ['batch', 3])), sum(turned, { axes: [1], keep: true }));
    },
  ],
] as const satisfies readonly (readonly [string, Parameters<typeof graphOf>[0]])[])('%s is left alone', (_, build) => {
  const graph = graphOf(build);
  expect(opsOf(applied(fuseCross, graph))).toEqual(opsOf(graph));
});
