import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createQuality } from '../../src/runtime/quality.js';

test('errors, coverage and the tracking signal are those of the newest buckets', () => {
  const quality = createQuality(4);
  expect(quality.read()).toBeUndefined();
  quality.add(100, false); // leaves the window below
  for (const [error, covered] of [[1, true], [-1, true], [3, false], [-1, true]] as const) quality.add(error, covered); // prettier-ignore
  expect(quality.read()).toEqual({ absError: 1.5, coverage: 0.75, drift: 2 / 6 });
});

test('errors to one side are a drift of 1, none at all is no drift, and no interval has no coverage', () => {
  const quality = createQuality();
  for (let i = 0; i < 250; i++) quality.add(0.1, undefined);
  expect(quality.read()).toMatchObject({ drift: 1, coverage: undefined });
  expect(quality.read()!.absError).toBeCloseTo(0.1, 12);
  for (let i = 0; i < 100; i++) quality.add(0, undefined);
  expect(quality.read()).toEqual({ absError: 0, coverage: undefined, drift: 0 });
});

test('shares lie between 0 and 1, whatever the errors', () => {
  const one = fc.tuple(fc.double({ min: -1e9, max: 1e9, noNaN: true }), fc.boolean());
  fc.assert(
    fc.property(fc.array(one, { minLength: 1, maxLength: 30 }), (errors) => {
      const quality = createQuality(8);
      for (const [error, covered] of errors) quality.add(error, covered);
      const { absError, coverage, drift } = quality.read()!;
      expect(absError).toBeGreaterThanOrEqual(0);
      for (const share of [coverage!, drift]) {
        expect(share).toBeGreaterThanOrEqual(0);
        expect(share).toBeLessThanOrEqual(1 + 1e-12);
      }
    }),
  );
});
