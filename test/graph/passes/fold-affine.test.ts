import { expect, test } from 'vitest';
import {
  add,
  flip,
  foldAffine,
  fuseBias,
  matmul,
  mul,
  relu,
  reshape,
  slice,
  sub,
  swapLast,
  transpose,
  type GraphBuilder,
  type Tensor,
} from '../../../src/graph/index.js';
import { applied, graphOf, opsOf, weights } from './fixture.js';

const past = (g: GraphBuilder): Tensor => g.input('past', ['batch', 6, 1]);

test('a moving average, two maps and their sum become one gemm', () => {
  const graph = graphOf((g) => {
    const x = reshape(past(g), { shape: ['batch', 6] });
    const trend = matmul(x, weights([6, 6]));
    const forecast = add(
      matmul(trend, weights([6, 4], 2)),
      add(matmul(sub(x, trend), weights([6, 4], 3)), weights([4], 4)),
    );
    return reshape(forecast, { shape: ['batch', 4, 1] });
  });
  expect(opsOf(applied(foldAffine, graph)).filter((name) => name !== 'reshape')).toEqual(['gemm']);
});

test('moves of elements are part of the map', () => {
  const graph = graphOf((g) => {
    const x = transpose(past(g), { order: [0, 2, 1] });
    const last = slice(x, { axis: 2, start: 5, end: 6 });
    const centred = sub(x, last);
    return add(add(matmul(flip(centred, { axis: 2 }), weights([6, 4])), weights([4])), last);
  });
  expect(opsOf(applied(foldAffine, graph)).filter((name) => name !== 'reshape')).toEqual(['gemm']);
});

test('folding what is folded changes nothing', () => {
  const graph = graphOf((g) =>
    matmul(matmul(matmul(g.input('x', ['batch', 6]), weights([6, 6])), weights([6, 6])), weights([6, 4])),
  );
  const once = applied(foldAffine, graph);
  expect(opsOf(once)).toEqual(['gemm']);
  expect(foldAffine.run(once)).toBe(once);
});

test.each<[string, (x: Tensor, g: GraphBuilder) => Tensor]>([
  ['a product of two unknowns', (x) => mul(mul(mul(x, x), 2), x)],
  ['a single layer, which is one gemm already', (x) => add(matmul(x, weights([6, 4])), weights([4]))],
  ['a chain over the batch', (x) => swapLast(swapLast(x))],
  ['parameters that are still learned', (x, g) => matmul(x, g.parameter('w', [6, 4], { kind: 'constant', value: 1 }))],
  ['maps with a relu between', (x) => matmul(relu(matmul(x, weights([6, 6]))), weights([6, 4]))],
])('%s stays', (_, build) => {
  const graph = graphOf((g) => build(g.input('x', ['batch', 6]), g));
  expect(opsOf(applied(foldAffine, graph))).toEqual(opsOf(graph));
});

test('a narrow layer between two wide ones stays: one matrix would hold more numbers', () => {
  const graph = graphOf((g) =>
    matmul(add(matmul(g.input('x', ['batch', 12]), weights([12, 2])), weights([2])), weights([2, 12])),
  );
  expect(opsOf(applied(foldAffine, fuseBias.run(graph)))).toEqual(['gemm', 'matmul']);
});

test('a sum of two inputs stays', () => {
  const graph = graphOf((g) => mul(add(mul(g.input('x', ['batch', 6]), 2), mul(g.input('z', ['batch', 6]), 3)), 4));
  expect(opsOf(applied(foldAffine, graph))).toEqual(opsOf(graph));
});
