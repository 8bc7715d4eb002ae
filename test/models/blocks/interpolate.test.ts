import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { interpolationMatrix, interpolations } from '../../../src/models/blocks/interpolate.js';

/** The knots' values at each step. */
const at = (knots: readonly number[], steps: number, mode: (typeof interpolations)[number]): number[] => {
  const matrix = interpolationMatrix(knots.length, steps, mode);
  return Array.from({ length: steps }, (_, step) =>
    knots.reduce((sum, value, knot) => sum + value * matrix[knot * steps + step]!, 0),
  );
};

describe('interpolation equals PyTorch', () => {
  // F.interpolate([0, 1, 3], size=6), align_corners=False
  test.each([
    ['linear', [0, 0.25, 0.75, 1.5, 2.5, 3]],
    ['nearest', [0, 0, 1, 1, 3, 3]],
  ] as const)('%s', (mode, expected) => {
    for (const [i, value] of at([0, 1, 3], 6, mode).entries()) expect(value).toBeCloseTo(expected[i]!, 12);
  });
});

test.each(interpolations)('%s gives a constant for equal knots, and the knots for as many steps', (mode) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 20 }), (knots, steps) => {
      for (const value of at(new Array<number>(knots).fill(2), steps, mode)) expect(value).toBeCloseTo(2, 12);
      const own = Array.from({ length: knots }, (_, i) => i * i);
      for (const [i, value] of at(own, knots, mode).entries()) expect(value).toBeCloseTo(own[i]!, 12);
    }),
  );
});
