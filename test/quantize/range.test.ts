import fc from 'fast-check';
import { expect, test } from 'vitest';
import { activationScale, countInto, createHistogram, methods, type Method } from '../../src/quantize/range.js';

function scaleOf(values: readonly number[], method: Method) {
  const histogram = createHistogram('layer', Math.min(...values), Math.max(...values));
  countInto(histogram, Float32Array.from(values));
  const { scale, zero } = activationScale(histogram, method);
  return { low: -zero[0] * scale[0], high: (255 - zero[0]) * scale[0], step: scale[0], zero: zero[0] };
}

/** 10 000 values spread evenly over [-1, 1], and one far out. */
const withOutlier = [...Array.from({ length: 10_000 }, (_, i) => i / 5_000 - 1), 100];

test('minmax covers everything seen, with zero on a step', () => {
  fc.assert(
    fc.property(
      fc.array(fc.float({ min: -1000, max: 1000, noNaN: true }), { minLength: 2, maxLength: 50 }),
      (values) => {
        fc.pre(new Set(values).size > 1 && Math.max(...values) - Math.min(...values) > 1e-3);
        const { low, high, step, zero } = scaleOf(values, 'minmax');
        expect(Number.isInteger(zero)).toBe(true);
        expect(low).toBeLessThanOrEqual(Math.min(...values) + step);
        expect(high).toBeGreaterThanOrEqual(Math.max(...values) - step);
      },
    ),
  );
});

test('a percentile leaves out what lies beyond it', () => {
  expect(scaleOf(withOutlier, 'minmax').high).toBeCloseTo(100, 0);
  expect(scaleOf(withOutlier, 'percentile-99.9').high).toBeLessThan(1.1);
  expect(scaleOf(withOutlier, 'percentile-99.999').high).toBeCloseTo(100, 0); // one in ten thousand is more than one in a hundred thousand
});

test('the mse search gives up a rare outlier only as far as that pays', () => {
  const { high } = scaleOf(withOutlier, 'mse');
  expect(high).toBeLessThan(100);
  expect(high).toBeGreaterThan(20);
});

test('what comes out of a relu keeps zero as its first step, whatever the method', () => {
  const rectified = Array.from({ length: 1000 }, (_, i) => Math.max(0, Math.sin(i)));
  for (const method of methods) expect(scaleOf(rectified, method).zero, method).toBe(0);
});

test('a range without width is refused, and so is one that is not finite', () => {
  expect(() => createHistogram('stack0/knots', 0, 0)).toThrow(/^stack0\/knots: .*\[ND_QUANTIZE_RANGE_COLLAPSED\]$/);
  for (const high of [Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => createHistogram('stack0/knots', 0, high)).toThrow('[ND_QUANTIZE_SCALE_NOT_FINITE]');
  }
});
