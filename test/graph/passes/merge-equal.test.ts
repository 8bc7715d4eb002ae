import { expect, test } from 'vitest';
import { add, constant, exp, mergeEqual, mul, slice, sub } from '../../../src/graph/index.js';
import { applied, graphOf, opsOf, values } from './fixture.js';

test('equal nodes become one, and so do what they feed', () => {
  const graph = graphOf((g) => {
    const x = g.input('x', ['batch', 3]);
    return mul(exp(add(x, constant([1, 2, 3]))), exp(add(x, constant([1, 2, 3]))));
  });
  expect(opsOf(applied(mergeEqual, graph))).toEqual(['add', 'exp', 'mul']);
});

test.each([
  ['other attributes', [0, 1], 1, 1],
  ['other constants', [0, 0], 1, 2],
] as const)('nodes with %s stay two', (_, [first, second], a, b) => {
  const graph = graphOf((g) => {
    const x = g.input('x', [4]);
    const part = (start: number, by: number) => mul(slice(x, { axis: 0, start, end: start + 2 }), by);
    return sub(part(first, a), part(second, b));
  });
  expect(opsOf(applied(mergeEqual, graph)).filter((name) => name === 'mul')).toHaveLength(2);
});

test('operands in another order stay two nodes', () => {
  const graph = graphOf((g) => {
    const [x, z] = [g.input('x', [3]), g.input('z', [3])];
    return add(sub(x, z), sub(z, x));
  });
  expect(opsOf(applied(mergeEqual, graph))).toHaveLength(3);
});

test('constants of equal numbers but another shape or type stay two', () => {
  const graph = graphOf((g) => {
    const x = g.input('x', [2, 2]);
    return add(mul(x, constant([1, 2])), mul(x, constant([1, 2], [2, 1])));
  });
  expect(opsOf(applied(mergeEqual, graph)).filter((name) => name === 'mul')).toHaveLength(2);
});

test('large constants of equal values become one, and those that differ in one value stay two', () => {
  const product = (other: Float32Array) =>
    graphOf((g) => {
      const x = g.input('x', [65]);
      return sub(mul(x, constant(Float32Array.from(values([65])))), mul(x, constant(other)));
    });
  const muls = (other: Float32Array) =>
    opsOf(applied(mergeEqual, product(other))).filter((name) => name === 'mul').length;
  const same = Float32Array.from(values([65]));
  expect(muls(same)).toBe(1);
  expect(muls(same.with(64, 7))).toBe(2);
});
