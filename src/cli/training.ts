/** What the commands that train have in common: their flags, how much validates, bars, and how they are stopped. */
import { rowsOf, type TimeSeriesFrame } from '../data/frame.js';
import type { SeriesScalerName } from '../data/series-scaler.js';
import type { Provider } from '../contracts/provider.js';
import { NeuroDivergentError } from '../errors.js';
import type { ForecasterOptions } from '../forecaster/forecaster.js';
import type { ScalerName } from '../models/index.js';
import { assign, parseLoss } from './setting.js';
import { shellWord, type DataFlags } from './table.js';
import { formatFigure, type OutputFlags, type Progress, type Terminal } from './terminal.js';

export interface TrainingFlags extends DataFlags, OutputFlags {
  readonly out: string;
  readonly inputLength?: number;
  readonly historic?: readonly string[];
  readonly future?: readonly string[];
  readonly static?: readonly string[];
  readonly set?: readonly string[];
  readonly loss: string;
  readonly scaler: ScalerName;
  readonly seriesScaler?: SeriesScalerName;
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

/** What `new Forecaster` takes, from the flags. Models that forecast series from each other take so many, unless they are told. */
export function configured(
  model: readonly string[],
  horizon: number,
  { set, loss, scaler, seriesScaler, ...flags }: Omit<TrainingFlags, 'out'>,
  series = 1,
): Omit<ForecasterOptions, 'seed'> {
  const { models, train } = assign(model, { ...flags, horizon, series }, set);
  const { maxSteps, learningRate, batch: windowsBatchSize, patience, checkpointing, threads, provider } = flags;
  const given = { maxSteps, learningRate, windowsBatchSize, patience, checkpointing, threads, provider };
  const options = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const { historic, future, static: fixed } = flags;
  const covariates = { ...(historic && { historic }), ...(future && { future }), ...(fixed && { static: fixed }) };
  return { models, covariates, train: { ...options, ...train, loss: parseLoss(loss), scaler, seriesScaler } };
}

/** A tenth of the shortest series, but at least one horizon; none when that leaves too little to learn from. */
export function usualValidation(frame: TimeSeriesFrame, inputLength: number, horizon: number): number {
  const lengths = frame.ids.map((_, series) => rowsOf(frame, series).to - rowsOf(frame, series).from);
  const shortest = lengths.reduce((a, b) => Math.min(a, b), Infinity);
  const rows = Math.max(horizon, Math.floor(shortest / 10));
  return shortest - rows >= inputLength + horizon ? rows : 0;
}

/** One bar after the other; `end` closes the last one. */
export function createBars(terminal: Terminal): {
  on: (event: BarEvent) => void;
  end: () => void;
} {
  let current: { name: string; first: number; note: string; bar: Progress } | undefined;
  const end = (): void => current?.bar.done(current.note);
  return {
    on: ({ name, done, total, trainLoss, validationLoss = null }) => {
      if (current?.name !== name) {
        end();
        current = {
          name,
          first: trainLoss ?? Number.NaN,
          note: `${total} windows`,
          bar: terminal.progress(name, total),
        };
      }
      const validation = validationLoss === null ? '' : `, validation ${formatFigure(validationLoss)}`;
      if (trainLoss !== undefined)
        current.note = `loss ${formatFigure(current.first)} → ${formatFigure(trainLoss)}${validation}`;
      current.bar.update(done, current.note);
    },
    end,
  };
}

/** Of a model that learns, or, without a loss, of one that forecasts windows. */
interface BarEvent {
  readonly name: string;
  readonly done: number;
  readonly total: number;
  readonly trainLoss?: number;
  readonly validationLoss?: number | null;
}

/** Ctrl-C and SIGTERM end training between two steps; a second one ends the process at once. */
export async function cancellable<T>(out: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const cancel = (): void => controller.abort();
  process.once('SIGINT', cancel);
  process.once('SIGTERM', cancel);
  try {
    return await work(controller.signal);
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
