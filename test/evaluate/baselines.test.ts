import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { frameFromColumns } from '../../src/data/from-columns.js';
import { sliceTime } from '../../src/data/frame.js';
import { createWindows } from '../../src/data/windows.js';
import { backtest } from '../../src/evaluate/backtest.js';
import { fitRidge, naive, seasonalNaive } from '../../src/evaluate/baselines.js';
import { mae, mse } from '../../src/evaluate/metrics.js';
import { frameOf } from '../data/tables.js';
import { missing, shared } from './shared.js';

test('naive repeats the last value, seasonal naive the last season', () => {
  const past = Float32Array.of(1, 2, 3, 4, 10, 20, 30, 40);
  expect([...naive(4, 2)({ past }, 2)]).toEqual([4, 4, 40, 40]);
  expect([...seasonalNaive(4, 5, 3)({ past }, 1)]).toEqual([2, 3, 4, 2, 3]);
});

test('a season longer than the window falls back to the last value', () => {
  expect([...seasonalNaive(4, 2, 5)({ past: Float32Array.of(1, 2, 3, 4) }, 1)]).toEqual([4, 4]);
});

describe('ridge', () => {
  const wave = Array.from({ length: 400 }, (_, i) => 100 + Math.sin(i / 3) + 0.5 * Math.cos(i / 7));

  test('continues a sum of waves', () => {
    const frame = frameOf({ a: wave });
    const ridge = fitRidge(createWindows(frame, { inputLength: 16, horizon: 4, to: 300 * 60_000 }));
    const forecast = ridge.forecast({ past: Float32Array.from(wave.slice(350, 366)) }, 1);
    forecast.forEach((value, h) => expect(value).toBeCloseTo(wave[366 + h]!, 1));
  });

  test('a constant series stays constant, and windows with a missing step are left out', () => {
    const frame = frameOf({ a: Array.from({ length: 60 }, (_, i) => (i % 10 === 3 ? NaN : 5)) });
    const ridge = fitRidge(createWindows(frame, { inputLength: 4, horizon: 2 }));
    expect([...ridge.forecast({ past: Float32Array.of(5, 5, 5, 5) }, 1)]).toEqual([5, 5]);
  });
});

const absent = missing('data', 'ett', 'ETTh1.csv');
test.skipIf(absent !== undefined)(
  absent ?? 'ETTh1: ridge at L 96, H 96 reaches the published MSE 0.383 and MAE 0.392 within 0.5 %',
  async () => {
    const rows = readFileSync(shared('data', 'ett', 'ETTh1.csv'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split(',').slice(1));
    const [names = [], ...values] = rows;
    const length = 8640 + 2880 + 2880;
    const columns = names.map((_, c) => {
      const column = values.slice(0, length).map((row) => Number(row[c]));
      const train = column.slice(0, 8640);
      const mean = train.reduce((a, b) => a + b, 0) / train.length;
      const deviation = Math.sqrt(train.reduce((a, b) => a + (b - mean) ** 2, 0) / train.length);
      return column.map((value) => (value - mean) / deviation);
    });
    const { frame } = frameFromColumns(
      {
        ids: names,
        series: columns.flatMap((column, s) => column.map(() => s)),
        time: columns.flatMap((column) => column.map((_, i) => i)),
        columns: { target: columns.flat() },
      },
      { frequency: '1' },
    );
    const ridge = fitRidge(createWindows(sliceTime(frame, 0, 8640), { inputLength: 96, horizon: 96 }), 60_000);
    const result = await backtest(frame, [{ name: 'ridge', predict: ridge.forecast }], {
      inputLength: 96,
      horizon: 96,
      step: 1,
      from: 8640 + 2880,
    });
    expect(result.count).toBe(7 * 2785);
    expect(mse(result.actual, result.forecasts['ridge']!)).toBeLessThan(0.383 * 1.005);
    expect(mae(result.actual, result.forecasts['ridge']!)).toBeLessThan(0.392 * 1.005);
  },
  60_000,
);
