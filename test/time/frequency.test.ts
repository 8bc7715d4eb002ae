import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NeuroDivergentError } from '../../src/errors.js';
import {
  addSteps,
  bucketStart,
  formatFrequency,
  inferFrequency,
  naturalSeasons,
  parseFrequency,
  periodMs,
  stepsBetween,
} from '../../src/time/frequency.js';

const names = ['s', 'min', '5min', 'h', 'D', 'W', '2W', 'MS', 'ME', 'QS', 'QE', 'YS', '250ms', '1', '10'];
const anyFrequency = fc.constantFrom(...names).map(parseFrequency);
const anyTime = fc.integer({ min: Date.UTC(1960, 0), max: Date.UTC(2060, 0) });

describe('parseFrequency', () => {
  test.each(names)('“%s” is written back as it was read', (name) => {
    expect(formatFrequency(parseFrequency(name))).toBe(name);
  });

  test('a length is written in its largest unit', () => {
    expect(formatFrequency(parseFrequency('3600s'))).toBe('h');
    expect(formatFrequency(parseFrequency('90min'))).toBe('90min');
    expect(formatFrequency(parseFrequency('14D'))).toBe('2W');
    expect(formatFrequency(parseFrequency('12MS'))).toBe('YS');
  });

  test.each(['', '0', '-1', 'hourly', '5 min', '1.5h'])('“%s” is refused with the list of what there is', (text) => {
    expect(() => parseFrequency(text)).toThrow(NeuroDivergentError);
    expect(() => parseFrequency(text)).toThrow(/Use s, min, h.*ND_DATA_FREQUENCY_UNKNOWN/);
  });

  test('only a fixed duration has a period', () => {
    expect(periodMs(parseFrequency('5min'))).toBe(300_000);
    expect(periodMs(parseFrequency('MS'))).toBeUndefined();
    expect(periodMs(parseFrequency('3'))).toBeUndefined();
  });
});

test('natural seasons are whole numbers of steps', () => {
  expect(naturalSeasons(parseFrequency('h'))).toEqual([24, 168]);
  expect(naturalSeasons(parseFrequency('5min'))).toEqual([12, 288, 2016]);
  expect(naturalSeasons(parseFrequency('QS'))).toEqual([4]);
  expect(naturalSeasons(parseFrequency('W'))).toEqual([]);
  expect(naturalSeasons(parseFrequency('1'))).toEqual([]);
});

describe('the grid', () => {
  test('stepsBetween undoes addSteps', () => {
    fc.assert(
      fc.property(anyFrequency, anyTime, fc.integer({ min: -200, max: 200 }), (frequency, time, steps) => {
        const start = bucketStart(time, frequency);
        expect(stepsBetween(start, addSteps(start, frequency, steps), frequency)).toBe(steps);
      }),
    );
  });

  test('a time off the grid is no whole number of steps away', () => {
    fc.assert(
      fc.property(fc.constantFrom('min', 'h', 'MS', 'ME', '5').map(parseFrequency), anyTime, (frequency, time) => {
        const start = bucketStart(time, frequency);
        expect(Number.isInteger(stepsBetween(start, start + 1, frequency))).toBe(false);
      }),
    );
  });

  test('a bucket holds its times, and its start is its own bucket', () => {
    fc.assert(
      fc.property(anyFrequency, anyTime, (frequency, time) => {
        const start = bucketStart(time, frequency);
        expect(bucketStart(start, frequency)).toBe(start);
        if (frequency.kind === 'month') return;
        expect(start).toBeLessThanOrEqual(time);
        expect(addSteps(start, frequency, 1)).toBeGreaterThan(time);
      }),
    );
  });

  test('months end on their last day, weeks start on Monday, quarters in January', () => {
    const january31 = Date.UTC(2024, 0, 31);
    expect(addSteps(january31, parseFrequency('ME'), 1)).toBe(Date.UTC(2024, 1, 29));
    expect(new Date(bucketStart(Date.UTC(2024, 1, 14), parseFrequency('W'))).getUTCDay()).toBe(1);
    expect(bucketStart(Date.UTC(2024, 1, 14), parseFrequency('QS'))).toBe(Date.UTC(2024, 0, 1));
    expect(bucketStart(Date.UTC(2024, 1, 14), parseFrequency('ME'))).toBe(Date.UTC(2024, 1, 29));
  });
});

describe('inferFrequency', () => {
  const infer = (times: number[], axis: 'time' | 'index' = 'time'): string | undefined => {
    const frequency = inferFrequency(Float64Array.from(times), [0, times.length], axis);
    return frequency && formatFrequency(frequency);
  };

  test('any axis tells its own frequency, with a gap or without', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...names.filter((name) => /[a-zA-Z]/.test(name))),
        anyTime,
        fc.boolean(),
        (name, time, gap) => {
          const frequency = parseFrequency(name);
          const start = bucketStart(time, frequency);
          const steps = gap ? [0, 1, 2, 3, 4, 5, 9, 10, 11, 12] : [0, 1, 2, 3, 4, 5];
          expect(infer(steps.map((step) => addSteps(start, frequency, step)))).toBe(name);
        },
      ),
    );
  });

  test('an index counts in steps', () => {
    expect(infer([3, 5, 7, 9], 'index')).toBe('2');
  });

  test('distances all different, or a single time, say nothing', () => {
    expect(infer([0, 1, 3, 7, 15])).toBeUndefined();
    expect(infer([0])).toBeUndefined();
  });

  test('the step from one series to the next does not count', () => {
    const frequency = inferFrequency(Float64Array.of(0, 60_000, 0, 60_000), [0, 2, 4], 'time');
    expect(frequency).toEqual({ kind: 'duration', ms: 60_000 });
  });
});
