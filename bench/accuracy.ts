/**
 * How good the models are on ETTh1 and M4 Hourly, beside published figures, seasonal naive and ridge. Each finished row is
 * kept with `--save`, so that the table is made in parts: rows that are there are not made again, but with `--again`.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { createTerminal } from '../src/cli/terminal.js';
import { createBars } from '../src/cli/training.js';
import { rowsOf, takeRows, type TimeSeriesFrame } from '../src/data/frame.js';
import { weighings } from '../src/distill/ensemble.js';
import { backtest } from '../src/evaluate/backtest.js';
import { mae, mse } from '../src/evaluate/metrics.js';
import {
  knownOf,
  lastForecasts,
  measureScaled,
  partsOf,
  ridgeM4,
  scaledBaselines,
  scoreM4,
  type Parts,
} from '../src/evaluate/protocol.js';
import { Forecaster } from '../src/forecaster/forecaster.js';
import { findModel } from '../src/models/index.js';
import { aims, longModels, m4Settings, modelOrder, omitted, owaAim, published, ridgeAim, settingOf, type AccuracySetting } from './accuracy-settings.js'; // prettier-ignore
import { readEtt, readM4 } from './data.js';
import { rounded } from './statistics.js';

const file = 'bench/accuracy.json';
const folder = 'node_modules/.cache/nd-accuracy';
const tasks = ['etth1', 'm4'] as const;
type Task = (typeof tasks)[number];
const season = 24;
const m4Horizon = 48;
/** Input length of the ridge of the aims. */
const ridgeLength = 336;
const defaultBudgetSeconds = 240;

interface AccuracyRow {
  readonly task: Task;
  readonly horizon: number;
  readonly model: string;
  readonly inputLength: number | null;
  /** ETTh1: MSE and MAE of standardized values. M4: sMAPE in percent, MASE, OWA. */
  readonly errors: Readonly<Record<string, number>>;
  /** Steps that were made, and those that were asked for: fewer where the time did not last. */
  readonly steps?: number;
  readonly stepsAsked?: number;
  readonly bestStep?: number;
  readonly members?: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly seed: number;
  /** The last one that changed `src`. */
  readonly commit: string;
  /** Where, and on how many threads: a budget of time allows other steps elsewhere. */
  readonly machine: string;
}

interface Kept {
  readonly command: string;
  readonly rows: readonly AccuracyRow[];
  /** MSE and MAE of the papers, by model and horizon. */
  readonly published: typeof published;
}

export interface AccuracyOptions {
  readonly only?: readonly string[] | undefined;
  readonly data?: readonly string[] | undefined;
  readonly horizons?: readonly number[] | undefined;
  readonly seed?: number;
  /** Time to train one model. */
  readonly budgetSeconds?: number;
  readonly threads?: number;
  readonly save?: boolean;
  readonly again?: boolean;
}

