/** How the literature measures forecasts, so that our figures stand beside published ones (FORECASTING.md §10). */
import { rowsOf, takeRows, type TimeSeriesFrame } from '../data/frame.js';
import { monthRows, shareRows, type PartRows } from '../data/split.js';
import { rescaled } from '../data/wide.js';
import { createWindows } from '../data/windows.js';
import { NeuroDivergentError } from '../errors.js';
import { backtest, type BacktestModel } from './backtest.js';
import { fitRidge, seasonalNaive, type PointForecast } from './baselines.js';
import { mae, mase, owa, smape, unlessZeroScale } from './metrics.js';
import { naive2 } from './naive2.js';
import { formatTable } from './table.js';

export type Protocol =
  | { readonly kind: 'ett' }
  | { readonly kind: 'ratio'; readonly shares: readonly [number, number, number] }
  | { readonly kind: 'm4' };

const refused = (where: string, what: string, mend: string): NeuroDivergentError =>
  new NeuroDivergentError('ND_EVALUATE_PROTOCOL', { where, what, mend });

/** Reads `ett`, `ratio:7,1,2` or `m4`. Throws `ND_EVALUATE_PROTOCOL`. */
export function parseProtocol(text: string): Protocol {
  if (text === 'ett' || text === 'm4') return { kind: text };
  const [train, validation, test, ...more] = /^ratio:(.+)$/.exec(text)?.[1]?.split(',').map(Number) ?? [];
  if (train! > 0 && validation! >= 0 && test! > 0 && more.length === 0)
    return { kind: 'ratio', shares: [train!, validation!, test!] };
  throw refused(
    'protocol',
    `“${text}” is no protocol.`,
    'Use ett (12, 4 and 4 months), ratio:7,1,2 (shares of the rows that train, validate and test) or m4 (the last horizon of each series).',
  );
}

/** A table as a protocol cuts it. */
export interface Parts {
  readonly rows: PartRows;
  /** All parts, in the unit of the data. */
  readonly frame: TimeSeriesFrame;
  /** The same with the mean of the training part taken off each series, and divided by its standard deviation. */
  readonly scaled: TimeSeriesFrame;
  /** [series], by which it was divided. */
  readonly deviations: readonly number[];
  /** Of `scaled`, what a model may learn from: train and, behind it, validation. */
  readonly known: TimeSeriesFrame;
}

/** Cuts a table for `ett` or `ratio`. Throws `ND_EVALUATE_PROTOCOL` when a part is too short, or the series differ in their times. */
export function partsOf(
  table: TimeSeriesFrame,
  protocol: Exclude<Protocol, { kind: 'm4' }>,
  { inputLength, horizon }: { readonly inputLength: number; readonly horizon: number },
): Parts {
  const first = rowsOf(table, 0);
  const length = first.to - first.from;
  const other = table.ids.findIndex((_, s) => {
    const { from, to } = rowsOf(table, s);
    return to - from !== length || table.time[from] !== table.time[first.from];
  });
  if (other >= 0)
    throw refused(
      table.ids[other]!,
      `Its rows are not of the same times as those of ${table.ids[0]!}.`,
      'Keep the rows that all series have, or measure by m4.',
    );
  const rows = protocol.kind === 'ett' ? monthRows(table.frequency) : shareRows(length, protocol.shares);
  if (rows === undefined)
    throw refused(
      'ett',
      `Thirty days are no whole number of rows of the frequency ${table.frequency}.`,
      'Use ratio:6,2,2.',
    );
  const { train, validation, test } = rows;
  if (train + validation + test > length || train < inputLength + horizon || test < horizon)
    throw refused(
      'protocol',
      `Of ${length} rows, ${train} train, ${validation} validate and ${test} test; a window has ${inputLength} + ${horizon}.`,
      'Give more rows, shorten the input length or the horizon, or choose another protocol.',
    );
  const start = (s: number): number => rowsOf(table, s).from;
  const frame = takeRows(table, (s) => ({ from: start(s), to: start(s) + train + validation + test }));
  const scales = frame.ids.map((_, s) => scaleOf(frame, rowsOf(frame, s).from, train));
  const scaled = rescaled(frame, (s) => scales[s]!);
  const known = takeRows(scaled, (s) => ({ from: rowsOf(scaled, s).from, to: rowsOf(scaled, s).to - test }));
  return { rows, frame, scaled, deviations: scales.map(({ deviation }) => deviation), known };
}

