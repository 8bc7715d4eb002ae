import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { makeFuture } from '../../src/data/covariates.js';
import { frameFromColumns } from '../../src/data/from-columns.js';
import { takeRows, type TimeSeriesFrame } from '../../src/data/frame.js';
import { createRandom } from '../../src/engine/random.js';
import { backtest, Forecaster, mlp, nlinear, tsmixerx, type ModelChoice } from '../../src/index.js';

const folder = mkdtempSync(join(tmpdir(), 'nd-covariates-'));
afterAll(() => rmSync(folder, { recursive: true }));

const rows = 300;
const horizon = 4;
const ids = ['north', 'south'];
const random = createRandom(1, 'covariates');
/** What comes is known from `promo` alone, which no past tells, times what stands in `level`. */
const promo = ids.flatMap(() => Array.from({ length: rows }, () => (random() < 0.5 ? 0 : 1)));
const level = ids.flatMap((_, s) => Array.from({ length: rows }, () => s + 1));
const target = promo.map((on, row) => 10 + on * level[row]!);
const whole = frameFromColumns({
  ids,
  series: ids.flatMap((_, s) => Array.from({ length: rows }, () => s)),
  time: ids.flatMap(() => Array.from({ length: rows }, (_, row) => row * 3_600_000)),
  columns: { target, promo, level, wind: target.map((value) => -value) },
}).frame;
const past = takeRows(whole, (s) => ({ from: s * rows, to: (s + 1) * rows - horizon }));
const future = takeRows(whole, (s) => ({ from: (s + 1) * rows - horizon, to: (s + 1) * rows }));
const truth = ids.flatMap((_, s) => target.slice((s + 1) * rows - horizon, (s + 1) * rows));

const covariates = { historic: ['wind'], future: ['promo'], static: ['level'] };
const forecaster = (model: ModelChoice, columns = covariates): Forecaster =>
  new Forecaster({
    models: [model],
    covariates: columns,
    train: { maxSteps: 500, windowsBatchSize: 32, learningRate: 0.01, threads: 1, scaler: 'identity', loss: 'mse' },
  });
const mean = (errors: Float32Array): number => errors.reduce((sum, error) => sum + Math.abs(error), 0) / errors.length;

describe.each<[string, () => ModelChoice]>([
  ['of one series', () => mlp({ horizon, inputLength: 8, hidden: 32 })],
  ['of many series', () => tsmixerx({ horizon, inputLength: 8, series: 2, hidden: 16, dropout: 0 })],
])('a model %s', (_, model) => {
  test('learns from columns, forecasts with those of the future, and does so again when saved and loaded', async () => {
    const fitted = await forecaster(model()).fit(past, { validationSize: 60, inProcess: true });
    expect(fitted.columns).toEqual(['wind', 'promo', 'level']);
    const { columns } = await fitted.predict({ frame: past, future });
    const [name] = Object.keys(columns) as [string];
    expect(mean(columns[name]!.map((value, i) => value - truth[i]!))).toBeLessThan(0.5); // 0.75 without the future

    const dir = join(folder, name);
    await fitted.save(dir);
    const loaded = await Forecaster.load(dir);
    expect(loaded.columnsAhead).toEqual(['promo']);
    expect((await loaded.predict({ frame: past, future })).columns[name]).toEqual(columns[name]);

    const measured = await backtest(whole, loaded.backtestModels(), { inputLength: 8, horizon, windows: 3 });
    expect(mean(measured.forecasts[name]!.map((value, i) => value - measured.actual[i]!))).toBeLessThan(0.5);
  });
});

describe('what is not there', () => {
  const columns = { future: ['promo'], historic: [], static: ['level'] };
  const trained = forecaster(mlp({ horizon, inputLength: 8, hidden: 4 }), columns).fit(past, { inProcess: true });

  test('rows of the future are listed by series and time', async () => {
    const fitted = await trained;
    const short = takeRows(future, (s) => ({ from: s * horizon, to: s * horizon + (s === 0 ? horizon : 2) }));
    await expect(fitted.predict({ frame: past, future: short })).rejects.toMatchObject({
      findings: [
        {
          code: 'ND_DATA_FUTURE_ROWS_MISSING',
          series: 'south',
          count: 2,
          examples: [{ value: '1970-01-13 10:00:00' }, { value: '1970-01-13 11:00:00' }],
        },
      ],
    });
    await expect(fitted.predict({ frame: past })).rejects.toMatchObject({ code: 'ND_DATA_INVALID' });
    const { time } = makeFuture(past, horizon);
    expect([...time]).toEqual([...future.time]);
  });

  test('a column, and one that should not change', async () => {
    const fitted = await trained;
    const { promo: _, ...rest } = past.columns;
    const without = { ...past, columns: rest } as TimeSeriesFrame;
    await expect(fitted.fit(without, { inProcess: true })).rejects.toThrow(/ND_DATA_COLUMN_MISSING.*promo/);
    const varies = forecaster(mlp({ horizon, inputLength: 8 }), { future: [], historic: [], static: ['promo'] });
    await expect(varies.fit(past, { inProcess: true })).rejects.toThrow(/ND_DATA_STATIC_VARIES/);
  });

  test('models side by side may read different columns', async () => {
    const mixed = new Forecaster({
      models: [{ ...mlp({ horizon, inputLength: 8, hidden: 4 }), covariates: columns }, nlinear({ horizon })],
      train: { maxSteps: 20, windowsBatchSize: 32, threads: 1 },
    });
    await mixed.fit(past, { inProcess: true });
    const { columns: forecasts } = await mixed.predict({ frame: past, future });
    expect(Object.keys(forecasts)).toEqual(['mlp', 'nlinear']);
    const dir = join(folder, 'mixed');
    await mixed.save(dir);
    expect((await Forecaster.load(dir)).columns).toEqual(['promo', 'level']);
  });
});
