import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fitSeriesScaler, scaleFrame, unscale } from '../../src/data/scalers.js';
import { splitFrame } from '../../src/data/split.js';
import {
  batchShapes,
  createBatch,
  createWindows,
  forecastTimes,
  gatherWindows,
  latestWindows,
  type WindowOptions,
} from '../../src/data/windows.js';
import { frameOf } from './tables.js';

const count = (n: number, from = 0): number[] => Array.from({ length: n }, (_, i) => from + i);

describe('createWindows', () => {
  test('of some rows of each series are those that lie in them', () => {
    const frame = frameOf({ a: count(8), b: count(6) });
    const rows = (s: number) => ({ from: frame.offsets[s]! + 1, to: frame.offsets[s + 1]! - 1 });
    const windows = createWindows(frame, { inputLength: 2, horizon: 1, rows });
    expect([...windows.starts]).toEqual([1, 2, 3, 4, 9, 10]);
    expect([...windows.series]).toEqual([0, 0, 0, 0, 1, 1]);
  });

  test('every window lies within one series', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 5 }),
        (lengths, inputLength, horizon, step) => {
          const frame = frameOf(Object.fromEntries(lengths.map((length, s) => [`s${s}`, count(length)])));
          const windows = createWindows(frame, { inputLength, horizon, step });
          const expected = lengths.reduce(
            (sum, length) => sum + Math.max(0, Math.floor((length - inputLength - horizon) / step) + 1),
            0,
          );
          expect(windows.count).toBe(expected);
          windows.starts.forEach((start, i) => {
            const s = windows.series[i]!;
            expect(start).toBeGreaterThanOrEqual(frame.offsets[s]!);
            expect(start + inputLength + horizon).toBeLessThanOrEqual(frame.offsets[s + 1]!);
          });
        },
      ),
    );
  });

  const frame = frameOf({ a: count(10) });
  test.each<[string, Partial<WindowOptions>, number[]]>([
    ['a stride counts from the first window', { step: 3 }, [0, 3]],
    ['or from the last', { step: 3, align: 'end' }, [2, 5]],
    ['from and to bound the forecast steps, not the past', { from: 5 * 60_000, to: 8 * 60_000 }, [2, 3]],
    ['padding reaches beyond the end', { padEnd: true }, [0, 1, 2, 3, 4, 5, 6]],
  ])('%s', (_, options, starts) => {
    expect([...createWindows(frame, { inputLength: 3, horizon: 2, ...options }).starts]).toEqual(starts);
  });

  test('windows with too little observed are left out', () => {
    const gappy = frameOf({ a: [1, NaN, NaN, 4, 5, NaN, 7] });
    expect([...createWindows(gappy, { inputLength: 2, horizon: 2 }).starts]).toEqual([0, 2, 3]);
    expect([...createWindows(gappy, { inputLength: 2, horizon: 2, minAvailable: 0.5 }).starts]).toEqual([0, 2, 3]);
    expect([...createWindows(gappy, { inputLength: 2, horizon: 1, minAvailable: 1 }).starts]).toEqual([]);
  });

  test('a covariate that the frame lacks is named', () => {
    expect(() => createWindows(frame, { inputLength: 3, horizon: 2, historic: ['wind'] })).toThrow(
      /column wind.*ND_DATA_INVALID/s,
    );
  });
});

describe('gatherWindows', () => {
  test('copies past, target and masks; missing values and steps beyond the end are zeros', () => {
    const windows = createWindows(frameOf({ a: [1, 2, NaN, 4, 5, 6] }), { inputLength: 3, horizon: 2, padEnd: true });
    const batch = createBatch(windows, 2);
    batch.target.fill(99);
    gatherWindows(windows, [0, 2], batch);
    expect([...batch.past]).toEqual([1, 2, 0, 0, 4, 5]);
    expect([...batch.mask]).toEqual([1, 1, 0, 0, 1, 1]);
    expect([...batch.target]).toEqual([4, 5, 6, 0]);
    expect([...batch.targetMask]).toEqual([1, 1, 1, 0]);
  });

  test('covariates stand side by side, static ones once per window', () => {
    const frame = frameOf({ a: count(4), b: count(4, 10) }, {}, { p: count(8, 100), q: count(8, 200) });
    const windows = createWindows(frame, {
      inputLength: 2,
      horizon: 1,
      historic: ['p'],
      future: ['p', 'q'],
      static: Float32Array.of(7, 8, 70, 80),
    });
    expect(batchShapes(windows, 1)).toMatchObject({ historic: [1, 2, 1], future: [1, 3, 2], static: [1, 2] });
    const batch = createBatch(windows, 1);
    gatherWindows(windows, [2], batch);
    expect([...batch.past]).toEqual([10, 11]);
    expect([...batch.historic!]).toEqual([104, 105]);
    expect([...batch.future!]).toEqual([104, 204, 105, 205, 106, 206]);
    expect([...batch.static!]).toEqual([70, 80]);
  });

  test('a batch without covariates has no tensors for them', () => {
    expect(
      Object.keys(createBatch(createWindows(frameOf({ a: count(9) }), { inputLength: 2, horizon: 1 }), 3)),
    ).toEqual(['past', 'mask', 'target', 'targetMask']);
  });
});

