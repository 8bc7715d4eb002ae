/** Forecasts from many moments of the past, beside what then happened. */

import { covariatesOf, type CovariateColumns } from '../data/covariates.js';
import { rowsOf, sliceTime, type TimeSeriesFrame } from '../data/frame.js';
import {
  createBatch,
  createWindows,
  gatherWindows,
  withPast,
  type WindowBatch,
  type WindowOptions,
  type Windows,
} from '../data/windows.js';

/** What a backtest asks of a model. Values are in sensor units. */
export interface BacktestModel {
  readonly name: string;
  /** Steps of the past it reads; default those of the backtest. A seasonal baseline may want more. */
  readonly inputLength?: number;
  /** So many series, all of the frame, share its windows; left out by a model that forecasts each by itself. */
  readonly together?: number | undefined;
  /** Columns of the frame that it reads beside the target. */
  readonly columns?: CovariateColumns | undefined;
  /** Learns from rows before the forecast; left out by a model that is fitted already. */
  fit?(train: TimeSeriesFrame): void | Promise<void>;
  /** Forecasts the first `count` windows of a batch: [count, horizon], or [count·series, horizon] of windows that are shared. */
  predict(batch: WindowBatch, count: number): Float32Array | Promise<Float32Array>;
}

export interface BacktestOptions extends Pick<WindowOptions, 'inputLength' | 'horizon' | 'from' | 'to'> {
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
  const happened = withPast(windows, 1);
  const truth = createBatch(happened, BATCH);
  for (const cutoff of rounds) {
    const chunks = ({ starts, inputLength }: Windows): number[][] => {
      const due = [...starts.keys()].filter((i) => !refit || frame.time[starts[i]! + inputLength] === cutoff);
      return Array.from({ length: Math.ceil(due.length / BATCH) }, (_, i) => due.slice(i * BATCH, (i + 1) * BATCH));
    };
    for (const model of models) {
      await model.fit?.(sliceTime(frame, -Infinity, cutoff));
      const { mine, batch, slots } = viewOf(windows, model, options); // what it reads, it may have learned just now
      for (const chosen of chunks(mine)) {
        gatherWindows(mine, chosen, batch);
        batch.target.fill(0);
        batch.targetMask.fill(0);
        const rows = await model.predict(batch, chosen.length);
        place(forecasts[model.name]!, rows, chosen.flatMap(slots), horizon);
      }
    }
    for (const chosen of chunks(happened)) {
      gatherWindows(happened, chosen, truth);
      for (let i = 0; i < truth.target.length; i++) if (truth.targetMask[i] === 0) truth.target[i] = NaN;
      place(actual, truth.target, chosen, horizon);
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

/**
 * Forecasts of a model for windows of single series, each with as much of the past as it reads: [count, width], where
 * `width` is the horizon times the numbers that `predict` gives per step.
 */
export async function forecastWindows(
  windows: Windows,
  model: BacktestModel,
  {
    width = windows.horizon,
    on,
  }: { readonly width?: number; readonly on?: ((done: number, total: number) => void) | undefined } = {},
): Promise<Float32Array> {
  const { mine, batch, slots } = viewOf(windows, model, windows);
  const forecasts = new Float32Array(windows.count * width);
  for (let from = 0; from < mine.count; from += BATCH) {
    const chosen = Array.from({ length: Math.min(BATCH, mine.count - from) }, (_, i) => from + i);
    gatherWindows(mine, chosen, batch);
    batch.target.fill(0);
    batch.targetMask.fill(0);
    place(forecasts, await model.predict(batch, chosen.length), chosen.flatMap(slots), width);
    on?.(from + chosen.length, mine.count);
  }
  return forecasts;
}

/** What a model is shown: windows with the same cut-offs, and `slots`, where the rows of its forecast for one of them belong. */
function viewOf(windows: Windows, model: BacktestModel, { inputLength }: Pick<BacktestOptions, 'inputLength'>) {
  const { frame, starts, series } = windows;
  const { together } = model;
  const covariates = covariatesOf(frame, model.columns ?? {});
  const alone = { ...withPast(windows, model.inputLength ?? inputLength), ...covariates };
  if (together === undefined) return { mine: alone, batch: createBatch(alone, BATCH), slots: (i: number) => [i] };

  const options = { inputLength: windows.inputLength, horizon: windows.horizon, together };
  const shared = createWindows(frame, options);
  const within = (start: number, s: number): number => start - frame.offsets[s]!;
  const slotAt = new Map([...starts.keys()].map((i) => [`${series[i]} ${within(starts[i]!, series[i]!)}`, i]));
  const slotsOf = (start: number): number[] => frame.ids.map((_, s) => slotAt.get(`${s} ${within(start, 0)}`) ?? -1);
  const asked = shared.starts.filter((start) => slotsOf(start).some((slot) => slot >= 0));
  const cut = withPast({ ...shared, starts: asked, series: new Uint32Array(asked.length), count: asked.length }, alone.inputLength); // prettier-ignore
  const mine = { ...cut, ...covariates };
  return { mine, batch: createBatch(mine, BATCH), slots: (i: number) => slotsOf(asked[i]!) };
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
  windows.forEach(
    (window, i) => window >= 0 && into.set(rows.subarray(i * horizon, (i + 1) * horizon), window * horizon),
  );
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
