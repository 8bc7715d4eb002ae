/** Columns that models read beside the target: which they are, their values per series, and the rows of them that lie ahead. */
import { addSteps, parseFrequency } from '../time/frequency.js';
import { formatTime } from '../time/parse.js';
import { rowAt, rowsOf, type Columns, type TimeSeriesFrame } from './frame.js';
import { seriesStatistics, type SeriesScaler } from './series-scaler.js';
import { createFindings, stopOnErrors } from './validate.js';
import type { Windows } from './windows.js';

/** Names of columns of a frame, by what is known of them. */
export interface CovariateColumns {
  /** Known up to now. */
  readonly historic?: readonly string[];
  /** Known in advance, over the horizon too. */
  readonly future?: readonly string[];
  /** Constant within a series. */
  readonly static?: readonly string[];
  /** How whole series are scaled: their shifts and scales follow the static columns. */
  readonly scaler?: SeriesScaler | undefined;
}

export const covariateKinds = ['historic', 'future', 'static'] as const;

/** Every name once. */
export const covariateNames = (columns: CovariateColumns): string[] => [
  ...new Set(covariateKinds.flatMap((kind) => columns[kind] ?? [])),
];

/** What windows take of a frame. Throws `DataError` for a column that is missing, or changes within a series and should not. */
export function covariatesOf(
  frame: TimeSeriesFrame,
  columns: CovariateColumns,
): Pick<Windows, 'historic' | 'future' | 'static'> {
  const findings = createFindings();
  for (const column of covariateNames(columns))
    if (!(column in frame.columns))
      findings.add('ND_DATA_COLUMN_MISSING', { column }, { mend: 'Keep it when reading the table (`covariates`).' });
  stopOnErrors('covariates', findings);
  const { historic = [], future = [], static: fixed = [], scaler } = columns;
  const values = fixed.length > 0 ? staticValues(frame, fixed) : undefined;
  const statistics = scaler && seriesStatistics(frame, scaler);
  return {
    historic,
    future,
    static: values && statistics ? besides(frame.ids.length, values, statistics) : (values ?? statistics),
  };
}

/** Two tables `[rows, …]` side by side. */
function besides(rows: number, a: Float32Array, b: Float32Array): Float32Array {
  const [width, other] = [a.length / rows, b.length / rows];
  const both = new Float32Array(a.length + b.length);
  for (let row = 0; row < rows; row++) {
    both.set(a.subarray(row * width, (row + 1) * width), row * (width + other));
    both.set(b.subarray(row * other, (row + 1) * other), row * (width + other) + width);
  }
  return both;
}

/** `[series, columns]` */
function staticValues(frame: TimeSeriesFrame, names: readonly string[]): Float32Array {
  const findings = createFindings();
  const values = new Float32Array(frame.ids.length * names.length);
  for (const [c, name] of names.entries()) {
    const column = frame.columns[name]!;
    for (const [s, series] of frame.ids.entries()) {
      const { from, to } = rowsOf(frame, s);
      values[s * names.length + c] = column[from]!;
      for (let row = from + 1; row < to; row++)
        if (column[row] !== column[from])
          findings.add('ND_DATA_STATIC_VARIES', {
            series,
            column: name,
            row: row - from + 1,
            value: String(column[row]),
          });
    }
  }
  stopOnErrors('static columns', findings);
  return values;
}

/** Values of static columns, one row per series. */
export interface StaticTable {
  readonly ids: readonly string[];
  /** Each `[ids]`. */
  readonly columns: Readonly<Record<string, ArrayLike<number>>>;
}

/** The frame with the columns of a table of one row per series, the same in all rows of a series. Throws `DataError` for series without a row. */
export function withStatic(frame: TimeSeriesFrame, { ids, columns }: StaticTable): TimeSeriesFrame {
  const findings = createFindings();
  const places = frame.ids.map((series) => {
    const place = ids.indexOf(series);
    if (place < 0) findings.add('ND_DATA_STATIC_ROW_MISSING', { series });
    return place;
  });
  stopOnErrors('static table', findings);
  const spread = (values: ArrayLike<number>): Float32Array => {
    const column = new Float32Array(frame.time.length);
    for (const [s, place] of places.entries()) column.fill(values[place]!, frame.offsets[s], frame.offsets[s + 1]);
    return column;
  };
  const joined = Object.entries(columns).map(([name, values]) => [name, spread(values)] as const);
  return { ...frame, columns: { ...frame.columns, ...Object.fromEntries(joined) } };
}