export async function benchAccuracy({
  only,
  data = tasks,
  horizons = [96, 192, 336, 720],
  seed = 1,
  budgetSeconds = defaultBudgetSeconds,
  threads = 2,
  save = false,
  again = false,
}: AccuracyOptions = {}) {
  const commit = execFileSync('git', ['log', '-1', '--format=%h', '--', 'src'], { encoding: 'utf8' }).trim();
  const kept = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Kept) : undefined;
  const machine = `${cpus()[0]!.model.trim()}, ${threads} thread${threads === 1 ? '' : 's'}`;
  let rows: readonly AccuracyRow[] = kept?.rows ?? [];
  const terminal = createTerminal();
  const asked = (model: string): boolean => only === undefined || only.includes(model);
  const run = { seed, budgetSeconds, threads, terminal };

  /** Makes a row unless it is there, and keeps it at once. */
  const row = async (
    key: Pick<AccuracyRow, 'task' | 'horizon' | 'model'>,
    make: () => Promise<Omit<AccuracyRow, 'seconds' | 'seed' | 'commit' | 'machine' | keyof typeof key>>,
  ): Promise<void> => {
    if (!asked(key.model)) return;
    const same = (other: AccuracyRow): boolean =>
      other.task === key.task && other.horizon === key.horizon && other.model === key.model && other.seed === seed;
    if (!again && rows.some(same)) return;
    const start = performance.now();
    const made = await make();
    const seconds = Math.round((performance.now() - start) / 1000);
    const errors = Object.fromEntries(Object.entries(made.errors).map(([name, value]) => [name, rounded(value)]));
    const done: AccuracyRow = { ...key, ...made, errors, seconds, seed, commit, machine };
    rows = [...rows.filter((other) => !same(other)), done];
    terminal.say(JSON.stringify(done));
    if (save) writeFileSync(file, `${JSON.stringify(report(rows), null, 2)}\n`);
  };

  if (data.includes('etth1')) {
    const table = readEtt();
    for (const horizon of horizons) {
      const names = horizon === 96 ? modelOrder : longModels;
      await row({ task: 'etth1', horizon, model: 'seasonal naive' }, () => ettBaseline(table, horizon, 0));
      await row({ task: 'etth1', horizon, model: 'ridge' }, () => ettBaseline(table, horizon, 1));
      for (const model of names)
        await row({ task: 'etth1', horizon, model }, () => ettModel(table, model, horizon, run));
      if (horizon === 96) await row({ task: 'etth1', horizon, model: 'ensemble' }, () => ettEnsemble(table, seed));
    }
  }
  if (data.includes('m4')) {
    const frame = readM4();
    const key = { task: 'm4', horizon: m4Horizon } as const;
    const given = { horizon: m4Horizon, season };
    for (const model of ['naive2', 'seasonal naive', 'ridge'])
      await row({ ...key, model }, async () => {
        const inputLength = 168;
        const forecasts: Record<string, Float32Array> =
          model === 'ridge' ? { ridge: await ridgeM4(frame, { inputLength, horizon: m4Horizon }) } : {};
        return { inputLength: model === 'ridge' ? inputLength : null, errors: m4Errors(scoreM4(frame, forecasts, given), model) }; // prettier-ignore
      });
    for (const [model, setting] of Object.entries(m4Settings))
      await row({ ...key, model }, () => m4Model(frame, model, setting, run));
    await row({ ...key, model: 'ensemble' }, () => m4Ensemble(frame, seed));
  }
  return { ...report(rows), tables: tablesOf(rows), omitted, aims: verdicts(rows) };
}

const report = (rows: readonly AccuracyRow[]): Kept => ({
  command: 'npm run bench -- accuracy --save',
  rows: rows.toSorted(
    (a, b) =>
      tasks.indexOf(a.task) - tasks.indexOf(b.task) || a.horizon - b.horizon || rankOf(a.model) - rankOf(b.model),
  ),
  published,
});

/** Baselines first, ensembles last. */
const order: readonly string[] = ['naive2', 'seasonal naive', 'ridge', ...modelOrder, 'ensemble'];
const rankOf = (model: string): number => order.indexOf(model);

interface Run {
  readonly seed: number;
  readonly budgetSeconds: number;
  readonly threads: number;
  readonly terminal: ReturnType<typeof createTerminal>;
}

const savedAt = (task: Task, horizon: number, model: string, seed: number): string =>
  join(folder, `${task}-${horizon}-${model}-${seed}`);

async function ettBaseline(table: TimeSeriesFrame, horizon: number, which: 0 | 1) {
  const lengths = { inputLength: ridgeLength, horizon };
  const parts = partsOf(table, { kind: 'ett' }, lengths);
  const model = scaledBaselines(parts, { ...lengths, season })[which]!;
  const [found] = await measureScaled(parts.scaled, [model], unscaled(parts, lengths));
  return { inputLength: which === 0 ? null : ridgeLength, errors: { mse: found!.mse, mae: found!.mae } };
}

/** Values are in deviations already. */
const unscaled = (parts: Parts, lengths: { inputLength: number; horizon: number }) => ({
  rows: parts.rows,
  deviations: parts.deviations.map(() => 1),
  ...lengths,
});

async function ettModel(table: TimeSeriesFrame, id: string, horizon: number, run: Run) {
  const setting = settingOf(id, findModel(id).capabilities.series);
  const { inputLength, validationRows } = setting;
  const lengths = { inputLength, horizon };
  const parts = partsOf(table, { kind: 'ett' }, lengths);
  const validationSize = Math.max(validationRows, 2 * horizon);
  const frame = takeRows(parts.known, (s) => {
    const { from } = rowsOf(parts.known, s);
    return { from, to: from + parts.rows.train + validationSize };
  });
  const learned = await learn(id, setting, { frame, horizon, validationSize, series: table.ids.length }, run);
  await learned.forecaster.save(savedAt('etth1', horizon, id, run.seed), { overwrite: true });
  const bar = run.terminal.progress(`${id} test`, parts.rows.test - horizon + 1);
  const [found] = await measureScaled(parts.scaled, learned.forecaster.backtestModels(), {
    ...unscaled(parts, lengths),
    on: (done) => bar.update(done),
  });
  bar.done();
  return { inputLength, errors: { mse: found!.mse, mae: found!.mae }, ...learned.steps };
}

