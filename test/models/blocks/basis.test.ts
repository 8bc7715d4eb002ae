import { describe, expect, test } from 'vitest';
import { seasonBasis, seasonFrequencies, trendBases, trendBasis } from '../../../src/models/blocks/basis.js';

/** The curves at each step. */
const columns = (matrix: Float64Array, length: number): number[][] =>
  Array.from({ length }, (_, step) => [...matrix].filter((_value, i) => i % length === step));

describe('curves of a trend', () => {
  test.each(['spline', 'linear-hat'] as const)('those of %s add up to 1 at every step', (name) => {
    for (const curves of columns(trendBasis(name, 5, 9), 9))
      expect(curves.reduce((sum, value) => sum + value)).toBeCloseTo(1, 12);
  });

  test('a spline starts with its first curve and ends with its last', () => {
    const steps = columns(trendBasis('spline', 5, 9), 9);
    expect(steps[0]).toEqual([1, 0, 0, 0, 0]);
    expect(steps[8]).toEqual([0, 0, 0, 0, 1]);
  });

  test('Chebyshev polynomials are cosines of multiples, Legendre polynomials reach 1', () => {
    expect([...trendBasis('chebyshev', 4, 5).slice(15)].map((value) => value + 0)).toEqual([-1, 1, 0, -1, 1]);
    expect(columns(trendBasis('legendre', 4, 5), 5)[4]).toEqual([1, 1, 1, 1]);
  });

  test.each(trendBases)('%s is finite for a single step', (name) => {
    expect([...trendBasis(name, 4, 1)].every(Number.isFinite)).toBe(true);
  });
});

test('a season has waves of the horizon and faster, each as cosine and sine; the past is their continuation', () => {
  expect(seasonFrequencies(2, 6)).toEqual([0, 1, 1.5, 2, 2.5]);
  const ahead = columns(seasonBasis(1, 4, 4, 1), 4);
  const back = columns(seasonBasis(1, 4, 4, -1), 4);
  expect(ahead[0]).toEqual([1, 1, 0, 0]);
  for (const [step, waves] of back.entries())
    for (const [i, value] of waves.entries()) expect(value).toBeCloseTo(ahead[(4 - step) % 4]![i]!, 12);
});
