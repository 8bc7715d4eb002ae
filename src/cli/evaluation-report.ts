/** The page `nd evaluate --report` leaves behind. */
import { basename } from 'node:path';
import { rowsOf, type TimeSeriesFrame } from '../data/frame.js';
import type { Backtest } from '../evaluate/backtest.js';
import type { LeaderboardRow } from '../evaluate/leaderboard.js';
import type { Report, ReportBlock } from '../evaluate/report.js';
import type { Forecasts } from '../forecaster/forecaster.js';
import { parseFrequency } from '../time/frequency.js';
import { version } from '../version.js';
import { formatFigure, formatPercent } from './terminal.js';

export interface EvaluationParts {
  readonly frame: TimeSeriesFrame;
  readonly result: Backtest;
  readonly rows: readonly LeaderboardRow[];
  readonly season: number;
  /** Of all that was measured, the forecaster's own. */
  readonly models: readonly string[];
  /** What they forecast after the last row, where that can be done. */
  readonly next?: Forecasts | undefined;
  readonly data: string;
}

/** More series than this are counted in the table, but not drawn. */
const maxCharts = 8;

export function evaluationReport({ frame, result, rows, season, models, next, data }: EvaluationParts): Report {
  const own = rows.filter(({ name }) => models.includes(name));
  const best = own[0]!;
  const simple = rows.find(({ name }) => !models.includes(name))!;
  const gain = 1 - best.mae / simple.mae;
  return {
    title: `Forecasts of ${basename(data)}`,
    subtitle: `${result.count} forecasts of ${result.horizon} steps from ${result.ids.length} series, each made without a look at what came after.`,
    cards: [
      { label: 'Best model', value: best.name, note: `mean absolute error ${formatFigure(best.mae)}` },
      {
        label: `Against ${simple.name}`,
        value: `${formatPercent(Math.abs(gain))} ${gain > 0 ? 'better' : 'worse'}`,
        tone: gain > 0 ? 'good' : 'bad',
        note: 'the best of the simple ones',
      },
    ],
    blocks: [
      ...frame.ids.slice(0, maxCharts).map((_, series) => chart(series, { frame, result, next }, best.name)),
      {
        kind: 'table',
        title: 'Models',
        description: `Means over the series. A season, for MASE and seasonal naive, is ${season} steps.`,
        columns: ['model', 'MAE', 'RMSE', 'sMAPE', 'MASE'],
        rows: rows.map(({ name, mae, rmse, smape, mase }) => [name, mae, rmse, smape, mase]),
        highlight: rows.indexOf(best),
      },
    ],
    notes: [`Made by \`nd evaluate\` of neuro-divergent ${version}.`],
  };
}

type Drawn = Pick<EvaluationParts, 'frame' | 'result' | 'next'>;

function chart(series: number, { frame, result, next }: Drawn, best: string): ReportBlock {
  const { from, to } = rowsOf(frame, series);
  const mine = [...result.cutoffs.keys()].filter((i) => result.series[i] === series);
  const rowOf = new Map(Array.from(frame.time.subarray(from, to), (time, row) => [time, row]));
  const time: number[] = [];
  const forecast: number[] = [];
  let free = 0; // windows may overlap: of each stretch the first forecast is drawn
  for (const window of mine) {
    const start = rowOf.get(result.cutoffs[window]!)!;
    if (start < free) continue;
    free = start + result.horizon;
    for (let step = 0; step < result.horizon; step++) {
      time.push(frame.time[from + start + step]!);
      forecast.push(result.forecasts[best]![window * result.horizon + step]!);
    }
  }
  const first = from + Math.max(0, rowOf.get(time[0]!)! - 2 * result.horizon);
  const ahead = (values: ArrayLike<number>) =>
    Array.from({ length: result.horizon }, (_, step) => values[series * result.horizon + step]!);
  return {
    kind: 'chart',
    title: frame.ids[series]!,
    description: `What was observed, what ${best} forecast at the time${next ? ', and what it forecasts now' : ''}.`,
    x: parseFrequency(frame.frequency).kind === 'step' ? { kind: 'linear', label: 'step' } : { kind: 'time' },
    y: {},
    lines: [
      { name: 'observed', x: frame.time.subarray(first, to), y: observed(frame, first, to), colour: 'ink' },
      { name: best, x: time, y: forecast, colour: 'blue' },
      ...(next
        ? [
            {
              name: 'next',
              x: ahead(next.time),
              y: ahead(next.columns[best]!),
              colour: 'orange',
              dashed: true,
            } as const,
          ]
        : []),
    ],
  };
}

const observed = ({ columns, available }: TimeSeriesFrame, from: number, to: number): Float32Array =>
  columns.target.subarray(from, to).map((value, i) => (available[from + i] === 0 ? Number.NaN : value));
