/** Which model is best: one row each, on the same windows. */

import { type Backtest, seriesOf, trainingTarget } from './backtest.js';
import { mae, mase, rmse, smape, unlessZeroScale } from './metrics.js';
import { formatTable } from './table.js';

export interface LeaderboardRow {
  readonly name: string;
  /** Means over the series, each over all windows of the series. */
  readonly mae: number;
  readonly rmse: number;
  readonly smape: number;
  /** Series that the seasonal naive forecast hits exactly in training are left out; NaN when that are all. */
  readonly mase: number;
}

/** Scores every forecast of a backtest, best MAE first. `season` (steps) is that of MASE. */
export function leaderboard(result: Backtest, { season = 1 }: { season?: number } = {}): LeaderboardRow[] {
  const rows = Object.keys(result.forecasts).map((name) => {
    const scores = result.ids.map((_, s) => {
      const { actual, forecast } = seriesOf(result, name, s);
      return {
        mae: mae(actual, forecast),
        rmse: rmse(actual, forecast),
        smape: smape(actual, forecast),
        mase: unlessZeroScale(() => mase(actual, forecast, trainingTarget(result, s), season)),
      };
    });
    const mean = (metric: 'mae' | 'rmse' | 'smape' | 'mase'): number => {
      const known = scores.map((score) => score[metric]).filter((score) => !Number.isNaN(score));
      return known.reduce((a, b) => a + b, 0) / known.length;
    };
    return { name, mae: mean('mae'), rmse: mean('rmse'), smape: mean('smape'), mase: mean('mase') };
  });
  return rows.sort((a, b) => a.mae - b.mae);
}

/** The leaderboard as a table for a terminal. */
export function formatLeaderboard(rows: readonly LeaderboardRow[]): string {
  return formatTable(
    ['model', 'MAE', 'RMSE', 'sMAPE', 'MASE'],
    rows.map((row) => [row.name, row.mae, row.rmse, row.smape, row.mase]),
  );
}
