import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createSeries } from '../../src/runtime/series.js';
import type { Bucket, Series, SeriesSettings } from '../../src/runtime/series.js';

const minute = 60_000;
const settings: SeriesSettings = {
  cadenceMs: minute,
  aggregate: 'mean',
  impute: 'linear',
  maxGap: 3,
  latenessMs: 0,
  inputLength: 3,
};
const series = (change: Partial<SeriesSettings> = {}): Series => createSeries({ ...settings, ...change });

function closeAll(from: Series): Bucket[] {
  const closed: Bucket[] = [];
  for (let bucket = from.close(); bucket !== undefined; bucket = from.close()) closed.push(bucket);
  return closed;
}

/** One reading per given minute. */
function fill(into: Series, values: Readonly<Record<number, number>>): Bucket[] {
  for (const [at, value] of Object.entries(values)) into.add(Number(at) * minute, value);
  return closeAll(into);
}

describe('buckets', () => {
  test('are aligned to the epoch and close once, when the watermark passes their end', () => {
    const s = series();
    s.add(10_000, 1);
    s.add(50_000, 3);
    expect(closeAll(s)).toEqual([]);
    s.add(60_000, 7);
    expect(closeAll(s)).toEqual([{ startMs: 0, value: 2, imputed: false }]);
    expect(s.closedUntilMs).toBe(minute);
    expect(closeAll(s)).toEqual([]);
  });

  test('wait for late readings as long as the lateness allows, then say late', () => {
    const s = series({ latenessMs: 2 * minute });
    s.add(0, 1);
    s.add(2 * minute, 1);
    expect(closeAll(s)).toEqual([]);
    expect(s.add(30_000, 5)).toBe('taken');
    s.add(3 * minute, 1);
    expect(closeAll(s)).toMatchObject([{ startMs: 0, value: 3 }]);
    expect(s.add(31_000, 9)).toBe('late');
  });

  test('take the last value of the same time', () => {
    const s = series();
    s.add(0, 1);
    s.add(0, 5);
    s.add(minute, 0);
    expect(closeAll(s)).toMatchObject([{ value: 5 }]);
  });

  test.each([
    ['mean', 2],
    ['last', 3],
    ['sum', 6],
    ['min', 1],
    ['max', 3],
  ] as const)('aggregate by %s', (aggregate, value) => {
    const s = series({ aggregate });
    s.add(20, 3);
    s.add(0, 1);
    s.add(10, 2);
    s.add(minute, 0);
    expect(closeAll(s)).toMatchObject([{ value }]);
  });

  test('a missing value only moves the watermark', () => {
    const s = series();
    s.add(0, 4);
    s.add(minute, undefined);
    expect(closeAll(s)).toMatchObject([{ value: 4 }]);
    expect(s.length).toBe(1);
  });
});

describe('gaps', () => {
  test('short ones are filled on a line, marked, and masked in the window', () => {
    const s = series({ inputLength: 4 });
    expect(fill(s, { 0: 0, 3: 3, 4: 9 }).map(({ value, imputed }) => [value, imputed])).toEqual([
      [0, false],
      [1, true],
      [2, true],
      [3, false],
    ]);
    expect(s.window()).toEqual({
      past: Float32Array.of(0, 1, 2, 3),
      mask: Float32Array.of(1, 0, 0, 1),
      imputed: 0.5,
      nextMs: 4 * minute,
    });
  });

  test('with `last` the value holds', () => {
    expect(fill(series({ impute: 'last' }), { 0: 5, 2: 9, 3: 0 }).map(({ value }) => value)).toEqual([5, 5, 9]);
  });

  test('with `seasonal` the day before speaks, and the last value where it cannot', () => {
    const hour = 60 * minute;
    const s = series({ cadenceMs: hour, impute: 'seasonal', inputLength: 2 });
    for (let h = 0; h < 24; h++) s.add(h * hour, h);
    s.add(25 * hour, 100);
    s.add(26 * hour, 0);
    expect(closeAll(s).find(({ imputed }) => imputed)).toEqual({ startMs: 24 * hour, value: 0, imputed: true });
    const short = series({ cadenceMs: 7 * minute, impute: 'seasonal' });
    short.add(0, 3);
    short.add(14 * minute, 5);
    short.add(21 * minute, 5);
    expect(closeAll(short)[1]).toMatchObject({ value: 3, imputed: true });
  });

  test.each([
    ['longer than allowed', {}, 5],
    ['when nothing may be imputed', { impute: 'none' }, 2],
  ] as const)('%s, the window begins again', (_, change, next) => {
    const s = series(change);
    fill(s, { 0: 1, 1: 1 });
    expect(closeAll(s)).toEqual([]);
    fill(s, { [next + 1]: 2, [next + 2]: 2 });
    expect(s.length).toBe(1);
    expect(s.window()).toBeUndefined();
  });
});

test('any order of readings within the lateness gives the same buckets', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 40 }), { minLength: 2 }), (slots) => {
      const run = (order: readonly number[]): Bucket[] => {
        const s = series({ latenessMs: 60 * minute, maxGap: 50 });
        for (const slot of order) s.add(slot * 20_000, slot);
        s.add(200 * minute, 0);
        return closeAll(s);
      };
      expect(run(slots)).toEqual(run([...slots].sort((a, b) => a - b)));
    }),
  );
});

test('the window keeps its length and its newest steps, without a hole', () => {
  const s = series();
  for (let i = 0; i < 10; i++) s.add(i * minute, i);
  closeAll(s);
  expect(s.window()!.past).toEqual(Float32Array.of(6, 7, 8));
  expect(s.length).toBe(3);
});
