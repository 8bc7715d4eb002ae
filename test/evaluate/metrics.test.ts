import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  calibration,
  coverage,
  mae,
  mape,
  mase,
  mqLoss,
  mse,
  owa,
  quantileLoss,
  rmse,
  rmsse,
  scrps,
  smape,
  wape,
  winkler,
} from '../../src/evaluate/metrics.js';
import { missing, shared } from './shared.js';

interface Panel {
  readonly seasonality: number;
  readonly quantiles: readonly number[];
  readonly levels: readonly number[];
  readonly df: Readonly<Record<string, readonly number[]>> & { readonly unique_id: readonly string[] };
  readonly train_df: { readonly unique_id: readonly string[]; readonly y: readonly number[] };
  readonly values: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, number>>>>>>;
}

const absent = missing('fixtures', 'metrics');
describe('reference panels', () => {
  if (absent !== undefined) {
    test.skip(absent, () => undefined);
    return;
  }
  const folder = shared('fixtures', 'metrics');
  for (const file of readdirSync(folder)) {
    const panel = JSON.parse(readFileSync(`${folder}/${file}`, 'utf8')) as Panel;
    const rows = (table: { readonly unique_id: readonly string[] }, column: readonly number[], id: string): number[] =>
      column.filter((_, i) => table.unique_id[i] === id);

    test.each(Object.keys(panel.values))(`${file}: %s equals the reference within 1e-9`, (name) => {
      for (const [model, byId] of Object.entries(panel.values[name]!)) {
        for (const [id, expected] of Object.entries(byId)) {
          const of = (column: string): number[] => rows(panel.df, panel.df[column]!, id);
          const y = of('y');
          const train = rows(panel.train_df, panel.train_df.y, id);
          const [metric, at] = name.split('@') as [string, string | undefined];
          const quantiles = panel.quantiles.map((q) => of(`${model}-q${q}`));
          const ours: Record<string, () => number> = {
            mae: () => mae(y, of(model)),
            mse: () => mse(y, of(model)),
            rmse: () => rmse(y, of(model)),
            mape: () => mape(y, of(model)),
            smape: () => smape(y, of(model)),
            mase: () => mase(y, of(model), train, panel.seasonality),
            rmsse: () => rmsse(y, of(model), train, panel.seasonality),
            quantile_loss: () => quantileLoss(y, of(`${model}-q${at}`), Number(at)),
            calibration: () => calibration(y, of(`${model}-q${at}`)),
            mqloss: () => mqLoss(y, quantiles, panel.quantiles),
            scaled_crps: () => scrps(y, quantiles, panel.quantiles),
            coverage: () => coverage(y, of(`${model}-lo-${at}`), of(`${model}-hi-${at}`)),
          };
          const value = ours[metric]!();
          expect(Math.abs(value - expected)).toBeLessThanOrEqual(1e-9 * Math.abs(expected));
        }
      }
    });
  }
});

describe('metrics', () => {
  const values = fc.array(fc.double({ min: -1e3, max: 1e3, noNaN: true }), { minLength: 1, maxLength: 20 });

  test('a perfect forecast scores zero', () => {
    fc.assert(
      fc.property(values, (y) => {
        for (const metric of [mae, mse, rmse, smape]) expect(metric(y, y)).toBe(0);
        expect(winkler(y, y, y, 0.9)).toBe(0);
      }),
    );
  });

  test('points without an actual value do not count', () => {
    expect(mae([1, NaN, 3], [2, 100, 5])).toBe(1.5);
    expect(coverage([1, NaN], [0, 0], [2, 2])).toBe(1);
    expect(mae([NaN], [1])).toBeNaN();
    expect(mase([1], [2], [1, NaN, 3, 5], 1)).toBe(0.5);
  });

  test('golden values', () => {
    expect(wape([1, -3], [2, -5])).toBe(0.75);
    expect(winkler([1, 5, -2], [0, 0, 0], [2, 2, 2], 0.8)).toBeCloseTo((2 + (2 + 30) + (2 + 20)) / 3, 12);
    expect(owa({ smape: 9, mase: 2 }, { smape: 18, mase: 1 })).toBe(1.25);
    expect(smape([0, 1], [0, 3])).toBe(0.25);
  });

  test('the median is the forecast of least absolute error: quantile loss at 0.5 is half of it', () => {
    fc.assert(
      fc.property(values, (y) => {
        const flat = y.map(() => 1);
        expect(quantileLoss(y, flat, 0.5)).toBeCloseTo(mae(y, flat) / 2, 9);
      }),
    );
  });

  test('different lengths and a scale of zero are refused', () => {
    expect(() => mae([1, 2], [1])).toThrow(/2 actual values, but 1.*ND_EVALUATE_LENGTHS/);
    expect(() => mase([1], [2], [3, 3, 3], 1)).toThrow(/ND_EVALUATE_ZERO_SCALE/);
    expect(() => rmsse([1], [2], [3], 1)).toThrow(/ND_EVALUATE_ZERO_SCALE/);
  });
});
