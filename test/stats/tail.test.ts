import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fitTail, tailPValue, tailQuantile } from '../../src/stats/tail.js';

const n = 5000;
/** Scores at the middle of n equal slices of a distribution: a sample without luck. */
const sample = (inverse: (u: number) => number): Float64Array =>
  Float64Array.from({ length: n }, (_, i) => inverse((i + 0.5) / n));
const exponential = (u: number): number => -Math.log(1 - u);
const pareto = (shape: number) => (u: number) => ((1 - u) ** -shape - 1) / shape;

describe('the tail of scores', () => {
  test.each([
    ['heavy', 0.3],
    ['bounded', -0.2],
  ])('is found for a %s distribution', (_, shape) => {
    const tail = fitTail(sample(pareto(shape)), { share: 0.1, shape: 'pareto' })!;
    expect(tail.share).toBeCloseTo(0.1, 6);
    expect(Math.abs(tail.shape - shape)).toBeLessThan(0.05);
    // One in a hundred thousand, from a sample of five thousand.
    expect(Math.abs(tailQuantile(tail, 1e-5) / pareto(shape)(1 - 1e-5) - 1)).toBeLessThan(0.15);
  });

  test('is an exponential when that is asked for, and nearly one when the scores are', () => {
    const scores = sample(exponential);
    expect(fitTail(scores, { share: 0.05, shape: 'exponential' })).toMatchObject({ shape: 0 });
    const tail = fitTail(scores, { share: 0.05, shape: 'pareto' })!;
    expect(Math.abs(tail.shape)).toBeLessThan(0.06);
    expect(Math.log(tailPValue(tail, 9))).toBeGreaterThan(-10);
    expect(Math.log(tailPValue(tail, 9))).toBeLessThan(-8);
  });

  test('is unknown for too few scores and for scores that are all alike', () => {
    expect(fitTail([1, 2, 3], { share: 0.05, shape: 'pareto' })).toBeUndefined();
    expect(fitTail(new Float64Array(100).fill(1), { share: 0.05, shape: 'pareto' })).toBeUndefined();
  });

  test('ends where a bounded distribution ends, but never at a chance of zero', () => {
    expect(tailPValue({ threshold: 1, share: 0.1, shape: -0.5, scale: 1 }, 9)).toBe(1e-9);
  });
});

test('the quantile is the inverse of the chance, and a larger score is never likelier', () => {
  const tails = fc.record({
    threshold: fc.double({ min: -5, max: 5, noNaN: true }),
    share: fc.constantFrom(0.02, 0.1),
    shape: fc.constantFrom(-0.3, 0, 0.2, 0.7),
    scale: fc.double({ min: 0.1, max: 10, noNaN: true }),
  });
  fc.assert(
    fc.property(tails, fc.double({ min: 1e-6, max: 0.01, noNaN: true }), (tail, p) => {
      const score = tailQuantile(tail, p);
      expect(tailPValue(tail, score) / p).toBeCloseTo(1, 6);
      expect(tailPValue(tail, score + tail.scale)).toBeLessThan(p);
    }),
  );
});
