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

describe('a value that holds until the next report', () => {
  const hour = 60 * minute;
  const holding = (change: Partial<SeriesSettings> = {}): Series => series({ holdMs: hour, ...change });
  const brief = (buckets: readonly Bucket[]) => buckets.map(({ startMs, value, held }) => [startMs / minute, value, held === true]); // prettier-ignore

  test('fills the buckets between, marked as held; the model sees them as measured', () => {
    const s = holding();
    expect(brief(fill(s, { 0: 5, 3: 9, 4: 9 }))).toEqual([
      [0, 5, false],
      [1, 5, true],
      [2, 5, true],
      [3, 9, false],
    ]);
    expect(s.window()).toEqual({
      past: Float32Array.of(5, 5, 9),
      mask: Float32Array.of(1, 1, 1),
      imputed: 0,
      held: 2 / 3,
      nextMs: 4 * minute,
    });
  });

  test('lasts as time goes on without a reading, and no longer than it may', () => {
    const s = holding({ latenessMs: minute });
    s.add(30_000, 7);
    s.advance(2 * minute, -Infinity);
    expect(brief(closeAll(s))).toEqual([[0, 7, false]]);
    s.advance(4 * minute, -Infinity);
    expect(brief(closeAll(s))).toEqual([
      [1, 7, true],
      [2, 7, true],
    ]);
    s.advance(100 * hour, -Infinity);
    expect(closeAll(s).at(-1)).toEqual({ startMs: 60 * minute, value: 7, imputed: false, held: true });
    expect(s.closedUntilMs).toBe(61 * minute);

    // Said to be there: it has held all the time.
    s.advance(100 * hour, 3 * hour);
    expect(closeAll(s).at(-1)!.startMs).toBe(4 * hour - minute);
    // The next report, much later, begins again: nobody knows when it changed.
    s.add(100 * hour, 3);
    s.advance(100 * hour + 3 * minute, -Infinity);
    expect(brief(closeAll(s))).toEqual([
      [6000, 3, false],
      [6001, 3, true],
    ]);
    expect(s.length).toBe(2);
  });

  test.each([
    ['mean', (1 * 15 + 5 * 30 + 2 * 15) / 60],
    ['last', 2],
    ['min', 1],
    ['max', 5],
    ['sum', 7],
  ] as const)('counts for as long as it held: %s', (aggregate, value) => {
    const s = holding({ aggregate });
    s.add(0, 1);
    s.add(minute + 15_000, 5);
    s.add(minute + 45_000, 2);
    s.advance(3 * minute, -Infinity);
    expect(closeAll(s).slice(1).map((each) => each.value)).toEqual([value, aggregate === 'sum' ? 0 : 2]); // prettier-ignore
  });

  test('ends with a report that there is none', () => {
    const s = holding();
    s.add(0, 1);
    s.add(90_000, undefined);
    s.advance(5 * minute, 5 * minute);
    expect(brief(closeAll(s))).toEqual([
      [0, 1, false],
      [1, 1, true],
    ]);
    s.add(6 * minute, 4);
    s.advance(8 * minute, -Infinity);
    expect(brief(closeAll(s))).toEqual([
      [6, 4, false],
      [7, 4, true],
    ]);
  });
});
