/** Forecasts from many moments of the past, beside what then happened. */

import { rowsOf, sliceTime, type TimeSeriesFrame } from '../data/frame.js';
import {
  createBatch,
  createWindows,
  gatherWindows,
  type WindowBatch,
  type WindowOptions,
  type Windows,
} from '../data/windows.js';

/** What a backtest asks of a model. Values are in sensor units. */
export interface BacktestModel {
  readonly name: string;
  /** Steps of the past it reads; default those of the backtest. A seasonal baseline may want more. */
  readonly inputLength?: number;
  /** Learns from rows before the forecast; left out by a model that is fitted already. */
  fit?(train: TimeSeriesFrame): void | Promise<void>;
  /** Forecasts the first `count` windows of a batch: [count, horizon]. */
  predict(batch: WindowBatch, count: number): Float32Array | Promise<Float32Array>;
}

export interface BacktestOptions extends Pick<
  WindowOptions,
  'inputLength' | 'horizon' | 'from' | 'to' | 'historic' | 'future' | 'static'
> {
  /** Distance of the cut-offs, default `horizon`; counted from the end of each series. */
  readonly step?: number;
  /** Only the last so many windows of each series. */
  readonly windows?: number;
  /** Fit anew before every cut-off, or once before the first (default). */
  readonly refit?: boolean;
}

export interface Backtest {
  readonly ids: readonly string[];
  readonly horizon: number;
  readonly count: number;
  /** [count], the series of each window. */
  readonly series: Uint32Array;
  /** [count], time of the first forecast step. */
  readonly cutoffs: Float64Array;
  /** [count, horizon], NaN where nothing was observed. */
  readonly actual: Float32Array;
  /** Each [count, horizon]. */
  readonly forecasts: Readonly<Record<string, Float32Array>>;
  /** The rows before the first cut-off: the scale of scaled errors. */
  readonly train: TimeSeriesFrame;
}

const BATCH = 256;

/** Runs every model over the rolling windows of a frame. A model never sees a row at or after the cut-off it is asked about. */
export async function backtest(
  frame: TimeSeriesFrame,
  models: readonly BacktestModel[],
  options: BacktestOptions,
): Promise<Backtest> {
  const { horizon, step = horizon, refit = false } = options;
  const longest = models.reduce((most, model) => Math.max(most, model.inputLength ?? 0), options.inputLength);
  const windows = lastWindows(
    createWindows(frame, { ...options, inputLength: longest, step, align: 'end' }),
    options.windows ?? Infinity,
  );
  const cutoffs = Float64Array.from(windows.starts, (start) => frame.time[start + longest]!);
  const first = cutoffs.reduce((a, b) => Math.min(a, b), Infinity);
  const rounds = refit ? [...new Set(cutoffs)].sort((a, b) => a - b) : windows.count > 0 ? [first] : [];

  const actual = new Float32Array(windows.count * horizon);
  const forecasts = Object.fromEntries(models.map(({ name }) => [name, new Float32Array(windows.count * horizon)]));
  const views = models.map((model) => {
    const mine = withPast(windows, model.inputLength ?? options.inputLength);
    return { model, mine, batch: createBatch(mine, BATCH) };
  });
  const happened = withPast(windows, 1);
  const truth = createBatch(happened, BATCH);
  for (const cutoff of rounds) {
    const indices = [...windows.starts.keys()].filter((i) => !refit || cutoffs[i] === cutoff);
    for (const model of models) await model.fit?.(sliceTime(frame, -Infinity, cutoff));
    for (let from = 0; from < indices.length; from += BATCH) {
      const chosen = indices.slice(from, from + BATCH);
      for (const { model, mine, batch } of views) {
        gatherWindows(mine, chosen, batch);
        batch.target.fill(0);
        batch.targetMask.fill(0);
        place(forecasts[model.name]!, await model.predict(batch, chosen.length), chosen, horizon);
      }
      gatherWindows(happened, chosen, truth);
      place(
        actual,
        truth.target.map((value, i) => (truth.targetMask[i] === 0 ? NaN : value)),
        chosen,
        horizon,
      );
    }
  }
  return {
    ids: frame.ids,
    horizon,
    count: windows.count,
    series: windows.series,
    cutoffs,
    actual,
    forecasts,
    train: sliceTime(frame, -Infinity, first),
  };
}

/** The same cut-offs with a shorter past. */
function withPast(windows: Windows, inputLength: number): Windows {
  return { ...windows, inputLength, starts: windows.starts.map((start) => start + windows.inputLength - inputLength) };
}

/** Keeps the last windows of each series. */
function lastWindows(windows: Windows, limit: number): Windows {
  const perSeries = new Uint32Array(windows.frame.ids.length);
  for (const s of windows.series) perSeries[s]!++;
  const kept = [...windows.series.keys()].filter((i) => perSeries[windows.series[i]!]!-- <= limit);
  return {
    ...windows,
    count: kept.length,
    starts: Uint32Array.from(kept, (i) => windows.starts[i]!),
    series: Uint32Array.from(kept, (i) => windows.series[i]!),
  };
}

function place(into: Float32Array, rows: Float32Array, windows: readonly number[], horizon: number): void {
  windows.forEach((window, i) => into.set(rows.subarray(i * horizon, (i + 1) * horizon), window * horizon));
}

/** Actual values and forecasts of one series, its windows one after the other. */
export function seriesOf(
  result: Backtest,
  name: string,
  series: number,
): { actual: Float32Array; forecast: Float32Array } {
  const mine = [...result.series.keys()].filter((i) => result.series[i] === series);
  const join = (rows: Float32Array): Float32Array => {
    const joined = new Float32Array(mine.length * result.horizon);
    mine.forEach((window, i) =>
      joined.set(rows.subarray(window * result.horizon, (window + 1) * result.horizon), i * result.horizon),
    );
    return joined;
  };
  return { actual: join(result.actual), forecast: join(result.forecasts[name]!) };
}

/** The observed target of one series before the first cut-off, NaN where nothing was observed. */
export function trainingTarget({ train }: Backtest, series: number): Float32Array {
  const { from, to } = rowsOf(train, series);
  return train.columns.target.slice(from, to).map((value, i) => (train.available[from + i] === 0 ? NaN : value));
}
