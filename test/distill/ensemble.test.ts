import fc from 'fast-check';
import { expect, test } from 'vitest';
import { weighings } from '../../src/distill/ensemble.js';

/** Members as points of a plane; the truth is its origin. */
const errorOf =
  (members: readonly (readonly [number, number])[]) =>
  (weights: readonly number[]): number =>
    Math.hypot(...[0, 1].map((axis) => members.reduce((sum, m, i) => sum + weights[i]! * m[axis]!, 0)));
const plane = fc.array(fc.tuple(fc.double({ min: -1, max: 1, noNaN: true }), fc.double({ min: -1, max: 1, noNaN: true })), { minLength: 1, maxLength: 6 }); // prettier-ignore

test('the greedy choice is no worse than the best member, and its weights add up to 1', () => {
  fc.assert(
    fc.property(plane, (members) => {
      const error = errorOf(members);
      const weights = weighings.greedy(error, members.length);
      const best = weighings.best(error, members.length);
      expect(weights.reduce((a, b) => a + b)).toBeCloseTo(1, 9);
      expect(error(weights)).toBeLessThanOrEqual(error(best));
      expect(best.filter((weight) => weight > 0)).toEqual([1]);
    }),
  );
});

test('members that err in opposite ways share the weight, a poor one gets none', () => {
  const weights = weighings.greedy(errorOf([[1, 0], [-1, 0], [0, 30]]), 3); // prettier-ignore
  expect(weights).toEqual([0.5, 0.5, 0]);
  expect(weighings.mean(errorOf([]), 4)).toEqual([0.25, 0.25, 0.25, 0.25]);
});
