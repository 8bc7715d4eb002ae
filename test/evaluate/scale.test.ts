import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createScale } from '../../src/evaluate/scale.js';

const labels = (...args: Parameters<typeof createScale>): string[] =>
  createScale(...args).ticks.map(({ label }) => label);

describe('ticks', () => {
  test('linear ones are round', () => {
    expect(labels('linear', 0, 1, 5)).toEqual(['0.0', '0.2', '0.4', '0.6', '0.8', '1.0']);
    expect(labels('linear', -3, 104, 5)).toEqual(['0', '50', '100']);
    expect(labels('linear', 0.0012, 0.0048, 4)).toEqual(['0.002', '0.003', '0.004']);
    expect(labels('linear', 7, 7, 5)).toEqual(['7']);
  });

  test('logarithmic ones are powers, with 2 and 5 between when there is room', () => {
    expect(labels('log', 0.09, 3, 5)).toEqual(['0.1', '0.2', '0.5', '1', '2']);
    expect(labels('log', 1e-7, 1e3, 5)).toEqual([
      '1e-7',
      '1e-6',
      '1e-5',
      '0.0001',
      '0.001',
      '0.01',
      '0.1',
      '1',
      '10',
      '100',
      '1000',
    ]);
  });

  test('times are cut where a calendar cuts them, in UTC', () => {
    expect(labels('time', Date.UTC(2014, 0, 27, 18), Date.UTC(2014, 0, 28, 6), 5)).toEqual([
      '18:00',
      '21:00',
      '28 Jan',
      '03:00',
      '06:00',
    ]);
    expect(labels('time', Date.UTC(2014, 0, 1), Date.UTC(2014, 0, 3), 3)).toEqual(['1 Jan', '2 Jan', '3 Jan']);
    expect(labels('time', Date.UTC(2013, 6, 4), Date.UTC(2014, 4, 28), 6)).toEqual([
      'Sep 2013',
      'Nov 2013',
      'Jan 2014',
      'Mar 2014',
      'May 2014',
    ]);
    expect(labels('time', Date.UTC(1990, 5), Date.UTC(2020, 5), 4)).toEqual(['2000', '2010', '2020']);
    expect(labels('time', 0, 20_000, 4)).toEqual(['00:00:00', '00:00:05', '00:00:10', '00:00:15', '00:00:20']);
  });

  test('every tick lies on the axis, and there are never too many', () => {
    const kinds = fc.constantFrom('linear' as const, 'time' as const);
    fc.assert(
      fc.property(
        kinds,
        fc.integer({ min: 0, max: 2e12 }),
        fc.integer({ min: 1, max: 1e12 }),
        fc.integer({ min: 2, max: 10 }),
        (kind, min, span, count) => {
          const { ticks, place } = createScale(kind, min, min + span, count);
          expect(ticks.length).toBeLessThanOrEqual(2 * count + 2);
          for (const { value } of ticks) {
            expect(place(value)).toBeGreaterThanOrEqual(0);
            expect(place(value)).toBeLessThanOrEqual(1);
          }
        },
      ),
    );
  });
});
