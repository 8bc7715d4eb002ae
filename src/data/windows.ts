/** Windows over a frame: where each one starts, and a gather that copies the chosen ones into a batch. */

import { NeuroDivergentError } from '../errors.js';
import { addSteps, parseFrequency } from '../time/frequency.js';
import { rowAt, rowsOf, shared, type TimeSeriesFrame } from './frame.js';
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
  /** Keep windows that lie in these rows of their series; all rows by default. */
  readonly rows?: (series: number) => { readonly from: number; readonly to: number };
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
  /** So many series, all of the frame, share every window: for models that forecast them from each other. Their rows have the same times. */
  readonly together?: number | undefined;
}

/** The windows of a frame; no value is copied before `gatherWindows`. */
export interface Windows {
  readonly frame: TimeSeriesFrame;
  readonly inputLength: number;
  readonly horizon: number;
  readonly count: number;
  /** [count], first row of what the model sees; of the first series where windows are shared. */
  readonly starts: Uint32Array;
  /** [count], the series each belongs to, the first where windows are shared. */
  readonly series: Uint32Array;
  readonly historic: readonly string[];
  readonly future: readonly string[];
  readonly static: Float32Array | undefined;
  readonly together: number | undefined;
  /** What a teacher forecasts for every window, to learn from beside the truth. */
  readonly teacher?: TeacherForecasts;
}

export interface TeacherForecasts {
  /** Numbers per step: the point alone, or quantiles. */
  readonly columns: number;
  /** [count, columns·H, N], column by column */
  readonly values: Float32Array;
}

/**
 * Tensors of up to `size` windows, row-major, to be reused from batch to batch. They may be views of another memory,
 * such as that of a training session. L inputLength, H horizon; X, F, S numbers of covariates; N series of a window, 1
 * unless they share it.
 */
export interface WindowBatch {
  past: Float32Array; // [batch, L, N]
  mask: Float32Array; // [batch, L, N], 1 where observed
  target: Float32Array; // [batch, H, N]
  targetMask: Float32Array; // [batch, H, N]
  historic?: Float32Array; // [batch, L, X], shared [batch, X, L, N]
  future?: Float32Array; // [batch, L + H, F], shared [batch, F, L + H, N]
  static?: Float32Array; // [batch, S], shared [N, S]
  teacher?: Float32Array; // [batch, columns·H, N]
}

/**
 * Finds the windows, series by series in order of time. `count` is 0 when no window fits; the caller decides what that
 * means. Throws `ND_CONFIG_SERIES_COUNT` when the series cannot share windows, `DataError` for columns that are missing.
 */
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
    rows = (s) => rowsOf(frame, s),
    together,
  } = options;
  checkTogether(frame, together);
  const observed = new Uint32Array(frame.available.length + 1); // observed rows before each row
  for (let row = 0; row < frame.available.length; row++) observed[row + 1] = observed[row]! + frame.available[row]!;
  /** Of the steps of a window that begin at these rows of series `s`, and of all that share it. */
  const share = (s: number, start: number, end: number, length: number): number => {
    let count = 0;
    for (let member = s; member < s + (together ?? 1); member++) {
      const shift = frame.offsets[member]! - frame.offsets[s]!;
      count += observed[end + shift]! - observed[start + shift]!;
    }
    return count / (length * (together ?? 1));
  };

  const visit = (found: (start: number, s: number) => void): void => {
    for (const s of firstSeries(frame, together)) {
      const range = rows(s);
      const first = Math.max(range.from, (from === -Infinity ? range.from : rowAt(frame, s, from)) - inputLength);
      const end = to === Infinity ? range.to : rowAt(frame, s, to); // no target row at or after this one
      const last = end - inputLength - (padEnd ? 1 : horizon);
      const shift = align === 'end' && last >= first ? (last - first) % step : 0;
      for (let start = first + shift; start <= last; start += step) {
        const cut = start + inputLength;
        const seen = share(s, start, cut, inputLength);
        const asked = share(s, cut, Math.min(cut + horizon, end), horizon);
        if (seen > 0 && asked > 0 && seen >= minAvailable && asked >= minAvailable) found(start, s);
      }
    }
  };
  // Counted first: a list that grows takes several times as much as the windows of a long table do in the end.
  let count = 0;
  visit(() => count++);
  const starts = shared(Uint32Array, count);
  const series = shared(Uint32Array, count);
  let place = 0;
  visit((start, s) => {
    starts[place] = start;
    series[place++] = s;
  });
  return windowsAt(frame, options, starts, series);
}

