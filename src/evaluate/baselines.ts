/** What every model has to beat: the last value, the last season, and a linear map with a penalty. */

import { createBatch, gatherWindows, type WindowBatch, type Windows } from '../data/windows.js';

/** Forecasts the first `count` windows of a batch in sensor units: [count, horizon]. Gaps in the past should be filled. */
export type PointForecast = (batch: Pick<WindowBatch, 'past'>, count: number) => Float32Array;

/** Repeats the last value. */
export function naive(inputLength: number, horizon: number): PointForecast {
  return seasonalNaive(inputLength, horizon, 1);
}

/** Repeats the last season; when the window is shorter than one, the last value. `season` counts in time steps. */
export function seasonalNaive(inputLength: number, horizon: number, season: number): PointForecast {
  const period = season <= inputLength ? season : 1;
  return ({ past }, count) => {
    const forecast = new Float32Array(count * horizon);
    for (let w = 0; w < count; w++) {
      const end = (w + 1) * inputLength;
      for (let h = 0; h < horizon; h++) forecast[w * horizon + h] = past[end - period + (h % period)]!;
    }
    return forecast;
  };
}

/** A linear map of the window without its last value, [inputLength, horizon] row-major. */
export interface Ridge {
  readonly weights: Float64Array;
  /** The penalty chosen, as a share of the mean diagonal of the normal equations. */
  readonly lambda: number;
  readonly forecast: PointForecast;
}

const LAMBDAS = [1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10] as const;
const BATCH = 256;

/**
 * Ridge regression from windows to horizons, both less the last value of the window, by the normal equations. The
 * penalty is the one that does best on the last fifth of the windows of each series; the map is then fitted to all.
 * Windows with a missing step are left out. At most `maxWindows` are used, evenly spread.
 */
export function fitRidge(windows: Windows, maxWindows = 20_000): Ridge {
  const { inputLength, horizon } = windows;
  const stride = Math.max(1, Math.ceil(windows.count / maxWindows));
  const picked = Array.from({ length: Math.ceil(windows.count / stride) }, (_, i) => i * stride);
  const late = new Set(lastFifthBySeries(windows, picked));

  const early = moments(
    windows,
    picked.filter((index) => !late.has(index)),
  );
  const held = moments(windows, [...late]);
  const lambda =
    held.count === 0 || early.count === 0
      ? 1e-3
      : LAMBDAS.reduce((best, next) =>
          squaredError(held, solve(early, next, inputLength, horizon), inputLength, horizon) <
          squaredError(held, solve(early, best, inputLength, horizon), inputLength, horizon)
            ? next
            : best,
        );

  const weights = solve(sum(early, held), lambda, inputLength, horizon);
  const forecast: PointForecast = ({ past }, count) => {
    const result = new Float32Array(count * horizon);
    const row = new Float64Array(horizon);
    for (let w = 0; w < count; w++) {
      const from = w * inputLength;
      const level = past[from + inputLength - 1]!;
      row.fill(level);
      for (let i = 0; i < inputLength; i++) addScaled(row, 0, weights, i * horizon, horizon, past[from + i]! - level);
      result.set(row, w * horizon);
    }
    return result;
  };
  return { weights, lambda, forecast };
}

function lastFifthBySeries({ series }: Windows, picked: readonly number[]): number[] {
  const groups = new Map<number, number[]>();
  for (const index of picked) {
    const group = groups.get(series[index]!);
    if (group) group.push(index);
    else groups.set(series[index]!, [index]);
  }
  return [...groups.values()].flatMap((group) => group.slice(Math.ceil(group.length * 0.8)));
}

/** Sums that hold all that least squares has to know of the windows. */
interface Moments {
  readonly count: number;
  readonly xx: Float64Array; // [inputLength, inputLength], upper triangle
  readonly xy: Float64Array; // [inputLength, horizon]
}

