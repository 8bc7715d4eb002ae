import { expect, test } from 'vitest';
import { fitSeriesScaler, seriesScalerNames, seriesStatistics } from '../../src/data/series-scaler.js';
import type { TimeSeriesFrame } from '../../src/data/frame.js';

const frameOf = (ids: string[], rows: number[][], available?: number[]): TimeSeriesFrame => {
  const values = Float32Array.from(rows.flat());
  const offsets = Uint32Array.from([0, ...rows.map((_, i) => rows.slice(0, i + 1).flat().length)]);
  return {
    ids,
    offsets,
    time: Float64Array.from(values, (_, i) => i),
    columns: { target: values, temp: values.map((value) => 10 * value) },
    available: Uint8Array.from(available ?? values.map(() => 1)),
    frequency: '1',
  };
};
const frame = frameOf(
  ['b', 'a', 'c'],
  [
    [1, 2, 4, 8, 16],
    [3, 3, 3, 3],
    [5, 7, 9.5],
  ],
);

// What coreforecast 0.0.16's scalers give for these series.
test.each([
  ['standard', [6.2, 5.455272674560547, 3, 1, 7.166666507720947, 1.8408935070037842]],
  ['minmax', [1, 15, 3, 1, 5, 4.5]],
  ['robust', [4, 3, 3, 1, 7, 2]],
  ['robust-iqr', [4, 6, 3, 1, 7, 2.25]],
] as const)(
  '%s has the statistics of the reference; a series without spread is left as wide as it is',
  (kind, expected) => {
    const { statistics, ids } = fitSeriesScaler(frame, kind, ['target']);
    expect(ids).toEqual(['b', 'a', 'c']);
    for (const [i, value] of statistics.entries()) expect(value).toBeCloseTo(expected[i]!, 6);
  },
);

test.each(seriesScalerNames)('%s does not count what was not observed', (kind) => {
  const seen = fitSeriesScaler(frameOf(['a'], [[1, 2, 4]]), kind, ['target']);
  const filled = fitSeriesScaler(frameOf(['a'], [[1, 99, 2, Number.NaN, 4]], [1, 0, 1, 0, 1]), kind, ['target']);
  expect(filled.statistics).toEqual(seen.statistics);
  expect(fitSeriesScaler(frameOf(['a'], [[5, 5]], [0, 0]), kind, ['target']).statistics).toEqual([0, 1]);
});

test('for the series of a frame, all shifts and then all scales; a new series has its own', () => {
  const scaler = fitSeriesScaler(frame, 'minmax', ['target', 'temp']);
  const shown = frameOf(
    ['c', 'new'],
    [
      [0, 0],
      [2, 6],
    ],
  );
  expect([...seriesStatistics(shown, scaler)]).toEqual([5, 50, 4.5, 45, 2, 20, 4, 40]);
});

test('series without names are those of a frame in the order of theirs, if there are as many', () => {
  const { kind, columns, statistics } = fitSeriesScaler(frame, 'minmax', ['target']);
  const scaler = { kind, columns, statistics };
  expect([...seriesStatistics(frame, scaler)]).toEqual([3, 1, 1, 15, 5, 4.5]); // b is second
  expect([...seriesStatistics(frameOf(['x'], [[2, 6]]), scaler)]).toEqual([2, 4]);
});