/** The series each window begins with. */
const firstSeries = (frame: TimeSeriesFrame, together: number | undefined): number[] =>
  together === undefined ? [...frame.ids.keys()] : [0];

/** Series that share windows are all there, row by row of the same times. */
function checkTogether(frame: TimeSeriesFrame, together: number | undefined): void {
  if (together === undefined) return;
  const refused = (what: string, mend: string): NeuroDivergentError =>
    new NeuroDivergentError('ND_CONFIG_SERIES_COUNT', { where: 'series', what, mend });
  const { ids, time } = frame;
  if (ids.length !== together)
    throw refused(
      `The model forecasts ${together} series from each other, and the frame has ${ids.length}.`,
      `Give it the series it is made for, or set \`series\` to ${ids.length} and train anew.`,
    );
  const first = rowsOf(frame, 0);
  for (const [s, id] of ids.entries()) {
    const { from, to } = rowsOf(frame, s);
    const length = to - from;
    let row = 0;
    while (row < length && time[from + row] === time[first.from + row]) row++;
    if (length === first.to - first.from && row === length) continue;
    throw refused(
      `The rows of ${id} and ${ids[0]!} are not of the same times: from row ${row + 1} of the series on they differ.`,
      'Keep the rows that all series have.',
    );
  }
}

/**
 * The last `inputLength` rows of every series, to forecast what comes next: all of the target is masked. Throws
 * `DataError` naming every series that is shorter, `ND_CONFIG_SERIES_COUNT` when the series cannot share windows.
 */
