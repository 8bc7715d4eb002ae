import { expect, test } from 'vitest';
import { add, fuseBias, matmul, mul } from '../../../src/graph/index.js';
import { applied, graphOf, opsOf, weights } from './fixture.js';

test('a product plus a bias becomes one gemm', () => {
  const graph = graphOf((g) => add(matmul(g.input('x', ['batch', 4]), weights([4, 3])), weights([3], 2)));
  expect(opsOf(applied(fuseBias, graph))).toEqual(['gemm']);
});

test.each([
  ['a product of rank 3', (g) => add(matmul(g.input('x', ['batch', 2, 4]), weights([4, 3])), weights([3]))],
  ['a bias of one number', (g) => add(matmul(g.input('x', ['batch', 4]), weights([4, 3])), weights([1]))],
  ['a bias per row', (g) => add(matmul(g.input('x', ['batch', 4]), weights([4, 3])), g.input('b', ['batch', 3]))],
  [
    'a product with a second reader',
    (g) => {
      const product = matmul(g.input('x', ['batch', 4]), weights([4, 3]));
      return mul(add(product, weights([3])), product);
    },
  ],
] as const satisfies readonly (readonly [string, Parameters<typeof graphOf>[0]])[])('%s is left alone', (_, build) => {
  const graph = graphOf(build);
  expect(opsOf(applied(fuseBias, graph))).toEqual(opsOf(graph));
});
