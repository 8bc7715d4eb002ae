/** Scaling of whole series before windows are cut. Scaling per window lives in the graph instead. */

import { type Columns, rowsOf, type TimeSeriesFrame } from './frame.js';

/** value = scaled * scale + shift, one pair per series. */
export interface SeriesScaler {
  readonly shift: Float64Array;
  readonly scale: Float64Array;
}

/** `standard`: mean and population deviation; `robust`: median and median distance from it; `minmax`: to [0, 1]. */
export type ScalerName = 'standard' | 'robust' | 'minmax';

const mean = (values: Float64Array): number => values.reduce((a, b) => a + b, 0) / values.length;
const median = (values: Float64Array): number => {
  const ascending = values.slice().sort();
  const half = (ascending.length - 1) / 2;
  return (ascending[Math.floor(half)]! + ascending[Math.ceil(half)]!) / 2;
};

const fits: Readonly<Record<ScalerName, (values: Float64Array) => [shift: number, scale: number]>> = {
  standard(values) {
    const centre = mean(values);
    return [centre, Math.sqrt(mean(values.map((value) => (value - centre) ** 2)))];
  },
  robust(values) {
    const centre = median(values);
    return [centre, median(values.map((value) => Math.abs(value - centre)))];
  },
  minmax(values) {
    const low = values.reduce((a, b) => Math.min(a, b));
    return [low, values.reduce((a, b) => Math.max(a, b)) - low];
  },
};

/** Statistics of the observed target of each series; a series without spread gets scale 1, one without rows is left as it is. */
export function fitSeriesScaler(frame: TimeSeriesFrame, name: ScalerName): SeriesScaler {
  const shift = new Float64Array(frame.ids.length);
  const scale = new Float64Array(frame.ids.length).fill(1);
  frame.ids.forEach((_, s) => {
    const { from, to } = rowsOf(frame, s);
    const observed = Float64Array.from(frame.columns.target.subarray(from, to)).filter(
      (_, i) => frame.available[from + i] === 1,
    );
    if (observed.length === 0) return;
    const [centre, spread] = fits[name](observed);
    shift[s] = centre;
    scale[s] = spread || 1;
  });
  return { shift, scale };
}

/** A frame whose target is scaled; the other columns are shared. */
export function scaleFrame(frame: TimeSeriesFrame, scaler: SeriesScaler): TimeSeriesFrame {
  const target = frame.columns.target.slice();
  frame.ids.forEach((_, s) => {
    const { from, to } = rowsOf(frame, s);
    for (let row = from; row < to; row++) target[row] = (target[row]! - scaler.shift[s]!) / scaler.scale[s]!;
  });
  const columns: Columns = { ...frame.columns, target };
  return { ...frame, columns };
}

/** Brings scaled values of one series back to its own units, in place. */
export function unscale(values: Float32Array, scaler: SeriesScaler, series: number): Float32Array {
  for (let i = 0; i < values.length; i++) values[i] = values[i]! * scaler.scale[series]! + scaler.shift[series]!;
  return values;
}
