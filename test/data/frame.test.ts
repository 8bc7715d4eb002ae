import fc from 'fast-check';
import { describe as suite, expect, test } from 'vitest';
import { describe, rowAt, shareFrame, sliceTime, splitAt, tail, validate } from '../../src/data/frame.js';
import { frameFromColumns } from '../../src/data/from-columns.js';
import { DataError } from '../../src/data/validate.js';
import { frameOf } from './tables.js';

suite('slicing', () => {
  const frame = frameOf({ a: [1, 2, 3, 4], b: [5, 6], c: [7, 8, 9] });

  test('by time keeps the rows with from <= time < to of every series', () => {
    const part = sliceTime(frame, 60_000, 180_000);
    expect([...part.offsets]).toEqual([0, 2, 3, 5]);
    expect([...part.columns.target]).toEqual([2, 3, 6, 8, 9]);
    expect([...part.time]).toEqual([60_000, 120_000, 60_000, 60_000, 120_000]);
  });

  test('a series without rows stays, empty', () => {
    const part = sliceTime(frame, 120_000, Infinity);
    expect(part.ids).toEqual(['a', 'b', 'c']);
    expect([...part.offsets]).toEqual([0, 2, 2, 3]);
  });

  test('splitAt and back is the whole', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1, max: 300_000 }), (time) => {
        const [before, after] = splitAt(frame, time);
        for (let s = 0; s < 3; s++) {
          const rows = (part: typeof frame): number[] => [
            ...part.columns.target.subarray(part.offsets[s], part.offsets[s + 1]),
          ];
          expect([...rows(before), ...rows(after)]).toEqual(rows(frame));
        }
      }),
    );
  });

  test('tail keeps the last rows, or all there are', () => {
    expect([...tail(frame, 3).columns.target]).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('one series is cut without a copy', () => {
    const one = frameOf({ a: [1, 2, 3] });
    expect(tail(one, 2).columns.target.buffer).toBe(one.columns.target.buffer);
  });

  test('rowAt finds the first row at or after a time', () => {
    expect([-1, 0, 1, 180_000, 180_001].map((time) => rowAt(frame, 0, time))).toEqual([0, 0, 1, 3, 4]);
  });
});

suite('describing', () => {
  test('counts what was observed only', () => {
    const frame = frameOf({ a: [2, NaN, 4, 6], b: [] });
    expect(describe(frame)).toEqual([
      {
        id: 'a',
        rows: 4,
        observed: 3,
        from: 0,
        to: 180_000,
        min: 2,
        max: 6,
        mean: 4,
        standardDeviation: Math.sqrt(8 / 3),
      },
      { id: 'b', rows: 0, observed: 0, from: NaN, to: NaN, min: NaN, max: NaN, mean: NaN, standardDeviation: NaN },
    ]);
  });

  test('validate names short, constant and gappy series', () => {
    const frame = frameOf({ a: [1, 1, 1], b: [2], c: [1, NaN, 3] });
    expect(validate(frame, 2).map(({ code, series, row }) => [code, series, row])).toEqual([
      ['ND_DATA_CONSTANT', 'a', 1],
      ['ND_DATA_SERIES_TOO_SHORT', 'b', 4],
      ['ND_DATA_MISSING', 'c', 6],
    ]);
  });
});

suite('building', () => {
  const times = (minutes: number[]): number[] => minutes.map((minute) => minute * 60_000);

  test.each([
    ['linear', [1, 2, 3, 4, 4], [1, 0, 0, 1, 0]],
    ['last', [1, 1, 1, 4, 4], [1, 0, 0, 1, 0]],
    ['mask', [1, NaN, NaN, 4, NaN], [1, 0, 0, 1, 0]],
  ] as const)('gaps are filled by the rule %s and count as not observed', (fillGaps, values, available) => {
    const { frame } = frameFromColumns(
      { time: times([0, 3, 4]), columns: { target: [1, 4, NaN] } },
      { frequency: 'min', fillGaps },
    );
    expect([...frame.columns.target]).toEqual(values);
    expect([...frame.available]).toEqual(available);
    expect([...frame.time]).toEqual(times([0, 1, 2, 3, 4]));
  });

  test('sorted rows of any order give the frame of the rows in order', () => {
    const order = fc.shuffledSubarray([0, 1, 2, 3, 4, 5], { minLength: 6 });
    fc.assert(
      fc.property(order, (places) => {
        const { frame } = frameFromColumns({ time: times(places), columns: { target: places } }, { sort: true });
        expect([...frame.columns.target]).toEqual([0, 1, 2, 3, 4, 5]);
      }),
    );
  });

  test('a mean of repeats leaves missing ones out', () => {
    const { frame } = frameFromColumns(
      { time: times([0, 1, 1, 1, 2, 2]), columns: { target: [1, 2, NaN, 4, NaN, NaN], x: [1, 1, 2, 3, 4, 5] } },
      { onDuplicate: 'mean' },
    );
    expect([...frame.columns.target]).toEqual([1, 3, NaN]);
    expect([...frame.columns['x']!]).toEqual([1, 2, 4.5]);
    expect([...frame.available]).toEqual([1, 1, 0]);
  });

  test('resampling merges the rows of each bucket of the epoch', () => {
    const input = { time: [1000, 61_000, 62_000, 125_000], columns: { target: [1, 2, 4, 8] } };
    const { frame } = frameFromColumns(input, { frequency: 'min', resample: 'sum' });
    expect([...frame.columns.target]).toEqual([1, 6, 8]);
    expect([...frame.time]).toEqual(times([0, 1, 2]));
  });

  test('months lie on their own grid', () => {
    const months = [0, 1, 3].map((month) => Date.UTC(2024, month, 1));
    const { frame } = frameFromColumns({ time: months, columns: { target: [1, 2, 4] } }, { fillGaps: 'linear' });
    expect(frame.frequency).toBe('MS');
    expect(frame.time[2]).toBe(Date.UTC(2024, 2, 1));
    expect(frame.columns.target[2]).toBe(3);
  });

  test('a missing covariate is an error, unless a rule fills it', () => {
    const input = { time: times([0, 1, 2]), columns: { target: [1, 2, 3], x: [1, NaN, 3] } };
    expect(() => frameFromColumns(input)).toThrow(DataError);
    expect([...frameFromColumns(input, { fillGaps: 'last' }).frame.columns['x']!]).toEqual([1, 1, 3]);
  });

  test('a frequency that is none is refused', () => {
    expect(() => frameFromColumns({ time: [0], columns: { target: [1] } }, { frequency: 'often' })).toThrow(
      /ND_DATA_FREQUENCY_UNKNOWN/,
    );
  });
});

test('a frame is shared with other threads by one copy, and not again', () => {
  const frame = { ...frameOf({ a: [1, 2, 3] }), available: Uint8Array.of(1, 0, 1) };
  const shared = shareFrame(frame);
  expect(shared).toEqual(frame);
  for (const column of [shared.time, shared.available, shared.columns.target])
    expect(column.buffer).toBeInstanceOf(SharedArrayBuffer);
  const again = shareFrame(shared);
  expect(again.columns.target).toBe(shared.columns.target);
  expect(again.time).toBe(shared.time);
});
