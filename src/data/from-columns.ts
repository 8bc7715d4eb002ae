/** From raw columns to a frame: group, sort, merge repeats, find the frequency, lay the grid, fill the gaps. */

import {
  addSteps,
  bucketStart,
  formatFrequency,
  type Frequency,
  inferFrequency,
  parseFrequency,
  stepsBetween,
} from '../time/frequency.js';
import { formatTime } from '../time/parse.js';
import { checkValues, shareFrame, type Columns, type TimeSeriesFrame } from './frame.js';
import { createFindings, type Finding, type FindingList, stopOnErrors } from './validate.js';

/** How several rows become one. Values that are missing do not count. */
export type Aggregation = 'mean' | 'last' | 'first' | 'sum' | 'min' | 'max';

/**
 * What happens to times the grid misses and to values that are missing: `linear` draws a line between the neighbours,
 * `last` repeats the last value, `mask` leaves them without value, `none` (default) calls a gap an error. Rows filled
 * in count as not observed.
 */
export type FillRule = 'linear' | 'last' | 'mask' | 'none';

export interface FrameOptions {
  /** Such as `5min`; found from the times when left out. */
  readonly frequency?: string;
  /** Sort the rows of each series by time instead of calling disorder an error. */
  readonly sort?: boolean;
  /** Merge rows of the same series and time instead of calling them an error. */
  readonly onDuplicate?: Aggregation;
  /** Merge the rows of each bucket of `frequency` (aligned to the epoch) into one. */
  readonly resample?: Aggregation;
  readonly fillGaps?: FillRule;
  /** Observed rows every series needs; at least inputLength + horizon for training. Default 2. */
  readonly minLength?: number;
  /** Is `time` milliseconds UTC (default) or a plain index? */
  readonly axis?: 'time' | 'index';
}

/** Raw columns, all of one length; the frame may keep the arrays, so the caller lets go of them. */
export interface FrameColumns {
  /** Names of the series; one unnamed series when left out. */
  readonly ids?: readonly string[];
  /** [rows], place of the row's series in `ids`; all 0 when left out. */
  readonly series?: ArrayLike<number>;
  /** [rows] */
  readonly time: ArrayLike<number>;
  /** Each [rows]; NaN is a missing value. */
  readonly columns: Readonly<Record<string, ArrayLike<number>>> & { readonly target: ArrayLike<number> };
  /** [rows], 0 marks a target that was not observed. */
  readonly available?: ArrayLike<number>;
  /** [rows], how the user numbers the row; from 1 when left out. */
  readonly lines?: ArrayLike<number>;
}

export interface LoadedFrame {
  readonly frame: TimeSeriesFrame;
  /** What is worth knowing but stopped nothing. */
  readonly warnings: readonly Finding[];
}

/** A frame in the making: as `TimeSeriesFrame`, not yet regular, and with the user's line numbers. */
interface Table {
  readonly ids: readonly string[];
  readonly offsets: Uint32Array;
  readonly time: Float64Array;
  readonly columns: Columns;
  readonly available: Uint8Array;
  readonly lines: ArrayLike<number>;
}

/**
 * Builds a frame. `findings` carries what a reader has found before. Throws `DataError` (`ND_DATA_INVALID`) with all
 * findings when one of them is an error, `ND_DATA_FREQUENCY_UNKNOWN` when `frequency` is no frequency.
 */