export function latestWindows(
  frame: TimeSeriesFrame,
  options: Pick<WindowOptions, 'inputLength' | 'horizon' | 'historic' | 'future' | 'static' | 'together'> & {
    /** Rows at the end of each series that lie in the future; none by default. */
    readonly ahead?: number;
  },
): Windows {
  const { ahead = 0 } = options;
  const findings = createFindings();
  const starts = frame.ids.map((series, s) => {
    const { from, to: end } = rowsOf(frame, s);
    const to = end - ahead;
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
  checkTogether(frame, options.together);
  const series = firstSeries(frame, options.together);
  return windowsAt(
    frame,
    options,
    Uint32Array.from(series, (s) => starts[s]!),
    Uint32Array.from(series),
  );
}

function windowsAt(
  frame: TimeSeriesFrame,
  { inputLength, horizon, historic = [], future = [], static: fixed, together }: WindowOptions,
  starts: Uint32Array,
  series: Uint32Array,
): Windows {
  const findings = createFindings();
  for (const column of [...historic, ...future]) {
    if (!(column in frame.columns))
      findings.add('ND_DATA_COLUMN_MISSING', { column }, { mend: 'Keep it when reading the table (`covariates`).' });
  }
  if (findings.list().length > 0) throw new DataError('windows', findings.list());
  return {
    frame,
    inputLength,
    horizon,
    count: starts.length,
    starts,
    series,
    historic,
    future,
    static: fixed,
    together,
  };
}

/** [horizon], the times that window `index` forecasts; beyond the end of the series by its frequency. */
export function forecastTimes({ frame, starts, inputLength, horizon }: Windows, index: number): Float64Array {
  const frequency = parseFrequency(frame.frequency);
  const last = starts[index]! + inputLength - 1;
  return Float64Array.from({ length: horizon }, (_, h) => addSteps(frame.time[last]!, frequency, h + 1));
}

/** The same cut-offs with a past of another length; what lies before the first row of a series is the caller's business. */
export const withPast = (windows: Windows, inputLength: number): Windows => ({
  ...windows,
  inputLength,
  starts: windows.starts.map((start) => start + windows.inputLength - inputLength),
});

const staticWidth = ({ static: fixed, frame }: Windows): number => (fixed ? fixed.length / frame.ids.length : 0);

/** Series of one window. */
export const seriesPerWindow = ({ together }: Windows): number => together ?? 1;

/** The shape of every tensor of a batch of `size` windows. */
export function batchShapes(windows: Windows, size: number): BatchShapes {
  const { historic, future, teacher } = windows;
  const counts = { historic: historic.length, future: future.length, static: staticWidth(windows) };
  return windowShapes({ ...windows, ...counts, teacher: teacher?.columns ?? 0 }, size);
}

export type BatchShapes = Readonly<Record<keyof WindowBatch, readonly number[]>>;

/** What the shape of a window depends on: its lengths, and how many covariates of each kind it has. */
export interface WindowSizes {
  readonly inputLength: number;
  readonly horizon: number;
  readonly historic: number;
  readonly future: number;
  readonly static: number;
  readonly together: number | undefined;
  /** Columns of a teacher's forecast; 0 by default. */
  readonly teacher?: number;
}

/** The shape of every tensor of `size` such windows. */
export function windowShapes({ inputLength, horizon, together, ...counts }: WindowSizes, size: number): BatchShapes {
  const series = together ?? 1;
  const covariates = (columns: number, steps: number): number[] =>
    together === undefined ? [size, steps, columns] : [size, columns, steps, series];
  return {
    past: [size, inputLength, series],
    mask: [size, inputLength, series],
    target: [size, horizon, series],
    targetMask: [size, horizon, series],
    historic: covariates(counts.historic, inputLength),
    future: covariates(counts.future, inputLength + horizon),
    static: [together ?? size, counts.static],
    teacher: [size, (counts.teacher ?? 0) * horizon, series],
  };
}

/** Fresh tensors for batches of up to `size` windows; covariates only when the windows name some. */
export function createBatch(windows: Windows, size: number): WindowBatch {
  const entries = Object.entries(batchShapes(windows, size)).map(
    ([name, dims]) => [name, dims.reduce((a, b) => a * b)] as const,
  );
  const optional = new Set(['historic', 'future', 'static', 'teacher']);
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
  const { frame, inputLength, horizon, starts, series, teacher } = windows;
  const { target } = frame.columns;
  const count = seriesPerWindow(windows);
  const width = staticWidth(windows);
  for (let place = 0; place < indices.length; place++) {
    const index = indices[place]!;
    for (let member = 0; member < count; member++) {
      const s = series[index]! + member;
      const start = starts[index]! + frame.offsets[s]! - frame.offsets[series[index]!]!;
      const cut = start + inputLength;
      const end = Math.min(cut + horizon, frame.offsets[s + 1]!);
      const past = { at: place * inputLength * count + member, stride: count, length: inputLength };
      const ahead = { at: place * horizon * count + member, stride: count, length: horizon };
      copyRows(target, start, cut, batch.past, past);
      copyRows(frame.available, start, cut, batch.mask, past);
      copyRows(target, cut, end, batch.target, ahead);
      copyRows(frame.available, cut, end, batch.targetMask, ahead);
      const covariates = (names: readonly string[], to: number, into: Float32Array, length: number): void => {
        const first = place * names.length * length * count;
        for (const [c, name] of names.entries()) {
          // Columns are side by side in a window of one series; shared windows have the series side by side instead.
          const at = windows.together === undefined ? first + c : first + c * length * count + member;
          const stride = windows.together === undefined ? names.length : count;
          copyRows(frame.columns[name]!, start, to, into, { at, stride, length });
        }
      };
      if (batch.historic) covariates(windows.historic, cut, batch.historic, inputLength);
      if (batch.future) covariates(windows.future, end, batch.future, inputLength + horizon);
      if (batch.static) {
        const row = windows.together === undefined ? place : s;
        batch.static.set(windows.static!.subarray(s * width, (s + 1) * width), row * width);
      }
    }
    if (teacher !== undefined && batch.teacher) {
      const length = teacher.columns * horizon * count;
      batch.teacher.set(teacher.values.subarray(index * length, (index + 1) * length), place * length);
    }
  }
}

/** Copies rows to every `stride`-th place from `at` on, zeros for NaN, and zeros up to `length` of them. */
function copyRows(
  column: Float32Array | Uint8Array,
  from: number,
  to: number,
  into: Float32Array,
  { at, stride, length }: { readonly at: number; readonly stride: number; readonly length: number },
): void {
  const held = Math.max(0, Math.min(length, to - from));
  let place = at;
  for (let row = from; row < from + held; row++, place += stride) {
    const value = column[row]!;
    into[place] = value === value ? value : 0; // a third of the time that `value || 0` takes
  }
  for (let missing = held; missing < length; missing++, place += stride) into[place] = 0;
}
