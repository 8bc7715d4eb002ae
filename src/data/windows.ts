/** Windows over a frame: where each one starts, and a gather that copies the chosen ones into a batch. */

import { addSteps, parseFrequency } from '../time/frequency.js';
import { rowAt, rowsOf, type TimeSeriesFrame } from './frame.js';
import { createFindings, DataError } from './validate.js';

export interface WindowOptions {
  /** Steps a model sees. */
  readonly inputLength: number;
  /** Steps it forecasts. */
  readonly horizon: number;
  /** Distance of neighbouring windows, default 1. */
  readonly step?: number;
  /** Does `step` count from the first window of a series (default) or from its last, as a backtest does? */
  readonly align?: 'start' | 'end';
  /** Keep windows whose forecast steps all have `from <= time < to`; what a model sees may lie earlier. */
  readonly from?: number;
  readonly to?: number;
  /** Share of the past, and of the target, that must be observed; default 0, which asks for one observed point in each. */
  readonly minAvailable?: number;
  /** Also windows that reach up to `horizon - 1` steps beyond the end of a series, masked there. */
  readonly padEnd?: boolean;
  /** Columns known for the past only. */
  readonly historic?: readonly string[];
  /** Columns known for the horizon, too. */
  readonly future?: readonly string[];
  /** [series, features]: values that never change within a series. */
  readonly static?: Float32Array;
}

/** The windows of a frame; no value is copied before `gatherWindows`. */
export interface Windows {
  readonly frame: TimeSeriesFrame;
  readonly inputLength: number;
  readonly horizon: number;
  readonly count: number;
  /** [count], first row of what the model sees. */
  readonly starts: Uint32Array;
  /** [count], the series each belongs to. */
  readonly series: Uint32Array;
  readonly historic: readonly string[];
  readonly future: readonly string[];
  readonly static: Float32Array | undefined;
}

/**
 * Tensors of up to `size` windows, row-major, to be reused from batch to batch. They may be views of another memory,
 * such as that of a training session. L inputLength, H horizon; X, F, S numbers of covariates.
 */
export interface WindowBatch {
  past: Float32Array; // [batch, L, 1]
  mask: Float32Array; // [batch, L, 1], 1 where observed
  target: Float32Array; // [batch, H, 1]
  targetMask: Float32Array; // [batch, H, 1]
  historic?: Float32Array; // [batch, L, X]
  future?: Float32Array; // [batch, L + H, F]
  static?: Float32Array; // [batch, S]
}

/** Finds the windows, series by series in order of time. `count` is 0 when no window fits; the caller decides what that means. */
export function createWindows(frame: TimeSeriesFrame, options: WindowOptions): Windows {
  const {
    inputLength,
    horizon,
    step = 1,
    align = 'start',
    minAvailable = 0,
    padEnd = false,
    from = -Infinity,
    to = Infinity,
  } = options;
  const observed = new Uint32Array(frame.available.length + 1); // observed rows before each row
  for (let row = 0; row < frame.available.length; row++) observed[row + 1] = observed[row]! + frame.available[row]!;
  const share = (start: number, end: number, length: number): number => (observed[end]! - observed[start]!) / length;

  const starts: number[] = [];
  const series: number[] = [];
  frame.ids.forEach((_, s) => {
    const rows = rowsOf(frame, s);
    const first = Math.max(rows.from, (from === -Infinity ? rows.from : rowAt(frame, s, from)) - inputLength);
    const end = to === Infinity ? rows.to : rowAt(frame, s, to); // no target row at or after this one
    const last = end - inputLength - (padEnd ? 1 : horizon);
    const shift = align === 'end' && last >= first ? (last - first) % step : 0;
    for (let start = first + shift; start <= last; start += step) {
      const cut = start + inputLength;
      const seen = share(start, cut, inputLength);
      const asked = share(cut, Math.min(cut + horizon, end), horizon);
      if (seen === 0 || asked === 0 || seen < minAvailable || asked < minAvailable) continue;
      starts.push(start);
      series.push(s);
    }
  });
  return windowsAt(frame, options, Uint32Array.from(starts), Uint32Array.from(series));
}

/**
 * The last `inputLength` rows of every series, to forecast what comes next: all of the target is masked. Throws
 * `DataError` naming every series that is shorter.
 */
export function latestWindows(
  frame: TimeSeriesFrame,
  options: Pick<WindowOptions, 'inputLength' | 'horizon' | 'historic' | 'future' | 'static'>,
): Windows {
  const findings = createFindings();
  const starts = frame.ids.map((series, s) => {
    const { from, to } = rowsOf(frame, s);
    if (to - from < options.inputLength) {
      findings.add(
        'ND_DATA_SERIES_TOO_SHORT',
        { series, column: 'target' },
        { what: `${to - from} rows, but the model reads ${options.inputLength}` },
      );
    }
    return to - options.inputLength;
  });
  if (findings.list().length > 0) throw new DataError('predict', findings.list());
  return windowsAt(frame, options, Uint32Array.from(starts), Uint32Array.from(frame.ids.keys()));
}

