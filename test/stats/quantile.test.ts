import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  mean,
  median,
  medianAbsoluteDeviation,
  quantile,
  quantileOfSorted,
  ranks,
  sorted,
  standardDeviation,
} from '../../src/stats/quantile.js';

const numbers = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 50 });

describe('quantile', () => {
  test('golden values, linear between neighbours', () => {
    expect(quantile([4, 1, 3, 2], 0)).toBe(1);
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5);
    expect(quantile([4, 1, 3, 2], 0.9)).toBeCloseTo(3.7, 12);
    expect(quantile([4, 1, 3, 2], 1)).toBe(4);
    expect(quantile([7], 0.3)).toBe(7);
  });

  test('of nothing is NaN', () => {
    expect(quantileOfSorted([], 0.5)).toBeNaN();
  });

  test('lies within the values and never falls as q rises', () => {
    fc.assert(
      fc.property(
        numbers,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, a, b) => {
          const low = quantile(values, Math.min(a, b));
          const high = quantile(values, Math.max(a, b));
          expect(low).toBeLessThanOrEqual(high + 1e-9);
          expect(low).toBeGreaterThanOrEqual(Math.min(...values) - 1e-9);
          expect(high).toBeLessThanOrEqual(Math.max(...values) + 1e-9);
        },
      ),
    );
  });
});

describe('centre and spread', () => {
  test('golden values', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(mean([1, 2, 3, 6])).toBe(3);
    expect(standardDeviation([2, 4, 4, 4, 5, 5, 7, 9])).toBe(2);
    expect(medianAbsoluteDeviation([1, 1, 2, 2, 4, 6, 9])).toBe(1);
  });

  test('a large level costs no digits of the deviation', () => {
    expect(standardDeviation([1e9 + 1, 1e9 + 2, 1e9 + 3])).toBeCloseTo(Math.sqrt(2 / 3), 9);
  });

  test('the input is left as it was', () => {
    const values = [3, 1, 2];
    sorted(values);
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });
});

describe('ranks', () => {
  test('equal values share the mean of their ranks', () => {
    expect([...ranks([10, 20, 10, 5])]).toEqual([2.5, 4, 2.5, 1]);
  });

  test('the sum of ranks is that of 1 to n', () => {
    fc.assert(
      fc.property(numbers, (values) => {
        const sum = ranks(values).reduce((a, b) => a + b, 0);
        expect(sum).toBeCloseTo((values.length * (values.length + 1)) / 2, 6);
      }),
    );
  });
});
