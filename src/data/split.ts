/** Train, validation and test: always in this order of time, never shuffled. */

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
