/** The table every other part works on: many series, one under the other, each column one typed array. */

import { createFindings, type Finding, type FindingList } from './validate.js';

/** Columns by name; `target` is always there. Missing values without a fill rule are NaN, and then `available` is 0. */
export type Columns = Readonly<Record<string, Float32Array>> & { readonly target: Float32Array };

/**
 * Series in long format, sorted by (series, time), regular at `frequency`. Row `i` of every array belongs together;
 * series `s` has the rows `offsets[s]` to `offsets[s + 1]`. Ten million rows of one column take about 130 MB.
 */
export interface TimeSeriesFrame {
  /** Names of the series, in the order of their first occurrence. */
  readonly ids: readonly string[];
  /** [series + 1] */
  readonly offsets: Uint32Array;
  /** [rows], milliseconds since 1970 UTC (or a plain index): integers, exact up to 2^53, which is the year 287396. */
  readonly time: Float64Array;
  /** Each [rows]. */
  readonly columns: Columns;
  /** [rows], 1 where the target was observed, 0 where it is missing or filled in. */
  readonly available: Uint8Array;
  /** As `parseFrequency` reads it: `5min`, `h`, `MS`, or an integer for a plain index. */
  readonly frequency: string;
}

interface ArrayType<A> {
  new (buffer: SharedArrayBuffer): A;
  readonly BYTES_PER_ELEMENT: number;
}

/** An array that worker threads read where it lies. */
export const shared = <A>(type: ArrayType<A>, length: number): A =>
  new type(new SharedArrayBuffer(length * type.BYTES_PER_ELEMENT));

/** The frame with columns that worker threads read where they lie; those that already are so are not copied. */
export function shareFrame(frame: TimeSeriesFrame): TimeSeriesFrame {
  const share = <A extends Float32Array | Float64Array | Uint8Array>(column: A): A => {
    if (column.buffer instanceof SharedArrayBuffer) return column;
    const copy = shared(column.constructor as unknown as ArrayType<A>, column.length);
    copy.set(column);
    return copy;
  };
  const columns = Object.fromEntries(Object.entries(frame.columns).map(([name, column]) => [name, share(column)]));
  return { ...frame, time: share(frame.time), columns: columns as Columns, available: share(frame.available) };
}

/** The rows of one series. */
export function rowsOf(frame: TimeSeriesFrame, series: number): { from: number; to: number } {
  return { from: frame.offsets[series]!, to: frame.offsets[series + 1]! };
}

