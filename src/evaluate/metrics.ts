/**
 * How far forecasts are from what happened. Every metric is a mean over the points whose actual value is known: NaN in
 * `actual` marks one that is not, and does not count. No known point gives NaN. Numbers equal utilsforecast 0.2.17.
 * All throw `ND_EVALUATE_LENGTHS` when the lists differ in length.
 */

import { NeuroDivergentError } from '../errors.js';

type Values = ArrayLike<number>;

/** Mean of `measure` over the points with a known actual value; points where it is NaN do not count either. */
function meanOver(actual: Values, others: readonly Values[], measure: (actual: number, i: number) => number): number {
  for (const other of others) {
    if (other.length === actual.length) continue;
    throw new NeuroDivergentError('ND_EVALUATE_LENGTHS', {
      where: 'metrics',
      what: `There are ${actual.length} actual values, but ${other.length} to compare them with.`,
      mend: 'Compare lists of one length.',
    });
  }
  let sum = 0;
  let count = 0;
  for (let i = 0; i < actual.length; i++) {
    if (Number.isNaN(actual[i])) continue;
    const value = measure(actual[i]!, i);
    if (Number.isNaN(value)) continue;
    sum += value;
    count++;
  }
  return count === 0 ? NaN : sum / count;
}

/** Mean absolute error, in the unit of the series. */
export const mae = (actual: Values, forecast: Values): number =>
  meanOver(actual, [forecast], (y, i) => Math.abs(y - forecast[i]!));

/** Mean squared error. */
export const mse = (actual: Values, forecast: Values): number =>
  meanOver(actual, [forecast], (y, i) => (y - forecast[i]!) ** 2);

/** Root of the mean squared error, in the unit of the series. */
export const rmse = (actual: Values, forecast: Values): number => Math.sqrt(mse(actual, forecast));

/** Mean absolute error in shares of the actual value; points with actual 0 do not count. */
export const mape = (actual: Values, forecast: Values): number =>
  meanOver(actual, [forecast], (y, i) => (y === 0 ? NaN : Math.abs((y - forecast[i]!) / y)));

/** Symmetric MAPE, |y - ŷ| / (|y| + |ŷ|), in [0, 1] and 0 where both are 0. The percentage of the M4 contest is 200 times this. */
export const smape = (actual: Values, forecast: Values): number =>
  meanOver(actual, [forecast], (y, i) => Math.abs(y - forecast[i]!) / (Math.abs(y) + Math.abs(forecast[i]!) || 1));

/** Sum of absolute errors over the sum of absolute actual values. */
export const wape = (actual: Values, forecast: Values): number =>
  mae(actual, forecast) / meanOver(actual, [], Math.abs);

/** Mean error of the seasonal naive forecast on the training part: `power` 1 absolute, 2 squared. */
function naiveError(train: Values, season: number, power: 1 | 2): number {
  const later = Float64Array.from({ length: Math.max(train.length - season, 0) }, (_, i) => train[i + season]!);
  const scale = meanOver(later, [], (y, i) => Math.abs(y - train[i]!) ** power);
  if (scale > 0) return scale;
  throw new NeuroDivergentError('ND_EVALUATE_ZERO_SCALE', {
    where: 'metrics',
    what: `A forecast that repeats the value of ${season} steps ago makes no error on the training part, or there is no such value.`,
    mend: 'Leave this series out of scaled metrics, or choose another season.',
  });
}

/** Mean absolute error over that of the seasonal naive forecast on `train`. Throws `ND_EVALUATE_ZERO_SCALE`. */
export const mase = (actual: Values, forecast: Values, train: Values, season: number): number =>
  mae(actual, forecast) / naiveError(train, season, 1);

/** A scaled score, NaN where the scale is zero. */
export function unlessZeroScale(score: () => number): number {
  try {
    return score();
  } catch (error) {
    if (error instanceof NeuroDivergentError && error.code === 'ND_EVALUATE_ZERO_SCALE') return NaN;
    throw error;
  }
}

/** Root of the mean squared error over that of the seasonal naive forecast on `train`. Throws `ND_EVALUATE_ZERO_SCALE`. */
export const rmsse = (actual: Values, forecast: Values, train: Values, season: number): number =>
  Math.sqrt(mse(actual, forecast) / naiveError(train, season, 2));

/** Quantile (pinball) loss of a forecast of quantile `q`. */
export const quantileLoss = (actual: Values, forecast: Values, q: number): number =>
  meanOver(actual, [forecast], (y, i) => Math.max(q * (y - forecast[i]!), (q - 1) * (y - forecast[i]!)));

/** Mean quantile loss over several quantiles; `forecasts[k]` belongs to `quantiles[k]`. */
export const mqLoss = (actual: Values, forecasts: readonly Values[], quantiles: readonly number[]): number =>
  quantiles.reduce((sum, q, k) => sum + quantileLoss(actual, forecasts[k]!, q), 0) / quantiles.length;

/** Continuous ranked probability score from quantiles, over the mean absolute actual value. */
export const scrps = (actual: Values, forecasts: readonly Values[], quantiles: readonly number[]): number =>
  (2 * mqLoss(actual, forecasts, quantiles)) / meanOver(actual, [], Math.abs);

/** Share of actual values at or below the forecast of a quantile. */
export const calibration = (actual: Values, forecast: Values): number =>
  meanOver(actual, [forecast], (y, i) => Number(y <= forecast[i]!));

/** Share of actual values within the interval, borders included. */
export const coverage = (actual: Values, lo: Values, hi: Values): number =>
  meanOver(actual, [lo, hi], (y, i) => Number(lo[i]! <= y && y <= hi[i]!));

/** Winkler score of an interval that should cover `level` (such as 0.9): its width, and 2 / (1 - level) times the miss. */
export const winkler = (actual: Values, lo: Values, hi: Values, level: number): number =>
  meanOver(actual, [lo, hi], (y, i) => hi[i]! - lo[i]! + (2 / (1 - level)) * Math.max(lo[i]! - y, y - hi[i]!, 0));

/** Overall weighted average of the M4 contest: the mean of both scores over those of a benchmark. */
export const owa = (score: { smape: number; mase: number }, benchmark: { smape: number; mase: number }): number =>
  (score.smape / benchmark.smape + score.mase / benchmark.mase) / 2;
