/** Pieces of models that forecast many series from each other. */
import { add, mul, reshape, slice, swapLast, transpose, type Tensor } from '../../graph/index.js';

/**
 * What is the same in all windows, `[…]`, once for each of them: `[batch, …]`. Zeros that depend on the window carry the
 * batch, which may be unknown.
 */
export function inEachWindow(x: Tensor, past: Tensor): Tensor {
  const first = slice(slice(past, { axis: 1, start: 0, end: 1 }), { axis: 2, start: 0, end: 1 }); // [batch, 1, 1]
  const zeros = reshape(mul(first, 0), { shape: [past.shape[0]!, ...x.shape.map(() => 1)] });
  return add(reshape(x, { shape: [1, ...x.shape] }), zeros);
}

/** A covariate `[batch, columns, time, series]` as one row per series, `[batch, series, columns·time]`. */
export function perSeries(x: Tensor): Tensor {
  const [batch, columns, time, series] = x.shape as [number, number, number, number];
  return reshape(transpose(x, { order: [0, 3, 1, 2] }), { shape: [batch, series, columns * time] });
}

/**
 * Rows of numbers, one row per series `[batch, series, horizon·outputs]`, as a forecast `[batch, horizon, outputs·series]`,
 * in the order of the reference. `restore` undoes what normalised the windows `[batch, time, series]`.
 */
export function forecastOf(rows: Tensor, horizon: number, restore: (y: Tensor) => Tensor): Tensor {
  const [batch, series, width] = rows.shape as [number, number, number];
  return reshape(restore(swapLast(rows)), { shape: [batch, horizon, (width / horizon) * series] });
}
