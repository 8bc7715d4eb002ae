/**
 * Scaling of whole series, before windows are cut: each column of each series by one shift and one scale, learned from the
 * training part. It is what a model sees as the level of a series, where window scalers take every window's own.
 */
import { rowsOf, type TimeSeriesFrame } from './frame.js';

export const seriesScalerNames = ['standard', 'robust', 'robust-iqr', 'minmax'] as const;
export type SeriesScalerName = (typeof seriesScalerNames)[number];

export interface SeriesScaler {
  readonly kind: SeriesScalerName;
  /** Columns that are scaled, the target first. */
  readonly columns: readonly string[];
  /** Series that were learned from; where they have no names, the series of a frame in the order of theirs. */
  readonly ids?: readonly string[] | undefined;
  /** `[series, columns, 2]`: shift and scale. */
  readonly statistics: readonly number[];
}

type Statistics = (rising: Float64Array) => readonly [shift: number, scale: number];

const mean = (x: Float64Array): number => x.reduce((sum, value) => sum + value, 0) / x.length;
/** Between two values in proportion. */
function quantile(rising: Float64Array, q: number): number {
  const place = q * (rising.length - 1);
  const low = rising[Math.floor(place)]!;
  return low + (rising[Math.ceil(place)]! - low) * (place % 1);
}

/** As coreforecast has them: population deviation, mean or middle of two, quantiles in proportion. */
const kinds: Readonly<Record<SeriesScalerName, Statistics>> = {
  standard: (x) => {
    const shift = mean(x);
    return [shift, Math.sqrt(mean(x.map((value) => (value - shift) ** 2)))];
  },
  robust: (x) => {
    const shift = quantile(x, 0.5);
    return [shift, quantile(x.map((value) => Math.abs(value - shift)).sort(), 0.5)];
  },
  'robust-iqr': (x) => [quantile(x, 0.5), quantile(x, 0.75) - quantile(x, 0.25)],
  minmax: (x) => [x[0]!, x.at(-1)! - x[0]!],
};

/** Learns from all rows of a frame; targets that were not observed do not count. */
export function fitSeriesScaler(
  frame: TimeSeriesFrame,
  kind: SeriesScalerName,
  columns: readonly string[],
): SeriesScaler {
  const statistics = frame.ids.flatMap((_, s) => columns.flatMap((column) => statisticsOf(frame, s, kind, column)));
  return { kind, columns, ids: frame.ids, statistics };
}

/** Of one series; no values have shift 0, and a scale of 0 counts as 1. */
function statisticsOf(frame: TimeSeriesFrame, series: number, kind: SeriesScalerName, column: string): number[] {
  const { from, to } = rowsOf(frame, series);
  const values = frame.columns[column]!.subarray(from, to);
  const counts = (value: number, i: number): boolean =>
    !Number.isNaN(value) && (column !== 'target' || frame.available[from + i] === 1);
  const rising = Float64Array.from(values.filter(counts)).sort();
  if (rising.length === 0) return [0, 1];
  const [shift, scale] = kinds[kind](rising);
  return [shift, scale > 0 ? scale : 1];
}

/** For every series of a frame, `[series, 2·columns]`: all shifts, then all scales. A series that was not learned from has its own. */
export function seriesStatistics(frame: TimeSeriesFrame, scaler: SeriesScaler): Float32Array {
  const { kind, columns, ids, statistics } = scaler;
  const width = columns.length;
  const rows = new Float32Array(frame.ids.length * 2 * width);
  const byName = [...frame.ids].sort();
  for (const [s, id] of frame.ids.entries()) {
    const known = ids ? ids.indexOf(id) : statistics.length === frame.ids.length * 2 * width ? byName.indexOf(id) : -1;
    const own =
      known < 0
        ? columns.flatMap((column) => statisticsOf(frame, s, kind, column))
        : statistics.slice(known * 2 * width, (known + 1) * 2 * width);
    for (let c = 0; c < width; c++) {
      rows[s * 2 * width + c] = own[2 * c]!;
      rows[s * 2 * width + width + c] = own[2 * c + 1]!;
    }
  }
  return rows;
}
