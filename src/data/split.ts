/** Train, validation and test: always in this order of time, never shuffled. */

import { parseFrequency } from '../time/frequency.js';
import { rowAt, rowsOf, takeRows, type TimeSeriesFrame } from './frame.js';

export interface SplitOptions {
  /** Where a part begins: `{ from: time }` for all series, or `{ size }` rows at the end of each. Left out, the part is empty. */
  readonly validation?: { readonly from: number } | { readonly size: number };
  readonly test?: { readonly from: number } | { readonly size: number };
  /** Rows of the part before that validation and test also hold, so that their first window has a past: `inputLength`. Default 0. */
  readonly context?: number;
}

export interface Split {
  readonly train: TimeSeriesFrame;
  readonly validation: TimeSeriesFrame;
  readonly test: TimeSeriesFrame;
}

/** Cuts every series in three. With sizes, test takes the last rows and validation those before it. */
export function splitFrame(frame: TimeSeriesFrame, { validation, test, context = 0 }: SplitOptions): Split {
  const begin = (series: number, part: SplitOptions['test'], end: number): number => {
    const { from } = rowsOf(frame, series);
    if (part === undefined) return end;
    return Math.max(from, Math.min(end, 'from' in part ? rowAt(frame, series, part.from) : end - part.size));
  };
  const cuts = frame.ids.map((_, s) => {
    const { from, to } = rowsOf(frame, s);
    const testFrom = begin(s, test, to);
    const validationFrom = begin(s, validation, testFrom);
    return { from, validationFrom, testFrom, to };
  });
  const part = (from: number, to: number, first: number): { from: number; to: number } => ({
    from: to > from ? Math.max(first, from - context) : from,
    to,
  });
  return {
    train: takeRows(frame, (s) => ({ from: cuts[s]!.from, to: cuts[s]!.validationFrom })),
    validation: takeRows(frame, (s) => part(cuts[s]!.validationFrom, cuts[s]!.testFrom, cuts[s]!.from)),
    test: takeRows(frame, (s) => part(cuts[s]!.testFrom, cuts[s]!.to, cuts[s]!.from)),
  };
}

/** Rows of each series that learn, validate and test, from the first row on; what follows is not used. */
export interface PartRows {
  readonly train: number;
  readonly validation: number;
  readonly test: number;
}

/** A month of the papers has thirty days. */
const monthMs = 30 * 86_400_000;

/** 12, 4 and 4 months of the rows of the frequency; undefined where a month is no whole number of rows. */
export function monthRows(frequency: string): PartRows | undefined {
  const step = parseFrequency(frequency);
  if (step.kind !== 'duration' || monthMs % step.ms !== 0) return undefined;
  const month = monthMs / step.ms;
  return { train: 12 * month, validation: 4 * month, test: 4 * month };
}

/** Shares of `rows`; train and test are rounded down, validation gets the rest, as in the code of Autoformer. */
export function shareRows(rows: number, [train, validation, test]: readonly [number, number, number]): PartRows {
  const whole = train + validation + test;
  const [first, last] = [Math.floor((rows * train) / whole), Math.floor((rows * test) / whole)];
  return { train: first, validation: rows - first - last, test: last };
}