export function frameFromColumns(
  input: FrameColumns,
  options: FrameOptions = {},
  where = 'data',
  findings: FindingList = createFindings(),
): LoadedFrame {
  const given = options.frequency === undefined ? undefined : parseFrequency(options.frequency);
  const axis = options.axis ?? (given?.kind === 'step' ? 'index' : 'time');
  const show = axis === 'index' ? String : formatTime;

  if (input.time.length === 0) findings.add('ND_DATA_EMPTY', {});
  let table = sortedTable(input, findings, options.sort === true, show);
  checkFinite(table, findings, options.fillGaps ?? 'none');
  table = mergeRepeats(table, findings, options.onDuplicate, show);

  const frequency = given ?? inferFrequency(table.time, table.offsets, axis);
  if (frequency && options.resample) table = mergeBuckets(table, frequency, options.resample);
  checkValues(table, findings, options.minLength ?? 2, (row) => table.lines[row]!);
  if (frequency) checkGrid(table, frequency, findings, options.fillGaps ?? 'none', show);
  else if (table.time.length > 0) findings.add('ND_DATA_FREQUENCY_UNKNOWN', { row: table.lines[0]!, column: 'time' });

  const warnings = stopOnErrors(where, findings);
  const { ids, offsets, time, columns, available } = fill(onGrid(table, frequency!), options.fillGaps ?? 'none');
  const frame = { ids, offsets, time, columns, available, frequency: formatFrequency(frequency!) };
  return { frame: shareFrame(frame), warnings };
}

/** Brings the rows of each series together and in order of time. Disorder is found within a series only. */
function sortedTable(input: FrameColumns, findings: FindingList, sort: boolean, show: (time: number) => string): Table {
  const rows = input.time.length;
  const ids = input.ids ?? ['series'];
  const seriesOf = input.series ?? new Uint8Array(rows);
  const lines = input.lines ?? Uint32Array.from({ length: rows }, (_, row) => row + 1);

  const offsets = new Uint32Array(ids.length + 1);
  for (let row = 0; row < rows; row++) offsets[seriesOf[row]! + 1]!++;
  for (let s = 0; s < ids.length; s++) offsets[s + 1]! += offsets[s]!;

  const order = new Uint32Array(rows);
  const next = offsets.slice();
  let inPlace = true;
  for (let row = 0; row < rows; row++) {
    const place = next[seriesOf[row]!]!++;
    order[place] = row;
    if (place !== row) inPlace = false;
  }
  ids.forEach((series, s) => {
    const segment = order.subarray(offsets[s], offsets[s + 1]);
    let ascending = true;
    for (let i = 1; i < segment.length; i++) {
      const time = input.time[segment[i]!]!;
      if (time >= input.time[segment[i - 1]!]!) continue;
      ascending = false;
      findings.add(
        'ND_DATA_UNSORTED',
        { series, row: lines[segment[i]!]!, column: 'time', value: show(time) },
        { mended: sort },
      );
    }
    if (ascending) return;
    inPlace = false;
    segment.sort((a, b) => input.time[a]! - input.time[b]! || a - b);
  });

  const arrange = <A extends Float32Array | Float64Array | Uint8Array | Uint32Array>(
    column: ArrayLike<number>,
    make: new (rows: number) => A,
  ): A => {
    if (inPlace && column instanceof make) return column;
    const arranged = new make(rows);
    for (let place = 0; place < rows; place++) arranged[place] = column[order[place]!]!;
    return arranged;
  };
  const columns = Object.fromEntries(
    Object.entries(input.columns).map(([name, column]) => [name, arrange(column, Float32Array)]),
  ) as unknown as Columns;
  const available = input.available ? arrange(input.available, Uint8Array).slice() : new Uint8Array(rows).fill(1);
  for (let row = 0; row < rows; row++) if (Number.isNaN(columns.target[row])) available[row] = 0;
  return {
    ids,
    offsets,
    time: arrange(input.time, Float64Array),
    columns,
    available,
    lines: arrange(lines, Uint32Array),
  };
}

/** Infinite values are errors; missing covariates too, unless a rule fills them. A missing target is only masked. */
function checkFinite(table: Table, findings: FindingList, rule: FillRule): void {
  const missingIsError = rule === 'none' || rule === 'mask';
  for (const [column, values] of Object.entries(table.columns)) {
    const wrong = (value: number): boolean =>
      Number.isNaN(value) ? missingIsError && column !== 'target' : !Number.isFinite(value);
    forEachRow(table, (row, series) => {
      const value = values[row]!;
      if (wrong(value))
        findings.add('ND_DATA_NOT_FINITE', { series, row: table.lines[row]!, column, value: String(value) });
    });
  }
}

