import fc from 'fast-check';
import { expect, test } from 'vitest';
import { autocorrelation, guessSeason } from '../../src/evaluate/season.js';

/** Repeatable noise in [-0.5, 0.5). */
function noise(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48271) % 2147483647) / 2147483647 - 0.5;
}

test('any season is found, on a trend, under noise, with gaps', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 4, max: 60 }),
      fc.double({ min: -0.1, max: 0.1, noNaN: true }),
      fc.integer({ min: 1, max: 1e6 }),
      (season, slope, seed) => {
        const random = noise(seed);
        const values = Array.from({ length: season * 20 }, (_, i) =>
          i % 37 === 5
            ? NaN
            : Math.sin((2 * Math.PI * i) / season) +
              Math.sin((4 * Math.PI * i) / season) * 0.3 +
              slope * i +
              0.3 * random(),
        );
        expect(Math.abs(guessSeason(values) - season)).toBeLessThanOrEqual(season > 15 ? 2 : 0);
        expect(guessSeason(values, { natural: [season] })).toBe(season);
      },
    ),
  );
});

test('a level that wanders does not hide the day', () => {
  const random = noise(5);
  let level = 0;
  expect(
    guessSeason(Array.from({ length: 3000 }, (_, i) => (level += random() * 0.3) + Math.sin((2 * Math.PI * i) / 24))),
  ).toBe(24);
});

test('noise, a straight line, a constant and two values have no season', () => {
  const random = noise(3);
  expect(guessSeason(Array.from({ length: 2000 }, random))).toBe(1);
  expect(guessSeason(Array.from({ length: 200 }, (_, i) => 3 * i))).toBe(1);
  expect(guessSeason(new Float64Array(100).fill(5))).toBe(1);
  expect(guessSeason([1, 2])).toBe(1);
});

test('the autocorrelation of a pure wave is a wave', () => {
  const wave = Float64Array.from({ length: 1200 }, (_, i) => Math.cos((2 * Math.PI * i) / 12));
  const correlation = autocorrelation(wave, 12);
  expect(correlation[0]).toBe(1);
  expect(correlation[6]).toBeCloseTo(-1, 3);
  expect(correlation[12]).toBeCloseTo(1, 3);
});
