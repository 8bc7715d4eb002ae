/** A hierarchy of series forecast by one model of one series: its windows apart, and their forecasts together again. */
import {
  concat,
  constant,
  matmul,
  reshape,
  rows,
  slice,
  transpose,
  type Dim,
  type Scope,
  type Tensor,
} from '../graph/index.js';
import type { Loss } from '../losses/index.js';
import { coherentSamples, project, quantilesOf, shuffles } from './blocks/reconcile.js';
import type { Hierarchy } from './model.js';

/** `[batch, time, series]` → `[batch·series, time, 1]` */
export function apart(x: Tensor): Tensor {
  const perSeries = rows(transpose(x, { order: [0, 2, 1] })); // [batch·series, time]
  return reshape(perSeries, { shape: [...perSeries.shape, 1] });
}

/** `[batch, columns, time, series]` → `[batch·series, time, columns]` */
export function columnsApart(x: Tensor): Tensor {
  const [, columns, time] = x.shape as [Dim, number, number];
  const perSeries = rows(transpose(x, { order: [0, 3, 2, 1] })); // [batch·series·time, columns]
  const [batch] = rows(reshape(perSeries, { shape: [x.shape[0]!, x.shape[3]!, time * columns] })).shape;
  return reshape(perSeries, { shape: [batch!, time, columns] });
}

/** The same scope for another number of windows. */
export const withBatch = (g: Scope, batch: Dim): Scope => ({
  ...g,
  batch,
  scope: (name) => withBatch(g.scope(name), batch),
});

interface Together {
  readonly batch: Dim;
  readonly series: number;
  readonly horizon: number;
}

/**
 * Forecasts of the series, decoded by a loss `[batch·series, horizon, columns]`, made coherent and put side by side
 * `[batch, horizon, series·columns]`. The point forecast is projected as it is, quantiles by way of samples.
 */
export function forecastTogether(
  decode: (loss: Loss) => Tensor,
  loss: Loss,
  { projection, samples }: Hierarchy,
  { batch, series, horizon }: Together,
): Tensor {
  const decoded = decode(loss);
  const columns = decoded.shape[2] as number;
  const own = transpose(reshape(decoded, { shape: [batch, series, horizon, columns] }), { order: [0, 2, 1, 3] });
  const sideBySide = (x: Tensor): Tensor => reshape(x, { shape: [batch, horizon, series * columns] });
  if (projection === undefined) return sideBySide(own);

  const column = (x: Tensor, start: number, end: number): Tensor[] =>
    start === end ? [] : [slice(x, { axis: 3, start, end })];
  const [point] = column(own, loss.point, loss.point + 1);
  const coherent = project(reshape(point!, { shape: [batch, horizon, series] }), projection);
  if (columns === 1) return coherent;

  const levels = Array.from({ length: samples }, (_, i) => (i + 0.5) / samples);
  const atLevels = loss.atQuantiles
    ? decode(loss.atQuantiles(levels))
    : matmul(decoded, constant(interpolation(loss.quantiles, levels), [columns, samples]));
  const drawn = reshape(atLevels, { shape: [batch, series * horizon * samples] });
  const order = shuffles(series * horizon, samples);
  const quantiles = quantilesOf(
    coherentSamples(drawn, order, projection, { series, horizon, samples }),
    loss.quantiles,
  ); // [batch, horizon, series, quantiles]
  const exact = reshape(coherent, { shape: [batch, horizon, series, 1] });
  const parts = [...column(quantiles, 0, loss.point), exact, ...column(quantiles, loss.point + 1, columns)];
  return sideBySide(concat(parts, { axis: 3 }));
}

/** Weights `[quantiles, levels]` of the two quantiles around each level, in proportion; beyond the outermost, of that one. */
function interpolation(quantiles: readonly number[], levels: readonly number[]): Float64Array {
  const rising = quantiles.map((_, i) => i).sort((a, b) => quantiles[a]! - quantiles[b]!);
  const weights = new Float64Array(quantiles.length * levels.length);
  for (const [column, level] of levels.entries()) {
    const above = rising.findIndex((i) => quantiles[i]! >= level);
    const high = above < 0 ? rising.at(-1)! : rising[above]!;
    const low = above <= 0 ? high : rising[above - 1]!;
    const share = low === high ? 1 : (level - quantiles[low]!) / (quantiles[high]! - quantiles[low]!);
    weights[low * levels.length + column]! += 1 - share;
    weights[high * levels.length + column]! += share;
  }
  return weights;
}