function moments(windows: Windows, indices: readonly number[]): Moments {
  const { inputLength, horizon } = windows;
  const xx = new Float64Array(inputLength * inputLength);
  const xy = new Float64Array(inputLength * horizon);
  const batch = createBatch(windows, BATCH);
  const y = new Float64Array(horizon);
  const x = new Float64Array(inputLength);
  let count = 0;
  for (let from = 0; from < indices.length; from += BATCH) {
    const chosen = indices.slice(from, from + BATCH);
    gatherWindows(windows, chosen, batch);
    for (let w = 0; w < chosen.length; w++) {
      const past = w * inputLength;
      if (
        batch.mask.subarray(past, past + inputLength).includes(0) ||
        batch.targetMask.subarray(w * horizon, (w + 1) * horizon).includes(0)
      )
        continue;
      const level = batch.past[past + inputLength - 1]!;
      for (let i = 0; i < inputLength; i++) x[i] = batch.past[past + i]! - level;
      for (let h = 0; h < horizon; h++) y[h] = batch.target[w * horizon + h]! - level;
      for (let i = 0; i < inputLength; i++) {
        addScaled(xx, i * inputLength + i, x, i, inputLength - i, x[i]!);
        addScaled(xy, i * horizon, y, 0, horizon, x[i]!);
      }
      count++;
    }
  }
  return { count, xx, xy };
}

const sum = (a: Moments, b: Moments): Moments => ({
  count: a.count + b.count,
  xx: a.xx.map((v, i) => v + b.xx[i]!),
  xy: a.xy.map((v, i) => v + b.xy[i]!),
});

function addScaled(
  into: Float64Array,
  at: number,
  from: Float64Array,
  start: number,
  length: number,
  factor: number,
): void {
  for (let i = 0; i < length; i++) into[at + i] = into[at + i]! + from[start + i]! * factor;
}

/** Squared error of the map on the windows of the moments, less a constant: tr(W' XX W) - 2 tr(W' XY). */
function squaredError({ xx, xy }: Moments, weights: Float64Array, inputLength: number, horizon: number): number {
  let error = 0;
  const row = new Float64Array(horizon);
  for (let i = 0; i < inputLength; i++) {
    row.fill(0);
    for (let j = i; j < inputLength; j++)
      addScaled(row, 0, weights, j * horizon, horizon, xx[i * inputLength + j]! * (i === j ? 1 : 2));
    for (let h = 0; h < horizon; h++) error += weights[i * horizon + h]! * (row[h]! - 2 * xy[i * horizon + h]!);
  }
  return error;
}

/** Solves (XX + λ m I) W = XY, m the mean diagonal of XX, by Cholesky factors. */
function solve({ xx, xy }: Moments, lambda: number, size: number, horizon: number): Float64Array {
  let trace = 0;
  for (let i = 0; i < size; i++) trace += xx[i * size + i]!;
  const penalty = lambda * (trace / size) || 1; // all windows flat: any penalty gives the zero map

  const factor = new Float64Array(size * size); // upper, XX + penalty = factor' factor
  for (let i = 0; i < size; i++) {
    const row = xx.slice(i * size, (i + 1) * size);
    row[i]! += penalty;
    for (let k = 0; k < i; k++) addScaled(row, i, factor, k * size + i, size - i, -factor[k * size + i]!);
    const pivot = Math.sqrt(row[i]!);
    for (let j = i; j < size; j++) factor[i * size + j] = row[j]! / pivot;
  }

  const weights = xy.slice();
  const scaleRow = (i: number): void => {
    for (let h = 0; h < horizon; h++) weights[i * horizon + h]! /= factor[i * size + i]!;
  };
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < i; k++) addScaled(weights, i * horizon, weights, k * horizon, horizon, -factor[k * size + i]!);
    scaleRow(i);
  }
  for (let i = size - 1; i >= 0; i--) {
    for (let k = i + 1; k < size; k++)
      addScaled(weights, i * horizon, weights, k * horizon, horizon, -factor[i * size + k]!);
    scaleRow(i);
  }
  return weights;
}
