/** Metrics against a panel of the reference: equal to 1e-9 of the value. */
import {
  calibration,
  coverage,
  mae,
  mape,
  mase,
  mqLoss,
  mse,
  quantileLoss,
  rmse,
  rmsse,
  scrps,
  smape,
} from '../../evaluate/metrics.js';
import { missing, type Outcome } from './tally.js';

type Column = readonly number[];
interface Panel {
  readonly df: Readonly<Record<string, Column>> & { readonly unique_id: readonly string[] };
  readonly train_df: { readonly unique_id: readonly string[]; readonly y: Column };
  readonly seasonality: number;
  readonly quantiles: readonly number[];
  /** Metric, model, series. */
  readonly values: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, number>>>>>>;
}

interface Rows {
  readonly y: Column;
  readonly train: Column;
  readonly season: number;
  readonly quantiles: readonly number[];
  /** A column of the model's forecasts: '' is the point forecast, `-q0.1`, `-lo-80`. */
  readonly of: (suffix: string) => Column;
  /** What follows @ in the name of a metric. */
  readonly at: string;
}

const metrics: Readonly<Record<string, (rows: Rows) => number>> = {
  mae: ({ y, of }) => mae(y, of('')),
  mse: ({ y, of }) => mse(y, of('')),
  rmse: ({ y, of }) => rmse(y, of('')),
  mape: ({ y, of }) => mape(y, of('')),
  smape: ({ y, of }) => smape(y, of('')),
  mase: ({ y, of, train, season }) => mase(y, of(''), train, season),
  rmsse: ({ y, of, train, season }) => rmsse(y, of(''), train, season),
  quantile_loss: ({ y, of, at }) => quantileLoss(y, of(`-q${at}`), Number(at)),
  calibration: ({ y, of, at }) => calibration(y, of(`-q${at}`)),
  coverage: ({ y, of, at }) => coverage(y, of(`-lo-${at}`), of(`-hi-${at}`)),
  mqloss: ({ y, of, quantiles }) => mqLoss(y, quantiles.map((q) => of(`-q${q}`)), quantiles), // prettier-ignore
  scaled_crps: ({ y, of, quantiles }) => scrps(y, quantiles.map((q) => of(`-q${q}`)), quantiles), // prettier-ignore
};

const tolerance = 1e-9;

export function metricCase(text: string): Outcome {
  const { df, train_df: train, seasonality: season, quantiles, values } = JSON.parse(text) as Panel;
  let absolute = 0;
  let relative = 0;
  const faults: string[] = [];
  for (const [name, byModel] of Object.entries(values)) {
    const [metric, at = ''] = name.split('@') as [string, string?];
    const compute = metrics[metric];
    if (compute === undefined) return missing(`the metric ${metric}`);
    for (const [model, bySeries] of Object.entries(byModel)) {
      for (const [id, expected] of Object.entries(bySeries)) {
        const rows = (ids: readonly string[], column: Column): Column => column.filter((_, i) => ids[i] === id);
        const of = (suffix: string): Column => rows(df.unique_id, df[model + suffix]!);
        const ours = compute({
          y: rows(df.unique_id, df['y']!),
          train: rows(train.unique_id, train.y),
          season,
          quantiles,
          of,
          at,
        });
        const error = Math.abs(ours - expected);
        absolute = Math.max(absolute, error);
        if (expected !== 0) relative = Math.max(relative, error / Math.abs(expected));
        if (!(error <= tolerance * Math.abs(expected)))
          faults.push(`${name} of ${model} on ${id} is ${ours}, there ${expected}`);
      }
    }
  }
  return {
    status: faults.length === 0 ? 'pass' : 'fail',
    figures: { forward: { absolute, relative } },
    ...(faults.length > 0 && { reason: faults.slice(0, 3).join('; ') }),
  };
}
