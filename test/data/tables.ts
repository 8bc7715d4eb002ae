/** Small frames for tests. */

import { frameFromColumns, type FrameOptions } from '../../src/data/from-columns.js';
import type { TimeSeriesFrame } from '../../src/data/frame.js';

/** One series a minute apart per list of values, all from time 0; NaN is missing. */
export function frameOf(
  series: Readonly<Record<string, readonly number[]>>,
  options: FrameOptions = {},
  covariates: Readonly<Record<string, readonly number[]>> = {},
): TimeSeriesFrame {
  const ids = Object.keys(series);
  const lists = Object.values(series);
  return frameFromColumns(
    {
      ids,
      series: lists.flatMap((values, s) => values.map(() => s)),
      time: lists.flatMap((values) => values.map((_, i) => i * 60_000)),
      columns: { target: lists.flat(), ...covariates },
    },
    { frequency: 'min', minLength: 0, ...options },
  ).frame;
}
