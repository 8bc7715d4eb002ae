/** From a model and a frame to trained weights. */
import { covariatesOf } from '../data/covariates.js';
import { rowsOf, shareFrame, type TimeSeriesFrame } from '../data/frame.js';
import { createWindows, type Windows } from '../data/windows.js';
import { createOrtEngine } from '../engine/ort.js';
import { NeuroDivergentError } from '../errors.js';
import type { Pass } from '../graph/index.js';
import { targetRanges, type Loss } from '../losses/index.js';
import { seriesTogether, type ForecastSpec } from '../models/assemble.js';
import type { TrainSettings } from './defaults.js';
import { planTraining } from './plan.js';
import { trainInWorker } from './train-in-worker.js';
import { train, type TrainHooks, type TrainJob, type TrainResult } from './trainer.js';

/** What a teacher adds to the lesson. */
export interface Teaching {
  /** What is learned from, instead of the rows before the validation part. */
  readonly frame: TimeSeriesFrame;
  /** Rows before each forecast that the teacher reads; there is no lesson where they are missing. */
  readonly inputLength: number;
  /** Numbers per step that it forecasts. */
  readonly columns: number;
  /** Of the student, with what the teacher says. */
  readonly loss: (loss: Loss) => Loss;
  /** [windows, columns·horizon, series], column by column. */
  readonly forecasts: (windows: Windows) => Promise<Float32Array>;
}

export interface FitJob extends Pick<TrainJob, 'start' | 'checkpoint' | 'resume'>, Omit<TrainHooks, 'engine'> {
  readonly spec: ForecastSpec;
  readonly frame: TimeSeriesFrame;
  readonly settings: TrainSettings;
  /** The last rows of each series: not learned from, but looked at to stop in time. 0 for none. */
  readonly validationSize?: number | undefined;
  readonly teaching?: Teaching | undefined;
  /** See `ForecastSpec.forward`. */
  readonly forward?: Pass | undefined;
  /** On this thread instead of a worker: for tests, and where there are no threads. */
  readonly inProcess?: boolean | undefined;
}

/** Trains one model. Throws `ND_TRAIN_NO_WINDOW`, `ND_CONFIG_SERIES_COUNT`, `ND_CONFIG_PATIENCE_NEEDS_VALIDATION`, `ND_CONFIG_LOSS_MISMATCH` and what `train` throws. */
export async function fitModel({
  spec,
  frame,
  settings,
  validationSize = 0,
  teaching,
  forward,
  inProcess = false,
  start,
  checkpoint,
  resume,
  on,
  signal,
}: FitJob): Promise<TrainResult> {
  const { inputLength, horizon } = spec.hyperparameters as { inputLength: number; horizon: number };
  const together = seriesTogether(spec);
  if (settings.patience >= 0 && validationSize === 0) {
    throw new NeuroDivergentError('ND_CONFIG_PATIENCE_NEEDS_VALIDATION', {
      where: 'train.patience',
      what: 'There is no validation part to lose patience with.',
      mend: `Set \`validationSize\` to at least ${horizon} rows, or \`patience\` to -1.`,
    });
  }
  // Both parts are windows of one frame, which the worker reads where it lies: ten million rows are there once.
  const data = inProcess ? frame : shareFrame(frame);
  refuseTarget(spec.loss.name, data);
  const covariates = covariatesOf(data, spec.columns ?? {});
  const held = (series: number): number =>
    Math.max(rowsOf(data, series).from, rowsOf(data, series).to - validationSize);
  const parts = {
    train: (series: number) => ({ from: rowsOf(data, series).from, to: held(series) }),
    validation: (series: number) => ({
      from: Math.max(rowsOf(data, series).from, held(series) - inputLength),
      to: rowsOf(data, series).to,
    }),
  };
  const windowsOf = (
    rows: typeof parts.train,
    step: number,
    minAvailable: number,
    name: string,
    from = data,
  ): Windows => {
    const windows = createWindows(from, { inputLength, horizon, step, minAvailable, rows, together, ...covariates });
    if (windows.count > 0) return windows;
    throw new NeuroDivergentError('ND_TRAIN_NO_WINDOW', {
      where: name,
      what: `No series has ${inputLength} + ${horizon} rows there that are observed well enough; the frame has ${frame.time.length} rows in ${frame.ids.length} series.`,
      mend: 'Give more rows, shorten `inputLength` or `horizon`, or change `validationSize`.',
    });
  };
  const learned = (): Windows => {
    const { windowStep, minAvailable } = settings;
    if (teaching === undefined) return windowsOf(parts.train, windowStep, minAvailable, 'training part');
    const seen = inProcess ? teaching.frame : shareFrame(teaching.frame);
    const unseen = Math.max(0, teaching.inputLength - inputLength);
    const rows = (series: number) => ({ from: rowsOf(seen, series).from + unseen, to: rowsOf(seen, series).to });
    return windowsOf(rows, windowStep, minAvailable, 'training part', seen);
  };
  const untaught = learned();
  const windows: Windows = teaching
    ? { ...untaught, teacher: { columns: teaching.columns, values: await teaching.forecasts(untaught) } }
    : untaught;
  const validation = validationSize > 0 ? windowsOf(parts.validation, 1, 0, 'validation part') : undefined;
  const lesson = teaching ? { ...spec, loss: teaching.loss(spec.loss), teacherColumns: teaching.columns } : spec;
  const plan = planTraining(forward ? { ...lesson, forward } : lesson, {
    batch: Math.min(settings.windowsBatchSize, windows.count),
    seed: settings.seed,
    precision: settings.precision,
    validated: validation !== undefined,
    checkpointing: settings.checkpointing,
  });
  const prompt = spec.model.prompt?.(spec.hyperparameters);
  const job: TrainJob = { plan, windows, validation, settings, start, checkpoint, resume, prompt };
  return inProcess ? train(job, { engine: createOrtEngine(), on, signal }) : trainInWorker(job, { on, signal });
}

/** A distribution that cannot give an observed value would have a loss without end. */
function refuseTarget(loss: string, { ids, offsets, columns: { target }, available }: TimeSeriesFrame): void {
  const range = targetRanges[loss];
  if (range === undefined) return;
  const { least, most } = range;
  const outside = (row: number): boolean => available[row] === 1 && (target[row]! < least || target[row]! > most);
  const first = available.findIndex((_, row) => outside(row));
  if (first < 0) return;
  const series = offsets.findLastIndex((offset) => offset <= first);
  throw new NeuroDivergentError('ND_CONFIG_LOSS_MISMATCH', {
    where: loss,
    what: `It takes values ${most === Infinity ? `from ${least} on` : `from ${least} to ${most}`}; row ${first - offsets[series]! + 1} of series ${ids[series]} is ${target[first]}.`,
    mend: 'Take a loss for any value, such as normal or mq, or correct the data.',
  });
}