function forEachRow(table: Table, visit: (row: number, series: string, first: boolean) => void): void {
  table.ids.forEach((series, s) => {
    for (let row = table.offsets[s]!; row < table.offsets[s + 1]!; row++) visit(row, series, row === table.offsets[s]);
  });
}

function mergeRepeats(
  table: Table,
  findings: FindingList,
  rule: Aggregation | undefined,
  show: (time: number) => string,
): Table {
  let repeats = 0;
  forEachRow(table, (row, series, first) => {
    if (first || table.time[row] !== table.time[row - 1]) return;
    repeats++;
    findings.add(
      'ND_DATA_DUPLICATE_ROW',
      { series, row: table.lines[row]!, column: 'time', value: show(table.time[row]!) },
      { mended: rule !== undefined },
    );
  });
  return repeats === 0 ? table : mergeEqualTimes(table, rule ?? 'last');
}

function mergeBuckets(table: Table, frequency: Frequency, rule: Aggregation): Table {
  return mergeEqualTimes({ ...table, time: table.time.map((time) => bucketStart(time, frequency)) }, rule);
}

/** One step of an aggregation; a `mean` is summed here and divided at the end. */
const aggregate: Readonly<Record<Aggregation, (sum: number, value: number) => number>> = {
  mean: (sum, value) => sum + value,
  sum: (sum, value) => sum + value,
  last: (_, value) => value,
  first: (sum) => sum,
  min: Math.min,
  max: Math.max,
};

/** Rows of one series and time become one. A merged row is observed when one of its rows was. */
function mergeEqualTimes(table: Table, rule: Aggregation): Table {
  const target = new Uint32Array(table.time.length); // row of the merged table
  const offsets = new Uint32Array(table.offsets.length);
  let merged = 0;
  for (let s = 0; s + 1 < offsets.length; s++) {
    for (let row = table.offsets[s]!; row < table.offsets[s + 1]!; row++) {
      const repeats = row > table.offsets[s]! && table.time[row] === table.time[row - 1];
      target[row] = repeats ? merged - 1 : merged++;
    }
    offsets[s + 1] = merged;
  }

  const time = new Float64Array(merged);
  const lines = new Uint32Array(merged);
  const available = new Uint8Array(merged);
  for (let row = 0; row < target.length; row++) {
    time[target[row]!] = table.time[row]!;
    lines[target[row]!] = table.lines[row]!;
    available[target[row]!]! |= table.available[row]!;
  }
  const mergeColumn = (column: Float32Array, isTarget: boolean): Float32Array => {
    const sums = new Float64Array(merged).fill(NaN);
    const counts = new Uint32Array(merged);
    for (let row = 0; row < target.length; row++) {
      const value = column[row]!;
      const to = target[row]!;
      const hidden = isTarget && table.available[row] === 0 && available[to] === 1; // an imputed value yields to an observed one
      if (Number.isNaN(value) || hidden) continue;
      sums[to] = counts[to] === 0 ? value : aggregate[rule](sums[to]!, value);
      counts[to]!++;
    }
    return Float32Array.from(sums, (sum, row) => (rule === 'mean' ? sum / counts[row]! : sum));
  };
  const columns = Object.fromEntries(
    Object.entries(table.columns).map(([name, column]) => [name, mergeColumn(column, name === 'target')]),
  ) as unknown as Columns;
  return { ids: table.ids, offsets, time, columns, available, lines };
}

/** More filled than this, and a mistyped year is likelier than a gap. */
const maxGapRows = (rows: number): number => Math.max(1_000_000, 20 * rows);

