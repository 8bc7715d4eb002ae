import { describe, expect, test } from 'vitest';
import type { TimeSeriesFrame } from '../../src/data/frame.js';
import { backtest, type BacktestModel } from '../../src/evaluate/backtest.js';
import { naive, seasonalNaive } from '../../src/evaluate/baselines.js';
import { calibrationScores, conformalHalfWidths, intervalAround } from '../../src/evaluate/conformal.js';
import { formatLeaderboard, leaderboard } from '../../src/evaluate/leaderboard.js';
import { coverage } from '../../src/evaluate/metrics.js';
import { formatNumber, formatTable } from '../../src/evaluate/table.js';
import { frameOf } from '../data/tables.js';

const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const last = (): BacktestModel => ({ name: 'naive', predict: naive(3, 2) });

describe('backtest', () => {
  test('rolls to the end of each series and keeps forecasts beside what happened', async () => {
    const frame = frameOf({ a: count(10), b: count(8).map((i) => 100 + i) });
    const result = await backtest(frame, [last()], { inputLength: 3, horizon: 2, windows: 2 });
    expect([...result.series]).toEqual([0, 0, 1, 1]);
    expect([...result.cutoffs].map((ms) => ms / 60_000)).toEqual([6, 8, 4, 6]);
    expect([...result.actual]).toEqual([6, 7, 8, 9, 104, 105, 106, 107]);
    expect([...result.forecasts['naive']!]).toEqual([5, 5, 7, 7, 103, 103, 105, 105]);
    expect([...result.train.columns.target]).toEqual([0, 1, 2, 3, 100, 101, 102, 103]);
  });

  test.each([
    [false, [6]],
    [true, [6, 8]],
  ])('refit %s: fit sees only what lies before', async (refit, expected) => {
    const seen: number[] = [];
    const model: BacktestModel = {
      ...last(),
      fit: (train: TimeSeriesFrame) => {
        seen.push(train.time.at(-1)! / 60_000 + 1);
      },
    };
    await backtest(frameOf({ a: count(10) }), [model], { inputLength: 3, horizon: 2, windows: 2, refit });
    expect(seen).toEqual(expected);
  });

  test('predict is not shown the answer', async () => {
    const model: BacktestModel = {
      name: 'cheat',
      predict: (batch, n) => {
        expect(batch.target.every((value) => value === 0) && batch.targetMask.every((value) => value === 0)).toBe(true);
        return new Float32Array(n * 2);
      },
    };
    await backtest(frameOf({ a: count(20) }), [model], { inputLength: 3, horizon: 2 });
  });

  test('points that were not observed are NaN, and score nothing', async () => {
    const result = await backtest(frameOf({ a: [1, 2, 3, 4, NaN, 9] }), [last()], { inputLength: 3, horizon: 2 });
    expect([...result.actual]).toEqual([NaN, 9]);
    expect(leaderboard(result)[0]!.mae).toBe(5);
  });

  test('a model may read a longer past than the others; all are asked at the same moments', async () => {
    const seasonal: BacktestModel = { name: 'seasonal', inputLength: 6, predict: seasonalNaive(6, 2, 6) };
    const result = await backtest(frameOf({ a: count(12) }), [last(), seasonal], { inputLength: 3, horizon: 2 });
    expect([...result.cutoffs].map((ms) => ms / 60_000)).toEqual([6, 8, 10]);
    expect([...result.forecasts['naive']!]).toEqual([5, 5, 7, 7, 9, 9]);
    expect([...result.forecasts['seasonal']!]).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test('no window, no result', async () => {
    const result = await backtest(frameOf({ a: [1, 2] }), [last()], { inputLength: 3, horizon: 2 });
    expect(result.count).toBe(0);
    expect(leaderboard(result)[0]!.mae).toBeNaN();
  });
});

describe('leaderboard', () => {
  test('sorts by MAE and scales by the training part', async () => {
    const weekly = Array.from({ length: 70 }, (_, i) => (i % 7) + i / 70);
    const result = await backtest(
      frameOf({ a: weekly }),
      [
        { name: 'naive', predict: naive(14, 7) },
        { name: 'seasonal naive', predict: seasonalNaive(14, 7, 7) },
      ],
      { inputLength: 14, horizon: 7, windows: 3 },
    );
    const rows = leaderboard(result, { season: 7 });
    expect(rows.map(({ name }) => name)).toEqual(['seasonal naive', 'naive']);
    expect(rows[0]!.mae).toBeCloseTo(0.1, 5);
    expect(rows[0]!.mase).toBeCloseTo(1, 4);
    expect(formatLeaderboard(rows).split('\n')).toHaveLength(4);
  });

  test('a training part that the naive forecast hits gives no MASE', async () => {
    const result = await backtest(frameOf({ a: [5, 5, 5, 5, 5, 6, 7] }), [last()], {
      inputLength: 3,
      horizon: 2,
      windows: 1,
    });
    expect(leaderboard(result)[0]!.mase).toBeNaN();
    expect(formatLeaderboard(leaderboard(result))).toContain('–');
  });

  test('numbers keep four digits and stand at the right', () => {
    expect([0, 0.001234, 12.3456, 98765, NaN, 1.5e-9].map(formatNumber)).toEqual([
      '0',
      '0.001234',
      '12.35',
      '98765',
      '–',
      '1.50e-9',
    ]);
    expect(
      formatTable(
        ['a', 'n'],
        [
          ['x', 1],
          ['long', 22.5],
        ],
      ),
    ).toBe('a         n\n────  ─────\nx     1.000\nlong  22.50');
  });
});

describe('conformal intervals', () => {
  let state = 1;
  const values = Array.from({ length: 600 }, () => (state = (state * 48271) % 2147483647) / 2147483647);

  test('half widths from the past cover the promised share of the future', async () => {
    const frame = frameOf({ a: values });
    const options = { inputLength: 3, horizon: 2, step: 1 };
    const past = await backtest(frame, [last()], { ...options, to: 300 * 60_000 });
    const later = await backtest(frame, [last()], { ...options, from: 300 * 60_000 });
    const widths = conformalHalfWidths(past, 'naive', 0.9);
    const { lo, hi } = intervalAround(later.forecasts['naive']!, widths);
    expect(coverage(later.actual, lo, hi)).toBeGreaterThan(0.87);
    expect(coverage(later.actual, lo, hi)).toBeLessThan(0.95);
    const scores = calibrationScores(past, 'naive', widths, 100);
    expect(scores.length).toBe(100);
    expect(scores.filter((score) => score <= 1).length).toBeGreaterThanOrEqual(85);
  });

  test('with too few errors the largest stands in, so that every width is finite', async () => {
    const result = await backtest(frameOf({ a: [1, 2, 3, 5, 9] }), [last()], { inputLength: 3, horizon: 2 });
    expect([...conformalHalfWidths(result, 'naive', 0.99)]).toEqual([2, 6]);
  });
});
