import fc from 'fast-check';
import { expect, test } from 'vitest';
import { eigenSymmetric } from '../../src/stats/eigen.js';

test('a matrix of two rows has the eigenvalues of its formula, the largest first', () => {
  const { values, vectors } = eigenSymmetric([
    [2, 1],
    [1, 2],
  ]);
  expect(values[0]).toBeCloseTo(3, 12);
  expect(values[1]).toBeCloseTo(1, 12);
  expect(Math.abs(vectors[0]![0]! - vectors[0]![1]!)).toBeLessThan(1e-12);
});

test('A v = λ v, and the vectors are orthonormal', () => {
  const square = fc.integer({ min: 1, max: 8 }).chain((n) =>
    fc.array(fc.array(fc.double({ min: -3, max: 3, noNaN: true }), { minLength: n, maxLength: n }), {
      minLength: n,
      maxLength: n,
    }),
  );
  const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
  fc.assert(
    fc.property(square, (rows) => {
      const a = rows.map((row, i) => row.map((value, j) => value + rows[j]![i]!));
      const { values, vectors } = eigenSymmetric(a);
      vectors.forEach((v, k) => {
        a.forEach((row, i) => expect(dot(row, v) - values[k]! * v[i]!).toBeCloseTo(0, 8));
        vectors.forEach((w, l) => expect(dot(v, w)).toBeCloseTo(k === l ? 1 : 0, 8));
        if (k > 0) expect(values[k]!).toBeLessThanOrEqual(values[k - 1]!);
      });
    }),
  );
});