function checkGrid(
  table: Table,
  frequency: Frequency,
  findings: FindingList,
  rule: FillRule,
  show: (time: number) => string,
): void {
  const details = { what: `rows are missing in the grid of ${formatFrequency(frequency)}`, mended: rule !== 'none' };
  let missing = 0;
  forEachRow(table, (row, series, first) => {
    if (first) return;
    const before = table.time[row - 1]!;
    const steps = stepsBetween(before, table.time[row]!, frequency);
    if (steps === 1) return;
    const place = {
      series,
      row: table.lines[row]!,
      column: 'time',
      value: `${show(before)} to ${show(table.time[row]!)}`,
    };
    if (!Number.isInteger(steps))
      findings.add('ND_DATA_IRREGULAR', place, { what: `the time is off the grid of ${formatFrequency(frequency)}` });
    else {
      missing += steps - 1;
      if (missing > maxGapRows(table.time.length)) {
        findings.add('ND_DATA_GAPS', place, {
          what: 'the gap is many times longer than the data',
          mend: 'Check this time, or cut the file there.',
          count: steps - 1,
        });
      } else findings.add('ND_DATA_GAPS', place, { ...details, count: steps - 1 });
    }
  });
}

/** Inserts the rows that the grid lacks, without values. Times are on the grid here. */
function onGrid(table: Table, frequency: Frequency): Omit<Table, 'lines'> {
  const offsets = new Uint32Array(table.offsets.length);
  for (let s = 0; s + 1 < offsets.length; s++) {
    const from = table.offsets[s]!;
    const to = table.offsets[s + 1]!;
    const rows = to > from ? Math.round(stepsBetween(table.time[from]!, table.time[to - 1]!, frequency)) + 1 : 0;
    offsets[s + 1] = offsets[s]! + rows;
  }
  const rows = offsets.at(-1)!;
  if (rows === table.time.length) return table;

  const place = new Uint32Array(table.time.length); // row of the regular table
  const time = new Float64Array(rows);
  for (let s = 0; s + 1 < offsets.length; s++) {
    const start = table.time[table.offsets[s]!]!;
    for (let row = offsets[s]!; row < offsets[s + 1]!; row++) time[row] = addSteps(start, frequency, row - offsets[s]!);
    for (let row = table.offsets[s]!; row < table.offsets[s + 1]!; row++) {
      place[row] = offsets[s]! + Math.round(stepsBetween(start, table.time[row]!, frequency));
    }
  }
  const spread = <A extends Float32Array | Uint8Array>(column: A, spreadOut: A): A => {
    for (let row = 0; row < column.length; row++) spreadOut[place[row]!] = column[row]!;
    return spreadOut;
  };
  const columns = Object.fromEntries(
    Object.entries(table.columns).map(([name, column]) => [name, spread(column, new Float32Array(rows).fill(NaN))]),
  ) as unknown as Columns;
  return { ids: table.ids, offsets, time, columns, available: spread(table.available, new Uint8Array(rows)) };
}

/** Gives missing values a value, series by series; a masked target stays without one. */
function fill(table: Omit<Table, 'lines'>, rule: FillRule): Omit<Table, 'lines'> {
  if (rule === 'none') return table;
  for (const [name, column] of Object.entries(table.columns)) {
    if (rule === 'mask' && name === 'target') continue;
    for (let s = 0; s + 1 < table.offsets.length; s++) {
      fillGaps(column.subarray(table.offsets[s], table.offsets[s + 1]), rule === 'linear');
    }
  }
  return table;
}

/** Fills each run of NaN from its neighbours, in place. At the ends, and when not `linear`, the nearer known value repeats. */
function fillGaps(values: Float32Array, linear: boolean): void {
  for (let from = 0; from < values.length; from++) {
    if (!Number.isNaN(values[from])) continue;
    let to = from;
    while (to < values.length && Number.isNaN(values[to])) to++;
    const before = values[from - 1] ?? values[to] ?? NaN;
    const after = values[to] ?? before;
    for (let i = from; i < to; i++) {
      values[i] = linear ? before + ((after - before) * (i - from + 1)) / (to - from + 1) : before;
    }
    from = to;
  }
}