/** Mean and population deviation of what was observed in `count` rows; deviation 1 where nothing changes. */
function scaleOf({ columns, available }: TimeSeriesFrame, from: number, count: number) {
  const observed = Array.from(columns.target.subarray(from, from + count)).filter((_, i) => available[from + i] === 1);
  const mean = observed.reduce((sum, value) => sum + value, 0) / (observed.length || 1);
  const variance = observed.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (observed.length || 1);
  return { mean, deviation: Math.sqrt(variance) || 1 };
}

export interface ScaledRow {
  readonly name: string;
  /** Means over all windows, steps and series, of values in deviations of the training part. */
  readonly mse: number;
  readonly mae: number;
}

/** Numbers that are held at once for each model. */
const blockValues = 1 << 20;

/**
 * Measures on every window of the test part; what a window sees may lie before it. `frame` is one of the two of `parts`,
 * and `deviations` the unit of its values. Models are fitted already.
 */
export async function measureScaled(
  frame: TimeSeriesFrame,
  models: readonly BacktestModel[],
  {
    rows,
    deviations,
    inputLength,
    horizon,
    on,
  }: Pick<Parts, 'rows' | 'deviations'> & {
    readonly inputLength: number;
    readonly horizon: number;
    readonly on?: (done: number, total: number) => void;
  },
): Promise<ScaledRow[]> {
  const begin = rows.train + rows.validation;
  const total = rows.test - horizon + 1;
  const block = Math.max(1, Math.floor(blockValues / (frame.ids.length * horizon)));
  const sums = models.map(() => ({ squares: 0, absolutes: 0, count: 0 }));
  for (let first = 0; first < total; first += block) {
    const last = Math.min(first + block, total) - 1;
    const result = await backtest(frame, models, {
      inputLength,
      horizon,
      step: 1,
      from: frame.time[begin + first]!,
      to: last + 1 < total ? frame.time[begin + last + horizon]! : Infinity,
    });
    for (const [m, { name }] of models.entries()) {
      const forecast = result.forecasts[name]!;
      const sum = sums[m]!;
      for (const [window, s] of result.series.entries()) {
        for (let i = window * horizon; i < (window + 1) * horizon; i++) {
          const error = (result.actual[i]! - forecast[i]!) / deviations[s]!;
          if (Number.isNaN(result.actual[i])) continue;
          sum.squares += error * error;
          sum.absolutes += Math.abs(error);
          sum.count++;
        }
      }
    }
    on?.(last + 1, total);
  }
  return models.map(({ name }, m) => {
    const { squares, absolutes, count } = sums[m]!;
    return { name, mse: squares / count, mae: absolutes / count };
  });
}

/** Windows that ridge learns from: all of ETTh1, a sample of larger tables. */
const ridgeWindows = 60_000;

/** Seasonal naive, and ridge of the training part, for `measureScaled` on `scaled`. */
export function scaledBaselines(
  { scaled, rows }: Parts,
  { inputLength, horizon, season }: { readonly inputLength: number; readonly horizon: number; readonly season: number },
): BacktestModel[] {
  const learned = (s: number) => ({ from: rowsOf(scaled, s).from, to: rowsOf(scaled, s).from + rows.train });
  return [
    { name: 'seasonal naive', inputLength: season, predict: seasonalNaive(season, horizon, season) },
    {
      name: 'ridge',
      inputLength,
      predict: fitRidge(createWindows(scaled, { inputLength, horizon, rows: learned }), ridgeWindows).forecast,
    },
  ];
}

export interface M4Row {
  readonly name: string;
  /** Percent, of the contest: 200 |y - ŷ| / (|y| + |ŷ|). Means over the series, as all of these. */
  readonly smape: number;
  /** Series that seasonal naive hits exactly in training are left out. */
  readonly mase: number;
  /** Against Naive2 on these series. */
  readonly owa: number;
  /** In the unit of the data. */
  readonly mae: number;
}

/** What M4 lets a model learn from: all but the last `horizon` rows of each series. */
export const knownOf = (frame: TimeSeriesFrame, horizon: number): TimeSeriesFrame =>
  takeRows(frame, (s) => ({ from: rowsOf(frame, s).from, to: rowsOf(frame, s).to - horizon }));

