/** `nd train`: a table becomes a folder with a forecaster in it. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { rowsOf, type TimeSeriesFrame } from '../../data/frame.js';
import type { Provider } from '../../engine/port.js';
import { NeuroDivergentError } from '../../errors.js';
import { Forecaster, type FitEvent, type ForecasterOptions, type TrainedModel } from '../../forecaster/forecaster.js';
import type { ScalerName } from '../../models/index.js';
import { dataFlagsText, readData, shellWord, type DataFlags } from '../table.js';
import { assign, parseLoss } from '../setting.js';
import { createTerminal, formatFigure, formatTable, printResult } from '../terminal.js';
import type { OutputFlags, Progress, Terminal } from '../terminal.js';

export interface TrainFlags extends DataFlags, OutputFlags {
  readonly out: string;
  readonly model: readonly string[];
  readonly horizon: number;
  readonly inputLength?: number;
  readonly historic?: readonly string[];
  readonly future?: readonly string[];
  readonly static?: readonly string[];
  readonly set?: readonly string[];
  readonly loss: string;
  readonly scaler: ScalerName;
  readonly maxSteps?: number;
  readonly learningRate?: number;
  readonly batch?: number;
  readonly validation?: number;
  readonly patience?: number;
  readonly checkpointing?: boolean;
  readonly threads?: number;
  readonly provider?: Provider;
  readonly seed: number;
  readonly resume?: boolean;
  readonly overwrite?: boolean;
}

export async function trainCommand(flags: TrainFlags): Promise<void> {
  const { out, seed, resume = false, overwrite = false } = flags;
  const terminal = createTerminal(flags);
  const forecaster = new Forecaster({ ...configured(flags), seed });
  if (!overwrite && existsSync(join(out, 'config.json'))) {
    throw new NeuroDivergentError('ND_FILE_EXISTS', {
      where: out,
      what: 'A forecaster is saved there already.',
      mend: 'Name another folder, or pass --overwrite.',
    });
  }
  const { horizon, inputLength } = forecaster;
  const frame = await readData(flags, {
    terminal,
    minLength: inputLength + horizon + (flags.validation ?? 0),
    covariates: forecaster.columns,
  });
  const validationSize = flags.validation ?? usualValidation(frame, inputLength, horizon);
  terminal.say(
    `${frame.time.length} rows in ${frame.ids.length} series, one every ${frame.frequency}; ` +
      `the last ${validationSize} of each validate. Forecasting ${horizon} from ${inputLength}.`,
  );

  const started = flags.model.some((name) => existsSync(checkpointFile(out, name)));
  if (resume && !started) terminal.say(`There is no checkpoint in ${out}: training begins anew.`);
  if (started && !resume) terminal.say(`The checkpoint in ${out} is replaced; --resume would go on from it.`);
  const bars = createBars(terminal);
  await cancellable(out, (signal) =>
    forecaster.fit(frame, { validationSize, checkpoints: out, resume, signal, on: bars.on }).finally(bars.end),
  );
  await forecaster.save(out, { overwrite });
  const rows = forecaster.models.map(summary);
  for (const { name } of rows) rmSync(checkpointFile(out, name), { force: true });

  printResult(
    flags,
    { out, horizon, inputLength, frequency: frame.frequency, rows: frame.time.length, series: frame.ids.length, validationRows: validationSize, models: rows }, // prettier-ignore
    formatTable(
      ['model', 'validation MAE', 'training loss', 'steps', 'best at', 'ms'],
      rows.map(({ name, validationMae, trainLoss, steps, bestStep, ms }) => [
        name,
        formatFigure(validationMae),
        formatFigure(trainLoss),
        String(steps),
        String(bestStep),
        ms.toFixed(0),
      ]),
    ),
  );
  terminal.say(`\nNext: nd evaluate ${shellWord(out)} ${dataFlagsText(flags)}`);
}

function configured({ model, set, loss, scaler, ...flags }: TrainFlags): Omit<ForecasterOptions, 'seed'> {
  const { models, train } = assign(model, flags, set);
  const { maxSteps, learningRate, batch: windowsBatchSize, patience, checkpointing, threads, provider } = flags;
  const given = { maxSteps, learningRate, windowsBatchSize, patience, checkpointing, threads, provider };
  const options = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const { historic, future, static: fixed } = flags;
  const covariates = { ...(historic && { historic }), ...(future && { future }), ...(fixed && { static: fixed }) };
  return { models, covariates, train: { ...options, ...train, loss: parseLoss(loss), scaler } };
}

/** A tenth of the shortest series, but at least one horizon; none when that leaves too little to learn from. */
function usualValidation(frame: TimeSeriesFrame, inputLength: number, horizon: number): number {
  const lengths = frame.ids.map((_, series) => rowsOf(frame, series).to - rowsOf(frame, series).from);
  const shortest = lengths.reduce((a, b) => Math.min(a, b), Infinity);
  const rows = Math.max(horizon, Math.floor(shortest / 10));
  return shortest - rows >= inputLength + horizon ? rows : 0;
}

const checkpointFile = (out: string, model: string): string => join(out, `${model}.checkpoint.safetensors`);

/** One bar per model, in turn; `end` closes the last one. */
function createBars(terminal: Terminal): { on: (event: FitEvent) => void; end: () => void } {
  let current: { model: string; first: number; note: string; bar: Progress } | undefined;
  const end = (): void => current?.bar.done(current.note);
  return {
    on: ({ model, step, maxSteps, trainLoss, validationLoss }) => {
      if (current?.model !== model) {
        end();
        current = { model, first: trainLoss, note: '', bar: terminal.progress(model, maxSteps) };
      }
      const validation = validationLoss === null ? '' : `, validation ${formatFigure(validationLoss)}`;
      current.note = `loss ${formatFigure(current.first)} → ${formatFigure(trainLoss)}${validation}`;
      current.bar.update(step, current.note);
    },
    end,
  };
}

/** Ctrl-C and SIGTERM end training between two steps; a second one ends the process at once. */
async function cancellable(out: string, work: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
  const controller = new AbortController();
  const cancel = (): void => controller.abort();
  process.once('SIGINT', cancel);
  process.once('SIGTERM', cancel);
  try {
    await work(controller.signal);
  } catch (error) {
    if (!(error instanceof NeuroDivergentError && error.code === 'ND_TRAIN_CANCELLED')) throw error;
    const words = process.argv.slice(2).filter((word) => word !== '--resume');
    throw new NeuroDivergentError('ND_TRAIN_CANCELLED', {
      where: error.where,
      what: `Training was cancelled; a checkpoint is in ${out}.`,
      mend: `Go on with: nd ${words.map(shellWord).join(' ')} --resume`,
      cause: error,
    });
  } finally {
    process.off('SIGINT', cancel);
    process.off('SIGTERM', cancel);
  }
}

function summary({ name, history, steps, bestStep, errors }: TrainedModel) {
  const last = history.at(-1);
  const known = errors?.filter((error) => !Number.isNaN(error));
  return {
    name,
    /** In the unit of the data. */
    validationMae: known && known.length > 0 ? known.reduce((sum, error) => sum + error, 0) / known.length : null,
    validationLoss: history.find(({ step }) => step === bestStep)?.validationLoss ?? null,
    trainLoss: last?.trainLoss ?? null,
    steps,
    bestStep,
    ms: last?.ms ?? 0,
  };
}
