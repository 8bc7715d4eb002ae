/** Scaling of whole series inside the graph: every column by the shift and scale of its series, and forecasts back. */
import { abs, add, div, gather, greater, mul, reshape, slice, sub, swapLast, type Tensor } from '../graph/index.js';

/** As `data` learns it of a frame; the graph asks for the columns alone, and is fed the numbers. */
export interface SeriesScaling {
  readonly kind: 'standard' | 'robust' | 'robust-iqr' | 'minmax';
  /** Columns that are scaled; `target` is the target. */
  readonly columns: readonly string[];
  readonly ids?: readonly string[] | undefined;
  readonly statistics: readonly number[];
}

export interface SeriesScaled {
  /** Values of the target, `[batch, time, series]`. */
  readonly scale: (x: Tensor) => Tensor;
  /** A target `[batch, time, series]`; what is missing, 0 where the mask is 0, stays 0. */
  readonly target: (x: Tensor, mask: Tensor) => Tensor;
  /** Covariates of these names, `[batch, time, columns]`, or `[batch, columns, time, series]` where series share windows. */
  readonly covariate: (x: Tensor, names: readonly string[]) => Tensor;
  /** A forecast `[batch, horizon, series·columns]`, series by series. */
  readonly restore: (forecast: Tensor) => Tensor;
}

const same: SeriesScaled = { scale: (x) => x, target: (x) => x, covariate: (x) => x, restore: (x) => x };

/**
 * `statistics` are `[batch, 2·columns]`, or `[series, 2·columns]` where series share windows: shifts, then scales.
 * Without them nothing is scaled.
 */
export function seriesScaling(
  columns: readonly string[],
  statistics: Tensor | undefined,
  together: boolean,
): SeriesScaled {
  if (statistics === undefined) return same;
  /** Shift and scale of columns, in the shape that they are scaled in. */
  const of = (names: readonly string[], isTarget: boolean): readonly [shift: Tensor, scale: Tensor] => {
    const pick = (from: number): Tensor => {
      const picked = gather(statistics, { axis: 1, indices: names.map((name) => from + columns.indexOf(name)) });
      const [first, width] = picked.shape as [number, number];
      if (!together) return reshape(picked, { shape: [first, 1, width] });
      return reshape(swapLast(picked), { shape: isTarget ? [1, width, first] : [1, width, 1, first] });
    };
    return [pick(0), pick(columns.length)];
  };
  const [shift, scale] = of(['target'], true);
  const scaled = (x: Tensor): Tensor => div(sub(x, shift), scale);
  return {
    scale: scaled,
    target: (x, mask) => mul(scaled(x), greater(add(mask, abs(x)), 0)),
    covariate: (x, names) => {
      const [down, by] = of(names, false);
      return div(sub(x, down), by);
    },
    restore: (forecast) => {
      const series = shift.shape[2] as number;
      const outputs = (forecast.shape[2] as number) / series;
      const indices = Array.from({ length: series * outputs }, (_, i) => Math.floor(i / outputs));
      const each = (x: Tensor): Tensor => (series === 1 || outputs === 1 ? x : gather(x, { axis: 2, indices }));
      return add(mul(forecast, each(scale)), each(shift));
    },
  };
}

/** The static columns of a model, and the statistics that stand after them; `[rows, columns]` each. */
export function splitStatic(all: Tensor | undefined, count: number): { fixed?: Tensor; statistics?: Tensor } {
  if (all === undefined) return {};
  const width = all.shape[1] as number;
  const part = (start: number, end: number): Tensor => slice(all, { axis: 1, start, end });
  if (count === width) return { fixed: all };
  return { ...(count > 0 && { fixed: part(0, count) }), statistics: part(count, width) };
}