/** Forecasts of the last horizon of each series: [series · horizon]. Throws `ND_EVALUATE_PROTOCOL` for a series without a window. */
export async function lastForecasts(
  frame: TimeSeriesFrame,
  model: BacktestModel,
  { inputLength, horizon }: { readonly inputLength: number; readonly horizon: number },
): Promise<Float32Array> {
  const { series, forecasts } = await backtest(frame, [model], { inputLength, horizon, windows: 1 });
  const short = frame.ids.find((_, s) => !series.includes(s));
  if (short === undefined) return forecasts[model.name]!;
  throw refused(
    short,
    `It has no ${model.inputLength ?? inputLength} + ${horizon} rows that are observed.`,
    'Leave the series out, or shorten the input length.',
  );
}

/** Scores forecasts of the last horizon, each [series · horizon], beside Naive2 and seasonal naive. */
export function scoreM4(
  frame: TimeSeriesFrame,
  forecasts: Readonly<Record<string, Float32Array>>,
  { horizon, season }: { readonly horizon: number; readonly season: number },
): M4Row[] {
  const series = frame.ids.map((_, s) => {
    const { from, to } = rowsOf(frame, s);
    const values = frame.columns.target.slice(from, to).map((value, i) => (frame.available[from + i] === 0 ? NaN : value)); // prettier-ignore
    return { known: values.subarray(0, -horizon), actual: values.subarray(-horizon) };
  });
  const joined = (forecast: (known: Float32Array) => Float32Array): Float32Array =>
    Float32Array.from(series.flatMap(({ known }) => [...forecast(known)]));
  const period = (known: Float32Array): number => Math.min(season, known.length);
  const all = {
    ...forecasts,
    naive2: joined((known) => naive2(known, horizon, season)),
    'seasonal naive': joined((known) => seasonalNaive(known.length, horizon, period(known))({ past: known }, 1)),
  };
  const scores = Object.entries(all).map(([name, values]) => {
    const each = series.map(({ known, actual }, s) => {
      const forecast = values.subarray(s * horizon, (s + 1) * horizon);
      return {
        smape: 200 * smape(actual, forecast),
        mase: unlessZeroScale(() => mase(actual, forecast, known, season)),
        mae: mae(actual, forecast),
      };
    });
    const mean = (metric: 'smape' | 'mase' | 'mae'): number => {
      const some = each.map((score) => score[metric]).filter((value) => !Number.isNaN(value));
      return some.reduce((sum, value) => sum + value, 0) / some.length;
    };
    return { name, smape: mean('smape'), mase: mean('mase'), mae: mean('mae') };
  });
  const benchmark = scores.find(({ name }) => name === 'naive2')!;
  return scores.map((score) => ({ ...score, owa: owa(score, benchmark) }));
}

/** Ridge of M4, from series in deviations of what is known of each, so that large ones count no more than small ones. */
export function ridgeM4(
  frame: TimeSeriesFrame,
  { inputLength, horizon }: { readonly inputLength: number; readonly horizon: number },
): Promise<Float32Array> {
  const scales = frame.ids.map((_, s) => {
    const { from, to } = rowsOf(frame, s);
    return scaleOf(frame, from, to - from - horizon);
  });
  const scaled = rescaled(frame, (s) => scales[s]!);
  const predict: PointForecast = fitRidge(createWindows(knownOf(scaled, horizon), { inputLength, horizon }), ridgeWindows).forecast; // prettier-ignore
  return lastForecasts(scaled, { name: 'ridge', predict }, { inputLength, horizon }).then((values) =>
    values.map((value, i) => {
      const { mean, deviation } = scales[Math.floor(i / horizon)]!;
      return value * deviation + mean;
    }),
  );
}

const byFirst = (key: 'mse' | 'owa') => (a: object, b: object) =>
  (a as Record<string, number>)[key]! - (b as Record<string, number>)[key]!;

/** The rows as a table for a terminal, best first. */
export const formatScaled = (rows: readonly ScaledRow[]): string =>
  formatTable(['model', 'MSE', 'MAE'], [...rows].sort(byFirst('mse')).map((row) => [row.name, row.mse, row.mae])); // prettier-ignore
export const formatM4 = (rows: readonly M4Row[]): string =>
  formatTable(
    ['model', 'sMAPE', 'MASE', 'OWA', 'MAE'],
    [...rows].sort(byFirst('owa')).map((row) => [row.name, row.smape, row.mase, row.owa, row.mae]),
  );
