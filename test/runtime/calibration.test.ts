import { describe, expect, test } from 'vitest';
import { createScoreRing } from '../../src/stats/conformal.js';
import { createCalibration, deviations, leadsOf, ringPValue } from '../../src/runtime/calibration.js';
import type { Deviation } from '../../src/runtime/calibration.js';
import type { Forecast } from '../../src/runtime/forecaster.js';

const settings = { ringSize: 100, ringMinimum: 20, gamma: 0.01, coverage: 0.9, method: 'conformal' as const };
const at = (lead: number, score: number): Deviation => ({ lead, expected: 0, halfWidth: 1, score });

test('a bucket is held against one step, half a horizon and a whole horizon', () => {
  expect([leadsOf(24), leadsOf(2), leadsOf(1)]).toEqual([[1, 12, 24], [1, 2], [1]]);
});

test('deviations are found by the start of the forecast, and left out where there is none', () => {
  const forecast = (startMs: number, p50: number[]): Forecast => ({
    startMs,
    p50: Float32Array.from(p50),
    halfWidth: Float32Array.of(1, 2),
    coverage: 0.9,
    imputed: 0,
  });
  const expectations = new Map([
    [60, forecast(60, [5, 9])],
    [50, forecast(50, [7, 9])],
  ]);
  expect(deviations(8, 60, 10, [1, 2], expectations)).toEqual([
    { lead: 1, expected: 5, halfWidth: 1, score: 3 },
    { lead: 2, expected: 9, halfWidth: 2, score: 0.5 },
  ]);
  expect(deviations(8, 90, 10, [1, 2], expectations)).toEqual([]);
});

describe('the p-value', () => {
  const tail = { share: 0.05, shape: 'exponential' } as const;
  const ring = createScoreRing(
    1000,
    Float64Array.from({ length: 1000 }, (_, i) => -Math.log(1 - (i + 0.5) / 1000)),
  ); // exponential scores

  test('is the rank where scores are plenty', () => {
    expect(ringPValue(ring, Math.LN2, tail)).toBeCloseTo(0.5, 2);
  });

  test.each([5, 8, 12])('goes on as an exponential beyond the ring: score %d of an exponential', (score) => {
    const p = ringPValue(ring, score, tail);
    expect(Math.log(p) / -score).toBeGreaterThan(0.9);
    expect(Math.log(p) / -score).toBeLessThan(1.1);
  });

  test('has a floor, and stays a rank when the tail says nothing', () => {
    expect(ringPValue(ring, 1e6, tail)).toBe(1e-9);
    expect(ringPValue(createScoreRing(10, [1, 2, 3]), 9, tail)).toBe(0.25);
    expect(ringPValue(createScoreRing(100, new Float64Array(100).fill(1)), 2, tail)).toBeCloseTo(1 / 101);
  });
});

describe('a calibration', () => {
  test('by peaks over threshold tells a heavy tail from a light one', () => {
    const scores = Array.from({ length: 1000 }, (_, i) => (1 - (i + 0.5) / 1000) ** -0.5); // tail index 2
    const pOf = (method: 'conformal' | 'pot') => {
      const calibration = createCalibration(1, { ...settings, ringSize: 1000, method });
      for (const score of scores) calibration.learn([at(1, score)]);
      return calibration.surprise([at(1, 100)])!.p; // truly 1e-4
    };
    expect(pOf('pot') / 1e-4).toBeGreaterThan(0.3);
    expect(pOf('pot') / 1e-4).toBeLessThan(3);
    expect(pOf('conformal')).toBeLessThan(1e-5);
  });

  test('is ready once the first ring holds enough, and pays for looking at several leads', () => {
    const calibration = createCalibration(4, settings);
    expect(calibration.ready).toBe(false);
    expect(calibration.surprise([])).toBeUndefined();
    for (let i = 0; i < 20; i++) calibration.learn([at(1, i / 20), at(4, 0)]);
    expect(calibration.ready).toBe(true);
    const alone = calibration.surprise([at(1, 0.95)])!;
    const both = calibration.surprise([at(1, 0.95), at(4, 0)])!;
    expect(both).toMatchObject({ lead: 1, p: 2 * alone.p });
  });

  test('stretches the interval to the errors seen, and not before there are enough', () => {
    const calibration = createCalibration(4, settings);
    expect(calibration.stretch(1)).toBe(1);
    for (let i = 0; i < 100; i++) calibration.learn([at(1, 3), at(2, 0.5), at(4, 2)]);
    expect([1, 2, 3, 4].map((step) => calibration.stretch(step))).toEqual([3, 0.5, 2, 2]);
  });

  test('takes the largest score when the ring is too small for the coverage', () => {
    const calibration = createCalibration(1, { ...settings, ringMinimum: 2, coverage: 0.99 });
    calibration.learn([at(1, 1)]);
    calibration.learn([at(1, 4)]);
    expect(calibration.stretch(1)).toBe(4);
  });

  test('goes on from what was saved; other leads begin afresh', () => {
    const calibration = createCalibration(4, settings);
    for (let i = 0; i < 30; i++) calibration.learn([at(1, i), at(2, 2 * i)]);
    const saved = calibration.save();
    expect(createCalibration(4, settings, saved).save()).toEqual(saved);
    expect(createCalibration(4, settings, saved).surprise([at(2, 40)])).toEqual(calibration.surprise([at(2, 40)]));
    expect(createCalibration(8, settings, saved).ready).toBe(false);
    expect(createCalibration(4, settings, Buffer.alloc(0)).ready).toBe(false);
  });
});
