/** Forecasts of a hierarchy that add up: each series' own forecast, projected onto what the hierarchy allows. */
import {
  add,
  constant,
  gather,
  matmul,
  mul,
  reshape,
  sort,
  transpose,
  type Dim,
  type Tensor,
} from '../../graph/index.js';

/** Row i says which bottom series add up to series i; the last rows are the bottom series themselves. `[series][bottom]` */
export type Summing = readonly (readonly number[])[];

export const reconciliations = ['bottom-up', 'min-trace-ols', 'min-trace-wls', 'none'] as const;
export type Reconciliation = (typeof reconciliations)[number];

/**
 * What turns forecasts of all series into coherent ones, `[series · series]`, row by row: S·P, with P the bottom series as
 * they are (Orcutt et al. 1968), or the least squares fit of all (https://doi.org/10.1080/01621459.2018.1448825), each
 * series weighing the same (ols) or less the more it adds up (wls).
 */
export function projection(summing: Summing, method: Exclude<Reconciliation, 'none'>): Float64Array {
  const series = summing.length;
  const bottom = summing[0]!.length;
  const product = new Float64Array(series * series);
  const bottomOf =
    method === 'bottom-up' ? lastRows(series, bottom) : leastSquares(summing, method === 'min-trace-wls');
  for (let i = 0; i < series; i++)
    for (let j = 0; j < series; j++)
      for (let k = 0; k < bottom; k++) product[i * series + j]! += summing[i]![k]! * bottomOf[k]![j]!;
  return product;
}

const lastRows = (series: number, bottom: number): number[][] =>
  Array.from({ length: bottom }, (_, k) =>
    Array.from({ length: series }, (__, j) => (j === series - bottom + k ? 1 : 0)),
  );

/** (SᵀWS)⁻¹SᵀW, with W the inverse of how many bottom series each row adds up, or 1. */
function leastSquares(summing: Summing, weighted: boolean): number[][] {
  const weight = summing.map((row) => (weighted ? 1 / row.reduce((sum, value) => sum + value, 0) : 1));
  const bottom = summing[0]!.length;
  const rows = Array.from({ length: bottom }, (_, k) => [
    ...Array.from({ length: bottom }, (__, l) =>
      summing.reduce((sum, row, i) => sum + weight[i]! * row[k]! * row[l]!, 0),
    ),
    ...summing.map((row, i) => weight[i]! * row[k]!),
  ]);
  // Gauss and Jordan. The matrix is positive definite, since S holds the identity: no pivot is small.
  for (let k = 0; k < bottom; k++) {
    const pivot = rows[k]![k]!;
    rows[k] = rows[k]!.map((value) => value / pivot);
    for (let i = 0; i < bottom; i++) {
      const factor = i === k ? 0 : rows[i]![k]!;
      if (factor !== 0) rows[i] = rows[i]!.map((value, j) => value - factor * rows[k]![j]!);
    }
  }
  return rows.map((row) => row.slice(bottom));
}

/** `[…, series]` → the same, coherent. */
export function project(forecasts: Tensor, matrix: Float64Array): Tensor {
  const series = forecasts.shape.at(-1) as number;
  const transposed = Float64Array.from(matrix, (_, i) => matrix[(i % series) * series + Math.floor(i / series)]!);
  return matmul(forecasts, constant(transposed, [series, series]));
}

interface Sampled {
  readonly series: number;
  readonly horizon: number;
  /** Of each series and step. */
  readonly samples: number;
}

/**
 * Samples of every series and step `[batch, series·horizon·samples]`, each put in a new order so that those of two series
 * are drawn independently, then made coherent one by one: `[batch, horizon, series, samples]`, rising.
 */
export function coherentSamples(
  drawn: Tensor,
  order: ArrayLike<number>,
  matrix: Float64Array,
  { series, horizon, samples }: Sampled,
): Tensor {
  const batch = drawn.shape[0] as Dim;
  const shuffled = reshape(gather(drawn, { axis: 1, indices: Array.from(order) }), {
    shape: [batch, series, horizon * samples],
  });
  const coherent = project(transpose(shuffled, { order: [0, 2, 1] }), matrix); // [batch, horizon·samples, series]
  const apart = reshape(coherent, { shape: [batch, horizon, samples, series] });
  return sort(transpose(apart, { order: [0, 1, 3, 2] }));
}

/** Quantiles of samples that rise along the last axis, between two of them in proportion: `[…, quantiles]` */
export function quantilesOf(samples: Tensor, quantiles: readonly number[]): Tensor {
  const count = samples.shape.at(-1) as number;
  const axis = samples.shape.length - 1;
  const places = quantiles.map((q) => q * (count - 1));
  const taken = (indices: number[], weights: number[]): Tensor =>
    mul(gather(samples, { axis, indices }), constant(weights, [weights.length]));
  return add(
    taken(
      places.map(Math.floor),
      places.map((place) => 1 - (place % 1)),
    ),
    taken(
      places.map(Math.ceil),
      places.map((place) => place % 1),
    ),
  );
}

/** A new order of the samples of each row, as places in all of them: the same at every call, since forecasts are. */
export function shuffles(rows: number, samples: number): Uint32Array {
  let state = 0x9e3779b9;
  const random = (): number => {
    state = (state + 0x6d2b79f5) | 0; // mulberry32, https://gist.github.com/tommyettinger/46a874533244883189143505d203312c
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const order = Uint32Array.from({ length: rows * samples }, (_, i) => i);
  for (let row = 0; row < rows; row++) {
    for (let i = samples - 1; i > 0; i--) {
      const [a, b] = [row * samples + i, row * samples + Math.floor(random() * (i + 1))];
      [order[a], order[b]] = [order[b]!, order[a]!];
    }
  }
  return order;
}