function windowsAt(
  frame: TimeSeriesFrame,
  { inputLength, horizon, historic = [], future = [], static: fixed }: WindowOptions,
  starts: Uint32Array,
  series: Uint32Array,
): Windows {
  const findings = createFindings();
  for (const column of [...historic, ...future]) {
    if (!(column in frame.columns))
      findings.add('ND_DATA_COLUMN_MISSING', { column }, { mend: 'Keep it when reading the table (`covariates`).' });
  }
  if (findings.list().length > 0) throw new DataError('windows', findings.list());
  return { frame, inputLength, horizon, count: starts.length, starts, series, historic, future, static: fixed };
}

/** [horizon], the times that window `index` forecasts; beyond the end of the series by its frequency. */
export function forecastTimes({ frame, starts, inputLength, horizon }: Windows, index: number): Float64Array {
  const frequency = parseFrequency(frame.frequency);
  const last = starts[index]! + inputLength - 1;
  return Float64Array.from({ length: horizon }, (_, h) => addSteps(frame.time[last]!, frequency, h + 1));
}

const staticWidth = ({ static: fixed, frame }: Windows): number => (fixed ? fixed.length / frame.ids.length : 0);

/** The shape of every tensor of a batch of `size` windows. */
export function batchShapes(windows: Windows, size: number): Readonly<Record<keyof WindowBatch, readonly number[]>> {
  const { inputLength, horizon, historic, future } = windows;
  return {
    past: [size, inputLength, 1],
    mask: [size, inputLength, 1],
    target: [size, horizon, 1],
    targetMask: [size, horizon, 1],
    historic: [size, inputLength, historic.length],
    future: [size, inputLength + horizon, future.length],
    static: [size, staticWidth(windows)],
  };
}

/** Fresh tensors for batches of up to `size` windows; covariates only when the windows name some. */
export function createBatch(windows: Windows, size: number): WindowBatch {
  const entries = Object.entries(batchShapes(windows, size)).map(
    ([name, dims]) => [name, dims.reduce((a, b) => a * b)] as const,
  );
  const optional = new Set(['historic', 'future', 'static']);
  return Object.fromEntries(
    entries
      .filter(([name, length]) => length > 0 || !optional.has(name))
      .map(([name, length]) => [name, new Float32Array(length)]),
  ) as unknown as WindowBatch;
}

/**
 * Copies the windows `indices` into the first places of `batch`. Values that are missing, and steps beyond the end of
 * a series, are 0 with mask 0; values that were filled in keep their value with mask 0.
 */
export function gatherWindows(windows: Windows, indices: ArrayLike<number>, batch: WindowBatch): void {
  const { frame, inputLength, horizon, starts, series } = windows;
  const { target } = frame.columns;
  for (let place = 0; place < indices.length; place++) {
    const index = indices[place]!;
    const start = starts[index]!;
    const cut = start + inputLength;
    const end = frame.offsets[series[index]! + 1]!;
    copyRows(target, start, cut, batch.past, place * inputLength, inputLength);
    copyRows(frame.available, start, cut, batch.mask, place * inputLength, inputLength);
    copyRows(target, cut, Math.min(cut + horizon, end), batch.target, place * horizon, horizon);
    copyRows(frame.available, cut, Math.min(cut + horizon, end), batch.targetMask, place * horizon, horizon);
    if (batch.historic) interleave(windows.historic, frame, start, cut, batch.historic, place, inputLength);
    if (batch.future)
      interleave(
        windows.future,
        frame,
        start,
        Math.min(cut + horizon, end),
        batch.future,
        place,
        inputLength + horizon,
      );
    if (batch.static) {
      const width = staticWidth(windows);
      batch.static.set(windows.static!.subarray(series[index]! * width, (series[index]! + 1) * width), place * width);
    }
  }
}

/** Copies rows to `at`, zeros for NaN, and pads with zeros to `length`. */
function copyRows(
  column: Float32Array | Uint8Array,
  from: number,
  to: number,
  into: Float32Array,
  at: number,
  length: number,
): void {
  into.set(column.subarray(from, to), at);
  if (column instanceof Float32Array) {
    for (let i = at; i < at + to - from; i++) if (into[i] !== into[i]) into[i] = 0;
  }
  into.fill(0, at + to - from, at + length);
}

/** Copies several columns side by side: [time, columns]. */
function interleave(
  names: readonly string[],
  frame: TimeSeriesFrame,
  from: number,
  to: number,
  into: Float32Array,
  place: number,
  length: number,
): void {
  const width = names.length;
  const at = place * length * width;
  names.forEach((name, c) => {
    const column = frame.columns[name]!;
    for (let i = 0; i < length; i++) into[at + i * width + c] = from + i < to ? column[from + i]! || 0 : 0;
  });
}
