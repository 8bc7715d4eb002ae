/** The public face: give it models and a frame, it learns, forecasts, backtests, saves and loads. */
import { join } from 'node:path';
import { z } from 'zod';
import {
  appendFuture,
  covariateKinds,
  covariateNames,
  covariatesOf,
  makeFuture,
  type CovariateColumns,
} from '../data/covariates.js';
import { rowsOf, tail, takeRows, type TimeSeriesFrame } from '../data/frame.js';
import { fitSeriesScaler, type SeriesScalerName } from '../data/series-scaler.js';
import { createBatch, gatherWindows, latestWindows, seriesPerWindow } from '../data/windows.js';
import { NeuroDivergentError } from '../errors.js';
import { backtest, type Backtest, type BacktestModel } from '../evaluate/backtest.js';
import type { Pass } from '../graph/index.js';
import { createLoss } from '../losses/index.js';
import { scalerNames, seriesTogether, type ForecastSpec, type Model, type ScalerName } from '../models/index.js';
import type { HistoryRecord } from '../train/checkpoint.js';
import { trainSettings, type TrainOptions, type TrainSettings } from '../train/defaults.js';
import { fitModel, type Teaching } from '../train/fit.js';
import type { TrainProgress } from '../train/trainer.js';
import type { ModelChoice } from './choice.js';
import { namedColumns } from './column.js';
import type { Trained } from './compile.js';
import { backtestModel, batchWindows, createRunner, taskOf, validationErrors } from './runner.js';
import { loadForecaster, lossConfig, modelName, saveForecaster, type LossConfig } from './store.js';

export interface ForecasterOptions {
  readonly models: readonly ModelChoice[];
  /** Columns of the frame that models read beside the target, unless they have their own; hyperparameters of these names count them. */
  readonly covariates?: CovariateColumns;
  readonly train?: Omit<TrainOptions, 'seed'> & {
    /** A name, or a name with options: `mae` (default), `{ name: 'mq', levels: [80, 90] }`. */
    readonly loss?: string | LossConfig;
    /** How each window is scaled inside the graph; `robust` by default. */
    readonly scaler?: ScalerName;
    /** How whole series are scaled before that, by what the training part tells of each; not at all by default. */
    readonly seriesScaler?: SeriesScalerName | undefined;
  };
  /** What every frame must have, such as `5min`; that of the frame `fit` was given when left out. */
  readonly frequency?: string;
  readonly seed?: number;
}

/** A model that has learned, and how it went. */
export interface TrainedModel extends Trained {
  readonly name: string;
  readonly spec: ForecastSpec;
  readonly lossConfig: LossConfig;
  readonly settings: TrainSettings;
  readonly values: Readonly<Record<string, Float32Array>>;
  readonly history: readonly HistoryRecord[];
  readonly steps: number;
  /** The step the weights are from. */
  readonly bestStep: number;
  /** Absolute errors on the validation part, [windows, horizon], NaN where nothing was observed. */
  readonly errors: Float32Array | undefined;
}

export type FitEvent = TrainProgress & { readonly model: string };

export interface FitOptions {
  /** The last rows of each series: to stop in time, and for intervals. 0 by default: none. */
  readonly validationSize?: number;
  readonly on?: (event: FitEvent) => void;
  readonly signal?: AbortSignal;
  /** A folder for `<model>.checkpoint.safetensors`. */
  readonly checkpoints?: string;
  /** Go on from the checkpoints of a run that was stopped. */
  readonly resume?: boolean;
  /** Train on this thread instead of a worker. */
  readonly inProcess?: boolean;
  /** What a teacher adds, see `distill`. */
  readonly teaching?: Teaching;
  /** Rewrites what is trained, see `quantizationAware`. */
  readonly forward?: Pass;
  /** Weights to begin with, by model. */
  readonly start?: Readonly<Record<string, Readonly<Record<string, Float32Array>>>>;
}

/** Forecasts in long format: `horizon` rows per series. */
export interface Forecasts {
  readonly ids: readonly string[];
  readonly horizon: number;
  /** [series · horizon], milliseconds UTC */
  readonly time: Float64Array;
  /** Each [series · horizon]: `nhits`, `nhits-lo-90`, `nhits-hi-90`, `nhits-ql0.1`. */
  readonly columns: Readonly<Record<string, Float32Array>>;
}

export interface PredictOptions {
  /** The past: at least `inputLength` rows of each series. */
  readonly frame: TimeSeriesFrame;
  /** The future columns for the `horizon` steps that come next (see `makeFuture`); its target is not read. */
  readonly future?: TimeSeriesFrame;
  /** Intervals in percent, such as [80, 90]. */
  readonly levels?: readonly number[];
}

