import { expect, test } from 'vitest';
import {
  add,
  broadcastTo,
  constant,
  div,
  mul,
  reshape,
  simplify,
  stopGradient,
  sub,
  transpose,
  type Tensor,
} from '../../../src/graph/index.js';
import { applied, graphOf, opsOf, weights } from './fixture.js';

const ones = constant([1, 1, 1]);
const zeros = constant([0, 0, 0]);

test.each<[string, (x: Tensor) => Tensor]>([
  ['x · 1', (x) => mul(x, 1)],
  ['1 · x', (x) => mul(ones, x)],
  ['x + 0', (x) => add(x, zeros)],
  ['0 + x', (x) => add(0, x)],
  ['x - 0', (x) => sub(x, 0)],
  ['x / 1', (x) => div(x, ones)],
  ['a reshape to the same shape', (x) => reshape(x, { shape: ['batch', 3] })],
  ['a reshape there and back', (x) => reshape(reshape(x, { shape: ['batch', 3, 1] }), { shape: ['batch', 3] })],
  ['a broadcast to the same shape', (x) => broadcastTo(x, { shape: ['batch', 3] })],
  ['a transpose that moves nothing', (x) => transpose(x, { order: [0, 1] })],
  ['two transposes that cancel', (x) => transpose(transpose(x, { order: [1, 0] }), { order: [1, 0] })],
  ['a stopped gradient', (x) => stopGradient(x)],
])('%s is x', (_, build) => {
  const graph = graphOf((g) => build(g.input('x', ['batch', 3])));
  expect(opsOf(applied(simplify, graph))).toEqual([]);
});

test('two transposes in a row become one', () => {
  const graph = graphOf((g) =>
    transpose(transpose(g.input('x', ['batch', 2, 3]), { order: [1, 2, 0] }), { order: [1, 2, 0] }),
  );
  expect(opsOf(applied(simplify, graph))).toEqual(['transpose']);
});

test.each<[string, (x: Tensor) => Tensor]>([
  ['x · 2', (x) => mul(x, 2)],
  ['a factor of ones with one that is not', (x) => mul(x, constant([1, 1, 2]))],
  ['0 - x', (x) => sub(0, x)],
  ['1 / x', (x) => div(1, x)],
  ['a sum that makes x larger', (x) => add(x, constant(new Float32Array(6), [2, 1, 3]))],
  ['a product of unknowns', (x) => mul(x, x)],
])('%s is left alone', (_, build) => {
  const graph = graphOf((g) => build(g.input('x', [3])));
  expect(opsOf(applied(simplify, graph))).toHaveLength(1);
});

test('what fires inside an update of a state is rewritten there too', () => {
  const graph = graphOf((g) => mul(g.input('x', [3]), weights([3])));
  const extended = { ...graph, updates: { mean: mul(graph.inputs[0]!, 1) } };
  expect(simplify.run(extended).updates['mean']).toBe(graph.inputs[0]);
});
