/** How wrong forecasts are, series by series, and how much worse the small model's are than those of FP32: what the gate looks at. */
import type { Engine } from '../engine/port.js';
import type { Graph } from '../graph/index.js';
import { quantile } from '../stats/quantile.js';
import { runWindows, windowCount, withSession, type WindowArrays } from './windows.js';

export interface ForecastError {
  /** Over all windows, in sensor units. */
  readonly mae: number;
  /** By series; NaN for one that has no known value. */
  readonly bySeries: Float64Array;
}

/** Mean absolute errors of the forecast. `point` is the column of the forecast that is meant as a point. */
export async function forecastError(
  engine: Engine,
  graph: Graph,
  windows: WindowArrays,
  point: number,
): Promise<ForecastError> {
  const { target, targetMask, series } = windows;
  const total = windowCount(graph, windows);
  const horizon = graph.outputs.forecast!.shape[1] as number;
  const together = target.length / (total * horizon);
  const count = together === 1 ? (series?.reduce((most, s) => Math.max(most, s + 1), 1) ?? 1) : together;
  const sums = new Float64Array(count);
  const known = new Float64Array(count);
  await withSession(engine, graph, (session) =>
    runWindows(session, graph, windows, ({ forecast }, first, some) => {
      const { data, dims } = forecast!;
      const columns = dims.at(-1)! / together;
      for (let i = 0; i < some * horizon * together; i++) {
        const at = first * horizon * together + i;
        if (targetMask !== undefined && !(targetMask[at]! > 0)) continue;
        const s = together === 1 ? (series?.[Math.floor(at / horizon)] ?? 0) : at % together;
        sums[s]! += Math.abs(target[at]! - data[i * columns + point]!);
        known[s]! += 1;
      }
    }),
  );
  const sum = (values: Float64Array): number => values.reduce((a, b) => a + b, 0);
  return { mae: sum(sums) / sum(known), bySeries: sums.map((value, s) => value / known[s]!) };
}

/** The limit of the 90th percentile over the series, as a multiple of that of the median. */
export const tail = 3;

export interface Loss {
  /** Median over the series of the relative rise of the error. */
  readonly median: number;
  /** Its 90th percentile. */
  readonly p90: number;
  /** The larger of the median and a third of the 90th percentile: what a limit is compared with. */
  readonly gated: number;
}

/** NaN where an error is none, as that of a broken model: it passes no limit. */
export function lossOf(small: ForecastError, fp32: ForecastError): Loss {
  const rises = fp32.bySeries
    .map((error, s) => (small.bySeries[s]! - error) / Math.max(error, Number.MIN_VALUE))
    .filter((_, s) => !Number.isNaN(fp32.bySeries[s]));
  if (rises.some(Number.isNaN)) return { median: Number.NaN, p90: Number.NaN, gated: Number.NaN };
  const [median, p90] = [quantile(rises, 0.5), quantile(rises, 0.9)];
  return { median, p90, gated: Math.max(median, p90 / tail) };
}
