/** `nd evaluate`: forecasts from many moments of the past, beside what costs nothing to run. */
import { writeFileSync } from 'node:fs';
import { rowsOf, type TimeSeriesFrame } from '../../data/frame.js';
import { createWindows } from '../../data/windows.js';
import { NeuroDivergentError } from '../../errors.js';
import { backtest, type BacktestModel } from '../../evaluate/backtest.js';
import { fitRidge, naive, seasonalNaive, type PointForecast } from '../../evaluate/baselines.js';
import { formatLeaderboard, leaderboard } from '../../evaluate/leaderboard.js';
import { renderReport } from '../../evaluate/report.js';
import { guessSeason } from '../../evaluate/season.js';
import { Forecaster } from '../../forecaster/forecaster.js';
import { naturalSeasons, parseFrequency } from '../../time/frequency.js';
import { futureOf, readData, type DataFlags } from '../table.js';
import { evaluationReport } from '../evaluation-report.js';
import { createTerminal, printResult, type OutputFlags } from '../terminal.js';
import type { ProtocolFlags } from './evaluate-protocol.js';

export interface EvaluateFlags extends DataFlags, OutputFlags {
  readonly windows: number;
  readonly step?: number;
  readonly season?: number;
  readonly report?: string;
}

/** By the protocol that is named, or else forecasts from the end of each series. */
export async function evaluateCommand(
  folder: string | undefined,
  flags: EvaluateFlags & Partial<ProtocolFlags>,
): Promise<void> {
  if (flags.protocol !== undefined)
    return (await import('./evaluate-protocol.js')).evaluateByProtocol(folder, flags as ProtocolFlags, seasonOf);
  if (folder === undefined)
    throw new NeuroDivergentError('ND_CLI_USAGE', {
      where: 'evaluate',
      what: 'It is not said what is measured.',
      mend: 'Name the folder that `nd train` wrote, or a --protocol, by which models are trained, too.',
    });
  return evaluateEnd(folder, flags);
}

async function evaluateEnd(folder: string, flags: EvaluateFlags): Promise<void> {
  const terminal = createTerminal(flags);
  const forecaster = await Forecaster.load(folder);
  const { inputLength, horizon } = forecaster;
  const { windows, step = horizon } = flags;
  const frame = await readData(flags, { terminal, minLength: inputLength + horizon, covariates: forecaster.columns });
  const room = shortestLength(frame) - horizon;
  const season = flags.season ?? seasonOf(frame, room);

  const result = await backtest(
    frame,
    [...forecaster.backtestModels(), ...baselines(forecaster, Math.min(season, room))],
    {
      inputLength,
      horizon,
      step,
      windows,
    },
  );
  const rows = leaderboard(result, { season });
  if (flags.report !== undefined) {
    const known = forecaster.columnsAhead;
    const future = futureOf(flags, known, frame.frequency);
    const next = known.length === 0 || future ? await forecaster.predict({ frame, ...(future && { future }) }) : undefined; // prettier-ignore
    writeFileSync(
      flags.report,
      renderReport(
        evaluationReport({
          frame,
          result,
          rows,
          season,
          models: forecaster.models.map(({ name }) => name),
          next,
          data: flags.data,
        }),
      ),
    );
    terminal.say(`Wrote ${flags.report}.`);
  }
  terminal.say(`${result.count} forecasts of ${horizon} steps, one every ${step}; a season is ${season} steps.\n`);
  printResult(
    flags,
    { windows: result.count, horizon, step, season, models: rows, ...(flags.report && { report: flags.report }) },
    formatLeaderboard(rows),
  );
}

/** Ridge learns from the rows before the first forecast; the naive ones learn nothing. */
function baselines({ inputLength, horizon }: Forecaster, season: number): BacktestModel[] {
  let ridge: PointForecast | undefined;
  const longer = Math.max(inputLength, season);
  return [
    { name: 'naive', inputLength: 1, predict: naive(1, horizon) },
    ...(season > 1
      ? [{ name: 'seasonal naive', inputLength: longer, predict: seasonalNaive(longer, horizon, season) }]
      : []),
    {
      name: 'ridge',
      fit: (train) => {
        ridge = fitRidge(createWindows(train, { inputLength, horizon })).forecast;
      },
      predict: (batch, count) => ridge!(batch, count),
    },
  ];
}

const shortestLength = (frame: TimeSeriesFrame): number =>
  frame.ids.reduce((least, _, series) => {
    const { from, to } = rowsOf(frame, series);
    return Math.min(least, to - from);
  }, Infinity);

/** Of the first series; not longer than what every series has before its first forecast. */
function seasonOf(frame: TimeSeriesFrame, room: number): number {
  const { from, to } = rowsOf(frame, 0);
  const natural = naturalSeasons(parseFrequency(frame.frequency));
  return guessSeason(frame.columns.target.subarray(from, to), { natural, maxLag: Math.min(1000, room) });
}