export interface CrossValidationOptions extends Omit<
  FitOptions,
  'checkpoints' | 'resume' | 'teaching' | 'forward' | 'start'
> {
  /** Forecasts per series, the last one ending with the series; 5 by default. */
  readonly windows?: number;
  /** Steps between two of them; one horizon by default. */
  readonly step?: number;
  /** Learn anew before each of them instead of once before the first. */
  readonly refit?: boolean;
}

export class Forecaster {
  /** Steps every model forecasts. */
  readonly horizon: number;
  /** Steps of the past that the model which sees farthest needs. */
  readonly inputLength: number;
  /** Columns of a frame that the models read beside the target. */
  readonly columns: readonly string[];
  /** Those of them that `predict` wants of the horizon, too. */
  readonly columnsAhead: readonly string[];
  #members: readonly Omit<TrainedModel, 'values' | 'history' | 'steps' | 'bestStep' | 'errors'>[];
  readonly #seriesScaler: SeriesScalerName | undefined;
  readonly #seed: number;
  #frequency: string | undefined;
  #trained: readonly TrainedModel[] = [];

  /** Throws `ND_HYPERPARAMETER` and `ND_CONFIG_…`, before anything is trained. */
  constructor({
    models,
    covariates = {},
    train: { loss = 'mae', scaler = 'robust', seriesScaler, ...options } = {},
    frequency,
    seed = 1,
  }: ForecasterOptions) {
    const config = typeof loss === 'string' ? { name: loss } : lossConfig.parse(loss);
    if (!scalerNames.includes(scaler)) {
      throw new NeuroDivergentError('ND_CONFIG_OUT_OF_RANGE', {
        where: 'train.scaler',
        what: `There is no scaler "${String(scaler)}".`,
        mend: `Use one of ${scalerNames.join(', ')}.`,
      });
    }
    const names = models.map(({ name }) => name);
    const repeated = names.find((name, i) => names.indexOf(name) !== i);
    const badName = z.array(modelName).min(1).safeParse(names);
    if (!badName.success || repeated !== undefined) {
      throw new NeuroDivergentError('ND_CONFIG_CONFLICT', {
        where: 'models',
        what:
          repeated === undefined
            ? `The names [${names.join(', ')}] cannot be used.`
            : `Two models are called ${repeated}.`,
        mend: 'Give at least one model, and each a name of its own of letters, digits, - and _.',
      });
    }
    this.#members = models.map(({ name, model, hyperparameters, covariates: columns = covariates }) => {
      const { name: lossName, ...lossOptions } = config;
      const created = createLoss(lossName, lossOptions);
      const spec: ForecastSpec = {
        model,
        hyperparameters: model.parse({
          ...hyperparameters,
          ...countsOf(model, hyperparameters, columns),
          outputs: created.outputs,
        }),
        loss: created,
        scaler,
        columns,
      };
      return { name, spec, lossConfig: config, settings: trainSettings(model.id, { ...options, seed }) };
    });
    const tasks = this.#members.map(({ spec }) => taskOf(spec));
    this.horizon = tasks[0]!.horizon;
    this.inputLength = Math.max(...tasks.map(({ inputLength }) => inputLength));
    if (tasks.some(({ horizon }) => horizon !== this.horizon)) {
      throw new NeuroDivergentError('ND_CONFIG_HORIZON_MISMATCH', {
        where: 'models',
        what: `The horizons are ${tasks.map(({ horizon }, i) => `${names[i]} ${horizon}`).join(', ')}.`,
        mend: 'Give all models of a forecaster the same horizon.',
      });
    }
    this.columnsAhead = [...new Set(this.#members.flatMap(({ spec }) => spec.columns?.future ?? []))];
    this.columns = [...new Set(this.#members.flatMap(({ spec }) => covariateNames(spec.columns ?? {})))];
    this.#seriesScaler = seriesScaler;
    this.#seed = seed;
    this.#frequency = frequency;
  }

  /** Learns from a frame, model after model. Throws `ND_TRAIN_…`, `ND_CONFIG_SERIES_COUNT`. */
  async fit(frame: TimeSeriesFrame, options: FitOptions = {}): Promise<this> {
    this.#checkFrequency(frame);
    const { validationSize = 0, on, signal, checkpoints, resume, inProcess, teaching, forward, start } = options;
    const trained: TrainedModel[] = [];
    const learnedFrom =
      this.#seriesScaler &&
      takeRows(frame, (s) => ({ from: rowsOf(frame, s).from, to: rowsOf(frame, s).to - validationSize }));
    for (const one of this.#members) {
      const member = learnedFrom ? withScaler(one, learnedFrom, this.#seriesScaler) : one;
      const { name, spec, settings } = member;
      const { values, history, steps, bestStep } = await fitModel({
        spec,
        frame,
        settings,
        validationSize,
        signal,
        resume,
        inProcess,
        teaching,
        forward,
        start: start?.[name],
        on: on && ((progress) => on({ ...progress, model: name })),
        checkpoint: checkpoints && join(checkpoints, `${name}.checkpoint.safetensors`),
      });
      const learned: TrainedModel = { ...member, values, history, steps, bestStep, errors: undefined };
      trained.push(
        validationSize > 0 ? { ...learned, errors: await validationErrors(learned, frame, validationSize) } : learned,
      );
    }
    this.#frequency ??= frame.frequency;
    this.#trained = trained;
    return this;
  }

  /** What the models are made of, learned or not. */
  get specs(): readonly ForecastSpec[] {
    return this.#members.map(({ spec }) => spec);
  }

  /** Every model that has learned. */
  get models(): readonly TrainedModel[] {
    return this.#trained;
  }

  /** The trained model of this name. Throws `ND_PREDICT_NOT_FITTED` or `ND_MODEL_UNKNOWN`. */
  model(name: string): TrainedModel {
    const found = this.#fitted().find((model) => model.name === name);
    if (found !== undefined) return found;
    throw new NeuroDivergentError('ND_MODEL_UNKNOWN', {
      where: name,
      what: 'This forecaster has no such model.',
      mend: `It has ${this.#trained.map((model) => model.name).join(', ')}.`,
    });
  }

  /**
   * Forecasts what comes after the last row of each series. Throws `DataError` for series that are too short and for rows
   * that the future lacks, `ND_CONFIG_SERIES_COUNT`.
   */
  async predict({ frame, future, levels = [] }: PredictOptions): Promise<Forecasts> {
    this.#checkFrequency(frame);
    const { horizon } = this;
    const columns: Record<string, Float32Array> = {};
    for (const model of this.#fitted()) {
      const { inputLength } = taskOf(model.spec);
      const together = seriesTogether(model.spec);
      const { columns: read = {} } = model.spec;
      const ahead = read.future?.length ? horizon : 0;
      const latest = tail(frame, inputLength);
      const shown = ahead > 0 ? appendFuture(latest, horizon, read.future!, future) : latest;
      const covariates = covariatesOf(shown, read);
      const windows = latestWindows(shown, { inputLength, horizon, together, ahead, ...covariates });
      const batch = createBatch(windows, Math.min(batchWindows, windows.count));
      const runner = await createRunner(model);
      const perWindow = seriesPerWindow(windows) * horizon * runner.columns;
      const rows = new Float32Array(windows.count * perWindow);
      for (let from = 0; from < windows.count; from += batchWindows) {
        const count = Math.min(batchWindows, windows.count - from);
        gatherWindows(
          windows,
          Array.from({ length: count }, (_, i) => from + i),
          batch,
        );
        rows.set(runner.run(batch, count), from * perWindow);
      }
      runner.close();
      Object.assign(columns, namedColumns(model, rows, levels));
    }
    return { ids: frame.ids, horizon, time: makeFuture(frame, horizon).time, columns };
  }

  /** The trained models as `backtest` takes them, for a comparison beside others. */
  backtestModels(): BacktestModel[] {
    return this.#fitted().map(backtestModel);
  }

  /**
   * Learns from the rows before the first forecast only (or before each, with `refit`), then forecasts the last
   * `windows` stretches of each series. What this forecaster has learned before is not used and not touched.
   */
  async crossValidation(
    frame: TimeSeriesFrame,
    { windows = 5, step = this.horizon, refit = false, ...options }: CrossValidationOptions = {},
  ): Promise<Backtest> {
    this.#checkFrequency(frame);
    const models = this.#members.map(({ name, spec }): BacktestModel => {
      let fitted: BacktestModel | undefined;
      return {
        name,
        fit: async (train) => {
          const copy = this.#only(name);
          await copy.fit(train, options);
          fitted = copy.backtestModels()[0]!;
        },
        inputLength: taskOf(spec).inputLength,
        together: seriesTogether(spec),
        get columns() {
          return fitted?.columns ?? spec.columns;
        },
        predict: (batch, count) => fitted!.predict(batch, count),
      };
    });
    return backtest(frame, models, { inputLength: this.inputLength, horizon: this.horizon, windows, step, refit });
  }

  /** Writes a folder that `Forecaster.load` reads. Throws `ND_FILE_EXISTS` unless `overwrite` is set. */
  async save(dir: string, options: { overwrite?: boolean } = {}): Promise<void> {
    saveForecaster(dir, { seed: this.#seed, frequency: this.#frequency!, models: this.#fitted() }, options);
  }

  /** Reads what `save` wrote; evaluates nothing. Throws `ND_FILE_NOT_FOUND`, `ND_FILE_CORRUPT`, `ND_FILE_VERSION`. */
  static async load(dir: string): Promise<Forecaster> {
    const { seed, frequency, models } = loadForecaster(dir);
    const forecaster = new Forecaster({
      models: models.map(choiceOf),
      train: {
        loss: models[0]!.lossConfig,
        scaler: models[0]!.spec.scaler,
        seriesScaler: models[0]!.spec.columns?.scaler?.kind,
      },
      frequency,
      seed,
    });
    forecaster.#members = models;
    forecaster.#trained = models;
    return forecaster;
  }

  #fitted(): readonly TrainedModel[] {
    if (this.#trained.length > 0) return this.#trained;
    throw new NeuroDivergentError('ND_PREDICT_NOT_FITTED', {
      where: 'forecaster',
      what: 'Nothing has been learned yet.',
      mend: 'Call `fit` first, or load a forecaster that was saved.',
    });
  }

  /** The same set-up with one of the models, untrained. */
  #only(name: string): Forecaster {
    const { spec, lossConfig: loss, settings } = this.#members.find((member) => member.name === name)!;
    const { seed, ...options } = settings;
    return new Forecaster({
      models: [choiceOf({ name, spec })],
      train: { ...options, loss, scaler: spec.scaler, seriesScaler: this.#seriesScaler },
      seed,
    });
  }

  #checkFrequency(frame: TimeSeriesFrame): void {
    if (this.#frequency === undefined || this.#frequency === frame.frequency) return;
    throw new NeuroDivergentError('ND_CONFIG_CONFLICT', {
      where: 'frequency',
      what: `The frame has one row every ${frame.frequency}, this forecaster works with ${this.#frequency}.`,
      mend: 'Resample the data to that frequency.',
    });
  }
}

/** The same with the shifts and scales of every series of a frame. */
function withScaler<M extends Pick<TrainedModel, 'spec'>>(
  member: M,
  frame: TimeSeriesFrame,
  kind: SeriesScalerName,
): M {
  const { columns = {} } = member.spec;
  const names = ['target', ...new Set([...(columns.historic ?? []), ...(columns.future ?? [])])];
  return { ...member, spec: { ...member.spec, columns: { ...columns, scaler: fitSeriesScaler(frame, kind, names) } } };
}

/** What a model was made from. */
const choiceOf = ({ name, spec }: Pick<TrainedModel, 'name' | 'spec'>): ModelChoice => ({
  name,
  model: spec.model,
  hyperparameters: spec.hyperparameters,
  ...(spec.columns && { covariates: spec.columns }),
});

/** How many columns of each kind a model reads. Throws `ND_CONFIG_COVARIATES_UNSUPPORTED`, `ND_CONFIG_CONFLICT`. */
function countsOf(
  { id, capabilities }: Model,
  hyperparameters: Readonly<Record<string, unknown>>,
  covariates: CovariateColumns,
): Record<string, number> {
  const counts = Object.fromEntries(covariateKinds.map((kind) => [kind, covariates[kind]?.length ?? 0]));
  const unused = covariateKinds.filter((kind) => counts[kind]! > 0 && !capabilities.covariates.includes(kind));
  if (unused.length > 0) {
    throw new NeuroDivergentError('ND_CONFIG_COVARIATES_UNSUPPORTED', {
      where: `${id}: ${unused.flatMap((kind) => covariates[kind]!).join(', ')}`,
      what: `${id} reads ${capabilities.covariates.length > 0 ? `${capabilities.covariates.join(' and ')} columns, but no ${unused.join(' and no ')} ones` : 'the target alone'}.`,
      mend: 'Leave the columns out, or choose a model that reads them; `nd models` says which do.',
    });
  }
  const counted = covariateKinds.find((kind) => (hyperparameters[kind] ?? counts[kind]) !== counts[kind]);
  if (counted === undefined) return counts;
  throw new NeuroDivergentError('ND_CONFIG_CONFLICT', {
    where: `${id}.${counted}`,
    what: `It is set to ${String(hyperparameters[counted])}, and \`covariates\` names ${counts[counted]} ${counted} columns.`,
    mend: `Leave the hyperparameter out, and name the columns: \`covariates: { ${counted}: ['…'] }\`.`,
  });
}
