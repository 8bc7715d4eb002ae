/** Intervals from a backtest: how wide must the band be to hold the promised share? */

import { conformalQuantile } from '../stats/conformal.js';
import type { Backtest } from './backtest.js';

/**
 * Split-conformal half width of each step of the horizon, from the absolute errors of a backtest that the model was
 * not fitted to. Where there are too few errors to promise `coverage`, the largest one stands in.
 */
export function conformalHalfWidths(result: Backtest, name: string, coverage: number): Float64Array {
  return Float64Array.from({ length: result.horizon }, (_, h) => {
    const errors = errorsAt(result, name, h);
    const width = conformalQuantile(errors, coverage);
    return Number.isFinite(width) ? width : errors.reduce((a, b) => Math.max(a, b), 0);
  });
}

/** Absolute errors at step `h` (from 0), in the order of the windows; unobserved ones left out. */
function errorsAt({ actual, forecasts, horizon, count }: Backtest, name: string, h: number): number[] {
  return Array.from({ length: count }, (_, w) =>
    Math.abs(actual[w * horizon + h]! - forecasts[name]![w * horizon + h]!),
  ).filter((error) => !Number.isNaN(error));
}

/**
 * The last `limit` nonconformity scores |error| / half width of the first step: the calibration a device starts from.
 * Run the backtest with `step: 1`, so that there are enough of them.
 */
export function calibrationScores(
  result: Backtest,
  name: string,
  halfWidths: ArrayLike<number>,
  limit = 500,
): Float64Array {
  return Float64Array.from(errorsAt(result, name, 0).slice(-limit), (error) => error / (halfWidths[0]! || 1));
}

/** Lower and upper bound around forecasts [count, horizon]. */
export function intervalAround(
  forecast: Float32Array,
  halfWidths: ArrayLike<number>,
): { lo: Float32Array; hi: Float32Array } {
  return {
    lo: forecast.map((value, i) => value - halfWidths[i % halfWidths.length]!),
    hi: forecast.map((value, i) => value + halfWidths[i % halfWidths.length]!),
  };
}