/** First row of the series at or after `time`. */
export function rowAt(frame: TimeSeriesFrame, series: number, time: number): number {
  let { from, to } = rowsOf(frame, series);
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (frame.time[middle]! < time) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** Keeps one range of rows per series. Adjacent ranges share memory with the frame; others are copied. */
export function takeRows(
  frame: TimeSeriesFrame,
  range: (series: number) => { from: number; to: number },
): TimeSeriesFrame {
  const ranges = frame.ids.map((_, series) => range(series));
  const offsets = new Uint32Array(ranges.length + 1);
  ranges.forEach(({ from, to }, s) => (offsets[s + 1] = offsets[s]! + Math.max(to - from, 0)));
  const rows = offsets.at(-1)!;
  const first = ranges[0]?.from ?? 0;
  const adjacent = ranges.every(({ from, to }, s) => to <= from || from === first + offsets[s]!);

  const pick = <A extends Float32Array | Float64Array | Uint8Array>(column: A): A => {
    if (adjacent) return column.subarray(first, first + rows) as A;
    const picked = new (column.constructor as new (length: number) => A)(rows);
    ranges.forEach(({ from, to }, s) => picked.set(column.subarray(from, Math.max(to, from)), offsets[s]));
    return picked;
  };
  const columns = Object.fromEntries(Object.entries(frame.columns).map(([name, column]) => [name, pick(column)]));
  return { ...frame, offsets, time: pick(frame.time), columns: columns as Columns, available: pick(frame.available) };
}

/** Rows with `from <= time < to` of every series; a series without such rows stays, empty. */
export function sliceTime(frame: TimeSeriesFrame, from: number, to: number): TimeSeriesFrame {
  return takeRows(frame, (s) => ({ from: rowAt(frame, s, from), to: rowAt(frame, s, to) }));
}

/** The rows before `time`, and those at it or after. */
export function splitAt(frame: TimeSeriesFrame, time: number): [before: TimeSeriesFrame, after: TimeSeriesFrame] {
  return [sliceTime(frame, -Infinity, time), sliceTime(frame, time, Infinity)];
}

/** The last `rows` rows of every series. */
export function tail(frame: TimeSeriesFrame, rows: number): TimeSeriesFrame {
  return takeRows(frame, (s) => {
    const { from, to } = rowsOf(frame, s);
    return { from: Math.max(from, to - rows), to };
  });
}

export interface SeriesDescription {
  readonly id: string;
  readonly rows: number;
  /** Rows where the target was observed. */
  readonly observed: number;
  /** First and last time; NaN when there are no rows. */
  readonly from: number;
  readonly to: number;
  /** Of the observed target; NaN when nothing was observed. */
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly standardDeviation: number;
}

/** Length, span and spread of every series. */
export function describe(frame: TimeSeriesFrame): SeriesDescription[] {
  return frame.ids.map((id, s) => {
    const { from, to } = rowsOf(frame, s);
    let observed = 0;
    let min = Infinity;
    let max = -Infinity;
    let mean = 0;
    let squares = 0; // Welford: no digits lost to a large level
    for (let row = from; row < to; row++) {
      if (frame.available[row] === 0) continue;
      const value = frame.columns.target[row]!;
      const step = value - mean;
      mean += step / ++observed;
      squares += step * (value - mean);
      min = Math.min(min, value);
      max = Math.max(max, value);
    }
    const known = (value: number): number => (observed > 0 ? value : NaN);
    return {
      id,
      rows: to - from,
      observed,
      from: frame.time[from] ?? NaN,
      to: to > from ? frame.time[to - 1]! : NaN,
      min: known(min),
      max: known(max),
      mean: known(mean),
      standardDeviation: known(Math.sqrt(squares / observed)),
    };
  });
}

/** Findings about the values of a frame: too short for `minLength` (default 2), missing, constant. Rows count from 1. */
export function validate(frame: TimeSeriesFrame, minLength = 2): Finding[] {
  const findings = createFindings();
  checkValues(frame, findings, minLength, (row) => row + 1);
  return findings.list();
}

/** Adds the findings of `validate` to a list; `line` tells how the user numbers a row. */
export function checkValues(
  frame: Pick<TimeSeriesFrame, 'ids' | 'offsets' | 'columns' | 'available'>,
  findings: FindingList,
  minLength: number,
  line: (row: number) => number,
): void {
  frame.ids.forEach((series, s) => {
    const from = frame.offsets[s]!;
    const to = frame.offsets[s + 1]!;
    let observed = 0;
    let first = -1;
    let constant = true;
    for (let row = from; row < to; row++) {
      if (frame.available[row] === 0) {
        findings.add('ND_DATA_MISSING', { series, row: line(row), column: 'target' });
        continue;
      }
      observed++;
      if (first < 0) first = row;
      else if (frame.columns.target[row] !== frame.columns.target[first]) constant = false;
    }
    const row = to > from ? line(to - 1) : null;
    if (observed < minLength) {
      findings.add(
        'ND_DATA_SERIES_TOO_SHORT',
        { series, row, column: 'target' },
        { what: `${observed} observed ${observed === 1 ? 'row' : 'rows'}, at least ${minLength} are needed` },
      );
    } else if (constant && observed > 1) {
      findings.add('ND_DATA_CONSTANT', {
        series,
        row: line(first),
        column: 'target',
        value: String(frame.columns.target[first]),
      });
    }
  });
}