async function m4Model(frame: TimeSeriesFrame, id: string, setting: AccuracySetting, run: Run) {
  const { inputLength } = setting;
  const lengths = { inputLength, horizon: m4Horizon };
  const learned = await learn(id, setting, { frame: knownOf(frame, m4Horizon), horizon: m4Horizon, validationSize: setting.validationRows, series: 1 }, run); // prettier-ignore
  await learned.forecaster.save(savedAt('m4', m4Horizon, id, run.seed), { overwrite: true });
  const forecasts = { [id]: await lastForecasts(frame, learned.forecaster.backtestModels()[0]!, lengths) };
  return {
    inputLength,
    errors: m4Errors(scoreM4(frame, forecasts, { horizon: m4Horizon, season }), id),
    ...learned.steps,
  };
}

function m4Errors(scores: ReturnType<typeof scoreM4>, model: string): Record<string, number> {
  const { smape, mase, owa } = scores.find(({ name }) => name === model)!;
  return { smape, mase, owa };
}

/** Steps whose time says how many the budget allows; the first ones warm up. */
const probeSteps = 12;
/** Looks at the validation part at least. */
const checksMin = 8;

async function learn(
  id: string,
  { inputLength, hyperparameters, train }: AccuracySetting,
  { frame, horizon, validationSize, series }: { frame: TimeSeriesFrame; horizon: number; validationSize: number; series: number }, // prettier-ignore
  { seed, budgetSeconds, threads, terminal }: Run,
) {
  const model = findModel(id);
  const choice = {
    name: id,
    model,
    hyperparameters: {
      ...hyperparameters,
      inputLength,
      horizon,
      ...(model.capabilities.series === 'many' && { series }),
    },
  };
  const stepsAsked = train.maxSteps!;
  const probe = new Forecaster({
    models: [choice],
    train: { ...train, threads, maxSteps: probeSteps, patience: -1 },
    seed,
  });
  await probe.fit(frame);
  const stepMs = probe.models[0]!.history.at(-1)!.ms / probeSteps;
  const maxSteps = Math.max(probeSteps, Math.min(stepsAsked, Math.floor((budgetSeconds * 1000) / stepMs)));
  const valCheckSteps = Math.min(train.valCheckSteps!, Math.ceil(maxSteps / checksMin));
  const forecaster = new Forecaster({ models: [choice], train: { ...train, threads, maxSteps, valCheckSteps }, seed });
  const bars = createBars(terminal);
  await forecaster
    .fit(frame, {
      validationSize,
      on: ({ model: name, step, ...losses }) => bars.on({ name, done: step, total: maxSteps, ...losses }),
    }) // prettier-ignore
    .finally(bars.end);
  const { steps, bestStep } = forecaster.models[0]!;
  return { forecaster, steps: { steps, bestStep, ...(maxSteps < stepsAsked && { stepsAsked }) } };
}

/** Weights of the forecasters that are saved, chosen on the validation part, whose forecasts are then measured. */
async function ettEnsemble(table: TimeSeriesFrame, seed: number) {
  const horizon = 96;
  const names = modelOrder.filter((model) => existsSync(savedAt('etth1', horizon, model, seed)));
  const lengths = { inputLength: 720, horizon };
  const parts = partsOf(table, { kind: 'ett' }, lengths);
  const { train, validation } = parts.rows;
  const time = (row: number): number => parts.scaled.time[row]!;
  const bounds = { validation: { from: time(train), to: time(train + validation) }, test: { from: time(train + validation) } }; // prettier-ignore
  const forecasts = async (part: keyof typeof bounds) => {
    const found: Float32Array[] = [];
    let actual = new Float32Array();
    for (const name of names) {
      const models = (await Forecaster.load(savedAt('etth1', horizon, name, seed))).backtestModels();
      const result = await backtest(parts.scaled, models, { ...lengths, step: 1, ...bounds[part] });
      found.push(result.forecasts[name]!);
      actual = result.actual as Float32Array<ArrayBuffer>;
    }
    return { found, actual };
  };
  const judged = await forecasts('validation');
  const weights = weighings.greedy((tried) => mse(judged.actual, weighted(judged.found, tried)), names.length);
  const tested = await forecasts('test');
  const together = weighted(tested.found, weights);
  return {
    inputLength: null,
    errors: { mse: mse(tested.actual, together), mae: mae(tested.actual, together) },
    members: membersOf(names, weights),
  };
}

