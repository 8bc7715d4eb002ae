import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fromHalf, roundToHalf, toHalf } from '../../../src/graph/onnx/half.js';

test.each([
  [0, 0x0000],
  [-0, 0x8000],
  [1, 0x3c00],
  [-2, 0xc000],
  [0.1, 0x2e66],
  [65504, 0x7bff], // the largest
  [1e6, 0x7bff], // beyond it: the largest
  [Number.NEGATIVE_INFINITY, 0xfbff],
  [2 ** -14, 0x0400], // the smallest normal
  [2 ** -24, 0x0001], // the smallest
  [2 ** -25, 0x0000], // half of it: to even
  [1.5 * 2 ** -25, 0x0001],
  [-(2 ** -26), 0x8000],
  [1 + 2 ** -11, 0x3c00], // halfway: to even, down
  [1 + 3 * 2 ** -11, 0x3c02], // halfway: to even, up
  [2 - 2 ** -12, 0x4000], // rounds up into the next power of two
  [2047.5 * 2 ** -25, 0x0400], // rounds up into the first normal
])('%s is 0x%s', (value, half) => {
  expect(toHalf(value)).toBe(half);
});

test('every finite half survives the way there and back', () => {
  const finite = Array.from({ length: 0x10000 }, (_, half) => half).filter((half) => ((half >>> 10) & 0x1f) < 31);
  expect(finite.filter((half) => toHalf(fromHalf(half)) !== half)).toEqual([]);
});

test('no half lies nearer to a number than the one chosen', () => {
  fc.assert(
    fc.property(fc.double({ min: -65504, max: 65504, noNaN: true }), (value) => {
      const single = Math.fround(value);
      const half = toHalf(single);
      const error = Math.abs(fromHalf(half) - single);
      const magnitude = half & 0x7fff;
      for (const neighbour of [magnitude - 1, magnitude + 1]) {
        if (neighbour < 0 || neighbour > 0x7bff) continue;
        expect(Math.abs(fromHalf((half & 0x8000) | neighbour) - single)).toBeGreaterThanOrEqual(error);
      }
    }),
  );
});

test('infinity and not-a-number are read', () => {
  expect(fromHalf(0x7c00)).toBe(Number.POSITIVE_INFINITY);
  expect(fromHalf(0xfc00)).toBe(Number.NEGATIVE_INFINITY);
  expect(fromHalf(0x7e00)).toBeNaN();
});

test.each([
  [0.1, fromHalf(0x2e66)],
  [-65519, -65504], // still nearer to the largest than to what would come next
  [65520, Number.POSITIVE_INFINITY],
  [-1e9, Number.NEGATIVE_INFINITY],
  [Number.NaN, Number.NaN],
])('%s is rounded to %s', (value, half) => {
  expect(roundToHalf(value)).toBe(half);
});
