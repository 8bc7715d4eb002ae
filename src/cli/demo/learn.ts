/** The first half of the demo: read, train, compare, quantize. */
import { readCsv } from '../../data/csv.js';
import { sliceTime, type TimeSeriesFrame } from '../../data/frame.js';
import { createWindows } from '../../data/windows.js';
import { backtest } from '../../evaluate/backtest.js';
import { fitRidge, seasonalNaive } from '../../evaluate/baselines.js';
import { formatLeaderboard, leaderboard, type LeaderboardRow } from '../../evaluate/leaderboard.js';
import { guessSeason } from '../../evaluate/season.js';
import { choose } from '../../forecaster/choice.js';
import { Forecaster, type TrainedModel } from '../../forecaster/forecaster.js';
import { findModel, type Model } from '../../models/index.js';
import { backtestModel } from '../../forecaster/runner.js';
import type { Terminal } from '../terminal.js';
import { holdOut } from '../ship.js';
import type { Scenario } from './scenario.js';

export interface Learned {
  readonly frame: TimeSeriesFrame;
  /** What the models learned from; what they were stopped by; what they were compared on, with its past. */
  readonly train: TimeSeriesFrame;
  readonly validation: TimeSeriesFrame;
  readonly test: TimeSeriesFrame;
  readonly models: readonly TrainedModel[];
  readonly best: TrainedModel;
  readonly season: number;
  readonly rows: readonly LeaderboardRow[];
}

/** Shares of the rows before the first failure. */
const validationShare = 0.15;
const testShare = 0.15;
/** What is trained, and how fast: a large model on a few days of data learns in small steps. */
const recipes: readonly {
  readonly model: Model;
  readonly hyperparameters?: Readonly<Record<string, unknown>>;
  readonly learningRate: number;
}[] = [
  { model: findModel('nhits'), learningRate: 1e-4 },
  { model: findModel('dlinear'), learningRate: 1e-3 },
  { model: findModel('gru'), hyperparameters: { hidden: 64, layers: 1 }, learningRate: 1e-3 },
];
const naiveName = 'seasonal naive';

export function readSeries({ csv }: Scenario): TimeSeriesFrame {
  return readCsv(csv, { fillGaps: 'linear', onDuplicate: 'mean', sort: true }).frame;
}

/** Trains three models on the quiet time before the first labelled failure and compares them on windows none has seen. */
export async function learn(
  scenario: Scenario,
  { seed, terminal, signal }: { seed: number; terminal: Terminal; signal: AbortSignal },
): Promise<Learned> {
  const { inputLength, horizon, windows } = scenario;
  const frame = readSeries(scenario);
  const quiet = sliceTime(frame, Number.NEGATIVE_INFINITY, windows[0]![0]);
  const rows = (share: number): number => Math.round(quiet.time.length * share);
  const { rest, held: test } = holdOut(quiet, rows(testShare), inputLength);
  const { rest: train, held: validation } = holdOut(rest, rows(validationShare), inputLength);
  terminal.say(
    `  ${frame.time.length} readings, one every ${frame.frequency}; ${train.time.length} to learn from, ${rows(validationShare)} to validate, ${rows(testShare)} to compare on`,
  );

  const models: TrainedModel[] = [];
  for (const { model, hyperparameters = {}, learningRate } of recipes) {
    const forecaster = new Forecaster({
      models: [choose(model, { inputLength, horizon, ...hyperparameters })],
      train: { learningRate, maxSteps: 600, windowsBatchSize: 64, valCheckSteps: 50, patience: 4, scaler: 'standard' },
      seed,
    });
    const bar = terminal.progress(model.id.padEnd(8), 600);
    await forecaster.fit(rest, {
      validationSize: rows(validationShare),
      signal,
      on: ({ step, trainLoss, validationLoss }) =>
        bar.update(
          step,
          `loss ${trainLoss.toFixed(3)}${validationLoss === null ? '' : `, validation ${validationLoss.toFixed(3)}`}`,
        ),
    });
    const trained = forecaster.model(model.id);
    const losses = trained.history.map(({ validationLoss }) => validationLoss ?? Number.NaN);
    bar.done(
      `${trained.steps} steps, training loss ${trained.history[0]?.trainLoss.toFixed(3)} → ${trained.history.at(-1)?.trainLoss.toFixed(3)}, validation ${losses[0]?.toFixed(3)} → ${Math.min(...losses).toFixed(3)} (step ${trained.bestStep})`,
    );
    models.push(trained);
  }

  const season = guessSeason(train.columns.target);
  const past = Math.max(inputLength, season <= quiet.time.length / 4 ? season : inputLength);
  const ridge = fitRidge(createWindows(rest, { inputLength: past, horizon }));
  const comparison = await backtest(
    quiet,
    [
      ...models.map(backtestModel),
      { name: naiveName, predict: seasonalNaive(past, horizon, season) },
      { name: 'ridge', predict: ridge.forecast },
    ],
    { inputLength: past, horizon, step: 1, windows: rows(testShare) - horizon + 1 },
  );
  const board = leaderboard(comparison, { season });
  terminal.say(`\n${formatLeaderboard(board).replaceAll(/^/gm, '  ')}\n`);
  const best = board.flatMap(({ name }) => models.filter((model) => model.name === name))[0]!;
  return { frame, train, validation, test, models, best, season, rows: board };
}

export const naiveError = ({ rows }: Learned): number => rows.find(({ name }) => name === naiveName)!.mae;