/** The rows of a frame that come next: what a table of the future needs, series by series. */
export interface FutureRows {
  readonly ids: readonly string[];
  /** `[series · horizon]`, place of the row's series in `ids`. */
  readonly series: Uint32Array;
  /** `[series · horizon]`, milliseconds UTC or index. */
  readonly time: Float64Array;
}

export function makeFuture(frame: TimeSeriesFrame, horizon: number): FutureRows {
  const frequency = parseFrequency(frame.frequency);
  const time = new Float64Array(frame.ids.length * horizon);
  for (const s of frame.ids.keys()) {
    const last = frame.time[rowsOf(frame, s).to - 1]!;
    for (let step = 0; step < horizon; step++) time[s * horizon + step] = addSteps(last, frequency, step + 1);
  }
  return { ids: frame.ids, series: Uint32Array.from(time, (_, row) => Math.floor(row / horizon)), time };
}

/**
 * The frame with `horizon` more rows of each series, whose target is not observed: `columns` are taken from `future`, the
 * rest repeat the last row. Throws `DataError` that lists every row and value that `future` lacks.
 */
export function appendFuture(
  frame: TimeSeriesFrame,
  horizon: number,
  columns: readonly string[],
  future: TimeSeriesFrame | undefined,
): TimeSeriesFrame {
  const findings = createFindings();
  const { ids, time: ahead } = makeFuture(frame, horizon);
  const show = parseFrequency(frame.frequency).kind === 'step' ? String : formatTime;
  for (const column of columns)
    if (future !== undefined && !(column in future.columns)) findings.add('ND_DATA_COLUMN_MISSING', { column });
  const rows = ids.map((series, s) => {
    const theirs = future?.ids.indexOf(series) ?? -1;
    return Array.from({ length: horizon }, (_, step) => {
      const due = ahead[s * horizon + step]!;
      const row = theirs < 0 ? -1 : rowAt(future!, theirs, due);
      if (row >= 0 && row < rowsOf(future!, theirs).to && future!.time[row] === due) return row;
      if (columns.length > 0) findings.add('ND_DATA_FUTURE_ROWS_MISSING', { series, row: step + 1, value: show(due) });
      return -1;
    });
  });
  stopOnErrors('future', findings);

  const offsets = frame.offsets.map((offset, s) => offset + s * horizon);
  const extended = <A extends Float32Array | Float64Array | Uint8Array>(
    column: A,
    next: (series: number, step: number) => number,
  ): A => {
    const longer = new (column.constructor as new (length: number) => A)(column.length + ids.length * horizon);
    for (const s of ids.keys()) {
      const { from, to } = rowsOf(frame, s);
      longer.set(column.subarray(from, to), offsets[s]);
      for (let step = 0; step < horizon; step++) longer[offsets[s]! + to - from + step] = next(s, step);
    }
    return longer;
  };
  const names = Object.keys(frame.columns);
  const made = names.map((name) => {
    const known = columns.includes(name) ? future!.columns[name]! : undefined;
    const next = (s: number, step: number): number => {
      if (name === 'target') return NaN;
      if (known === undefined) return frame.columns[name]![rowsOf(frame, s).to - 1]!;
      const value = known[rows[s]![step]!]!;
      if (!Number.isFinite(value))
        findings.add('ND_DATA_NOT_FINITE', { series: ids[s]!, column: name, row: step + 1, value: String(value) });
      return value;
    };
    return [name, extended(frame.columns[name]!, next)] as const;
  });
  stopOnErrors('future', findings);
  return {
    ...frame,
    offsets,
    time: extended(frame.time, (s, step) => ahead[s * horizon + step]!),
    columns: Object.fromEntries(made) as unknown as Columns,
    available: extended(frame.available, () => 0),
  };
}
