/** `nd evaluate --protocol`: train on the training part, measure on the test part, as the papers do. */
import { readHeaderNames, columnNames } from '../../data/csv.js';
import { rowsOf, type TimeSeriesFrame } from '../../data/frame.js';
import { isRowPerSeries, readRowPerSeries, seriesFromColumns } from '../../data/wide.js';
import { NeuroDivergentError } from '../../errors.js';
import type { BacktestModel } from '../../evaluate/backtest.js';
import {
  formatM4,
  formatScaled,
  knownOf,
  lastForecasts,
  measureScaled,
  parseProtocol,
  partsOf,
  ridgeM4,
  scaledBaselines,
  scoreM4,
  type Protocol,
} from '../../evaluate/protocol.js';
import { Forecaster } from '../../forecaster/forecaster.js';
import { readData } from '../table.js';
import { createTerminal, printResult, type Terminal } from '../terminal.js';
import { configured, createBars, type TrainingFlags } from '../training.js';

export interface ProtocolFlags extends Omit<TrainingFlags, 'out' | 'resume' | 'overwrite'> {
  readonly protocol: string;
  readonly model: readonly string[];
  readonly horizon?: number;
  readonly testData?: string;
  readonly season?: number;
}

const usage = (what: string, mend: string): NeuroDivergentError =>
  new NeuroDivergentError('ND_CLI_USAGE', { where: 'evaluate', what, mend });

/** Of a forecaster as it is, or, without a folder, of models that learn from the training part. */
export async function evaluateByProtocol(
  folder: string | undefined,
  flags: ProtocolFlags,
  seasonOf: (frame: TimeSeriesFrame, room: number) => number,
): Promise<void> {
  const terminal = createTerminal(flags);
  const protocol = parseProtocol(flags.protocol);
  if (flags.validation !== undefined && protocol.kind !== 'm4')
    throw usage(`${flags.protocol} says itself how many rows validate.`, 'Leave --validation out.');
  const trained = folder === undefined ? undefined : await Forecaster.load(folder);
  const horizon = trained?.horizon ?? flags.horizon;
  if (horizon === undefined) throw usage('It is not said how many steps are forecast.', 'Pass --horizon, or the folder of a forecaster.'); // prettier-ignore
  const untrained = (series: number): Forecaster => new Forecaster({ ...configured(flags.model, horizon, flags, series), seed: flags.seed }); // prettier-ignore
  const { inputLength, columns } = trained ?? untrained(1); // before anything is read
  const minLength = inputLength + horizon;
  const table = await readTable(flags, protocol, { terminal, minLength, covariates: columns });
  const shortest = table.ids.reduce((least, _, s) => Math.min(least, rowsOf(table, s).to - rowsOf(table, s).from), Infinity); // prettier-ignore
  const season = Math.max(1, Math.min(flags.season ?? seasonOf(table, shortest - horizon), shortest - horizon));
  if (trained) terminal.say('The forecaster is measured as it is: what it learned from must lie before the test part.');

  const learn = async (known: TimeSeriesFrame, validationSize: number): Promise<BacktestModel[]> => {
    const forecaster = untrained(known.ids.length);
    const bars = createBars(terminal);
    await forecaster
      .fit(known, {
        validationSize,
        on: ({ model, step, maxSteps, ...losses }) => bars.on({ name: model, done: step, total: maxSteps, ...losses }),
      })
      .finally(bars.end);
    return forecaster.backtestModels();
  };
  const lengths = { inputLength, horizon };
  const task = { protocol: flags.protocol, ...lengths, season, series: table.ids.length };

  if (protocol.kind === 'm4') {
    const models = trained?.backtestModels() ?? (await learn(knownOf(table, horizon), flags.validation ?? 0));
    const forecasts: Record<string, Float32Array> = { ridge: await ridgeM4(table, lengths) };
    for (const model of models) forecasts[model.name] = await lastForecasts(table, model, lengths);
    const rows = scoreM4(table, forecasts, { horizon, season });
    return printResult(flags, { ...task, models: rows }, formatM4(rows));
  }
  const parts = partsOf(table, protocol, lengths);
  const { train, validation, test } = parts.rows;
  terminal.say(`Of each series ${train} rows train, ${validation} validate, ${test} test.`);
  const models = trained?.backtestModels() ?? (await learn(parts.known, validation));
  const measure = async (
    label: string,
    on: typeof parts.frame,
    those: readonly BacktestModel[],
    deviations: readonly number[],
  ) => {
    // prettier-ignore
    const bar = terminal.progress(label, test - horizon + 1);
    const found = await measureScaled(on, those, { rows: parts.rows, deviations, ...lengths, on: (done) => bar.update(done) }); // prettier-ignore
    bar.done();
    return found;
  };
  const one = parts.deviations.map(() => 1);
  const rows = [
    ...(await (trained ? measure('models', parts.frame, models, parts.deviations) : measure('models', parts.scaled, models, one))), // prettier-ignore
    ...(await measure('baselines', parts.scaled, scaledBaselines(parts, { ...lengths, season }), one)),
  ];
  const windows = (test - horizon + 1) * table.ids.length;
  printResult(flags, { ...task, rows: parts.rows, windows, models: rows }, formatScaled(rows));
}

/** A long table, M4's files, or, where no column is named as the target, a table of one column for each series. */
async function readTable(
  flags: ProtocolFlags,
  protocol: Protocol,
  options: { terminal: Terminal; minLength: number; covariates: readonly string[] },
): Promise<TimeSeriesFrame> {
  if (flags.data === '-' || flags.target !== undefined) return readData(flags, options);
  const header = readHeaderNames(flags.data);
  if (protocol.kind === 'm4' && isRowPerSeries(header)) {
    const { frame, testRows } = readRowPerSeries(flags.data, flags.testData);
    const horizon = flags.horizon ?? options.minLength;
    if (flags.testData !== undefined && testRows < horizon && flags.horizon !== undefined)
      throw usage(`${flags.testData} has ${testRows} values of a series.`, `Pass --horizon ${testRows}.`);
    return frame;
  }
  const usual = (kind: 'time' | 'target') => (name: string) => (columnNames[kind] as readonly string[]).includes(name.toLowerCase()); // prettier-ignore
  const time = flags.time ?? header.find(usual('time'));
  const [target, ...others] = header.filter((name) => name !== time);
  if (flags.series !== undefined || target === undefined || header.some(usual('target')))
    return readData(flags, options);
  options.terminal.say(`No column is called target: ${[target, ...others].join(', ')} are a series each.`);
  const frame = await readData({ ...flags, target }, { ...options, covariates: others });
  return seriesFromColumns(frame, target, others);
}