async function m4Ensemble(frame: TimeSeriesFrame, seed: number) {
  const names = Object.keys(m4Settings).filter((model) => existsSync(savedAt('m4', m4Horizon, model, seed)));
  const given = { horizon: m4Horizon, season };
  const of = async (part: TimeSeriesFrame): Promise<Float32Array[]> => {
    const found: Float32Array[] = [];
    for (const name of names) {
      const forecaster = await Forecaster.load(savedAt('m4', m4Horizon, name, seed));
      found.push(await lastForecasts(part, forecaster.backtestModels()[0]!, forecaster));
    }
    return found;
  };
  const known = knownOf(frame, m4Horizon);
  const judged = await of(known);
  const owaOf = (part: TimeSeriesFrame, ensemble: Float32Array) =>
    m4Errors(scoreM4(part, { ensemble }, given), 'ensemble');
  const weights = weighings.greedy((tried) => owaOf(known, weighted(judged, tried))['owa']!, names.length);
  return {
    inputLength: null,
    errors: owaOf(frame, weighted(await of(frame), weights)),
    members: membersOf(names, weights),
  };
}

const weighted = (forecasts: readonly Float32Array[], weights: readonly number[]): Float32Array => {
  const sum = new Float32Array(forecasts[0]?.length ?? 0);
  for (const [m, values] of forecasts.entries())
    if (weights[m]! > 0) for (let i = 0; i < sum.length; i++) sum[i]! += weights[m]! * values[i]!;
  return sum;
};

const membersOf = (names: readonly string[], weights: readonly number[]): Record<string, number> =>
  Object.fromEntries(names.flatMap((name, i) => (weights[i]! > 0 ? [[name, rounded(weights[i]!)]] : [])));

function tablesOf(rows: readonly AccuracyRow[]): Record<string, object[]> {
  return Object.fromEntries(
    tasks.map((task) => [
      task,
      rows
        .filter((row) => row.task === task)
        .map(({ horizon, model, inputLength, errors, steps, seconds, seed }) => {
          const paper = task === 'etth1' ? published[model]?.[horizon] : undefined;
          return { horizon, model, inputLength, ...errors, paperMse: paper?.mse, paperMae: paper?.mae, steps, seconds, seed }; // prettier-ignore
        }),
    ]),
  );
}

/** Every aim, what is reached (null where it is not measured yet), and whether that is enough. */
function verdicts(rows: readonly AccuracyRow[]) {
  const at96 = rows.filter(({ task, horizon }) => task === 'etth1' && horizon === 96);
  const verdict = (what: string, aim: number, reached: number | undefined) => ({ what, aim: rounded(aim), reached: reached ?? null, met: reached === undefined ? null : reached <= aim }); // prettier-ignore
  const least = (values: readonly number[]): number | undefined =>
    values.length > 0 ? Math.min(...values) : undefined;
  const ours = at96.filter(({ model }) => model !== 'ridge' && model !== 'seasonal naive');
  const best = ours.filter(({ errors }) => errors['mse'] === least(ours.map((row) => row.errors['mse']!)))[0];
  const hourly = rows.filter(
    ({ task, model }) => task === 'm4' && !['ridge', 'naive2', 'seasonal naive'].includes(model),
  );
  return [
    ...Object.entries(aims).flatMap(([model, aim]) =>
      (['mse', 'mae'] as const).map(
        (error) =>
        verdict(`${model}, ${error}`, aim[error], least(at96.filter((row) => row.model === model).map((row) => row.errors[error]!))), // prettier-ignore
      ),
    ),
    ...(['mse', 'mae'] as const).map((error) => verdict(`best of ours (${best?.model ?? '–'}) below ridge, ${error}`, ridgeAim[error], best?.errors[error])), // prettier-ignore
    verdict('M4 Hourly, OWA', owaAim, least(hourly.map(({ errors }) => errors['owa']!))),
  ];
}