describe('windows that series share', () => {
  const frame = frameOf({ a: [1, 2, NaN, 4, 5], b: count(5, 10) }, {}, { p: count(10, 100), q: count(10, 200) });

  test('hold all series side by side; covariates have their columns outside, static ones stand there once', () => {
    const windows = createWindows(frame, {
      inputLength: 2,
      horizon: 2,
      historic: ['p', 'q'],
      future: ['p'],
      static: Float32Array.of(7, 8),
      together: 2,
    });
    expect([...windows.starts]).toEqual([0, 1]);
    const batch = createBatch(windows, 2);
    gatherWindows(windows, [1, 0], batch);
    expect(batchShapes(windows, 2)).toMatchObject({ past: [2, 2, 2], historic: [2, 2, 2, 2], future: [2, 1, 4, 2], static: [2, 1] }); // prettier-ignore
    expect([...batch.past]).toEqual([2, 11, 0, 12, 1, 10, 2, 11]);
    expect([...batch.mask]).toEqual([1, 1, 0, 1, 1, 1, 1, 1]);
    expect([...batch.target]).toEqual([4, 13, 5, 14, 0, 12, 4, 13]);
    expect([...batch.historic!].slice(0, 8)).toEqual([101, 106, 102, 107, 201, 206, 202, 207]);
    expect([...batch.future!].slice(0, 8)).toEqual([101, 106, 102, 107, 103, 108, 104, 109]);
    expect([...batch.static!]).toEqual([7, 8]);
  });

  test('begin at the same row of all series, the latest at their end', () => {
    const windows = latestWindows(frame, { inputLength: 2, horizon: 1, together: 2 });
    const batch = createBatch(windows, 1);
    gatherWindows(windows, [0], batch);
    expect(windows.count).toBe(1);
    expect([...batch.past]).toEqual([4, 13, 5, 14]);
  });

  test('are refused when there are more series, or rows of other times', () => {
    const windowsOf = (table: Record<string, number[]>) => () =>
      createWindows(frameOf(table), { inputLength: 2, horizon: 1, together: 2 });
    expect(windowsOf({ a: count(5), b: count(5), c: count(5) })).toThrow(/has 3\..*ND_CONFIG_SERIES_COUNT/);
    expect(windowsOf({ a: count(5), b: count(4) })).toThrow(/from row 5 .*ND_CONFIG_SERIES_COUNT/);
    const later = frame.time.map((time, row) => (row === 7 ? time + 1 : time));
    expect(() => createWindows({ ...frame, time: later }, { inputLength: 2, horizon: 1, together: 2 })).toThrow(
      /b and a .*from row 3 .*ND_CONFIG_SERIES_COUNT/,
    );
  });
});

describe('latestWindows', () => {
  test('ends at the last row, with nothing to compare to', () => {
    const windows = latestWindows(frameOf({ a: count(5), b: count(3, 10) }), { inputLength: 3, horizon: 2 });
    const batch = createBatch(windows, 2);
    gatherWindows(windows, [0, 1], batch);
    expect([...batch.past]).toEqual([2, 3, 4, 10, 11, 12]);
    expect([...batch.targetMask]).toEqual([0, 0, 0, 0]);
    expect([...forecastTimes(windows, 0)]).toEqual([5 * 60_000, 6 * 60_000]);
  });

  test('names every series that is too short', () => {
    expect(() =>
      latestWindows(frameOf({ a: count(5), b: count(2), c: count(1) }), { inputLength: 3, horizon: 2 }),
    ).toThrow(/series b.*2 rows.*series c.*1 rows/s);
  });
});

describe('splitFrame', () => {
  const frame = frameOf({ a: count(10), b: count(4, 20) });

  test('by size takes from the end of every series', () => {
    const { train, validation, test: last } = splitFrame(frame, { validation: { size: 2 }, test: { size: 1 } });
    expect([...train.columns.target]).toEqual([...count(7), 20]);
    expect([...validation.columns.target]).toEqual([7, 8, 21, 22]);
    expect([...last.columns.target]).toEqual([9, 23]);
  });

  test('by time, with the context the first window needs', () => {
    const { train, test: last } = splitFrame(frame, { test: { from: 6 * 60_000 }, context: 3 });
    expect([...train.columns.target]).toEqual([...count(6), ...count(4, 20)]);
    expect([...last.columns.target]).toEqual(count(7, 3));
    expect(createWindows(last, { inputLength: 3, horizon: 1 }).count).toBe(4);
  });
});

describe('series scalers', () => {
  const frame = frameOf({ a: [1, 2, 3, 6], b: [5, 5, 5, NaN] });

  test.each([
    ['standard', 3, Math.sqrt(3.5)],
    ['robust', 2.5, 1],
    ['minmax', 1, 5],
  ] as const)('%s: golden values; a flat series gets scale 1', (name, shift, scale) => {
    const scaler = fitSeriesScaler(frame, name);
    expect(scaler.shift[0]).toBe(shift);
    expect(scaler.scale[0]).toBeCloseTo(scale, 12);
    expect([scaler.shift[1], scaler.scale[1]]).toEqual([5, 1]);
  });

  test('scaling back gives the values again', () => {
    const scaler = fitSeriesScaler(frame, 'standard');
    const scaled = scaleFrame(frame, scaler).columns.target;
    unscale(scaled.subarray(0, 4), scaler, 0).forEach((value, i) =>
      expect(value).toBeCloseTo(frame.columns.target[i]!, 5),
    );
  });
});
