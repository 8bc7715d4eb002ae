/**
 * Teaches a small model what large ones know. The student learns from the truth and from the teacher's forecasts, and is
 * held against the same student without a teacher, seed by seed.
 */
import { join } from 'node:path';
import { splitFrame } from '../data/split.js';
import type { TimeSeriesFrame } from '../data/frame.js';
import type { Windows } from '../data/windows.js';
import { NeuroDivergentError } from '../errors.js';
import { forecastWindows } from '../evaluate/backtest.js';
import { mae, mse } from '../evaluate/metrics.js';
import type { ModelChoice } from '../forecaster/choice.js';
import { Forecaster, type FitOptions, type ForecasterOptions, type TrainedModel } from '../forecaster/forecaster.js';
import { backtestModel } from '../forecaster/runner.js';
import { seriesTogether } from '../models/index.js';
import { quantizationAware } from '../quantize/index.js';
import type { Teaching } from '../train/fit.js';
import { weighings } from './ensemble.js';
import { withExtraWindows } from './extra.js';
import { createLesson, validationWindows, weighted, type Lesson } from './lesson.js';
import { pairColumns, taughtLoss } from './loss.js';
import { judgeStudents, type DistillReport, type Metric } from './report.js';
import { distillSettings, type DistillInput, type DistillSettings } from './settings.js';
import { modelTeacher, type Teacher } from './teacher.js';

export { onnxTeacher } from './onnx-teacher.js';
export { type DistillReport } from './report.js';
export { type DistillInput } from './settings.js';
export { modelTeacher, type Teacher } from './teacher.js';

/** What is going on: a teacher forecasts, or a student learns: alone, taught, or taught with INT8 in mind. */
export interface DistillEvent {
  readonly stage: 'teacher' | 'alone' | 'taught' | 'aware';
  /** The teacher's name; a student's with its seed. */
  readonly name: string;
  readonly done: number;
  readonly total: number;
  /** Of a student. */
  readonly trainLoss?: number;
  readonly validationLoss?: number | null;
}

export interface DistillOptions extends DistillInput, Pick<ForecasterOptions, 'covariates' | 'train'> {
  /** Forecasters, whose models all teach, or teachers of other kinds. */
  readonly teacher: Forecaster | Teacher | readonly (Forecaster | Teacher)[];
  readonly student: ModelChoice;
  readonly frame: TimeSeriesFrame;
  /** The last rows of each series: teachers are weighed, students chosen and both judged on them. */
  readonly validationSize: number;
  /** Of the first student; the others count up. */
  readonly seed?: number;
  /** Let the student that is kept learn on with INT8 in its forward pass, the teacher still in the loss. */
  readonly aware?: boolean;
  /** A folder for the teachers' forecasts, to be found there next time. */
  readonly cache?: string;
  /** A folder for the checkpoints of the students. */
  readonly checkpoints?: string;
  /** Go on from them. */
  readonly resume?: boolean;
  readonly on?: (event: DistillEvent) => void;
  readonly signal?: AbortSignal;
  readonly inProcess?: boolean;
}

export interface Distilled {
  /** With the taught student that is best on the validation part. */
  readonly forecaster: Forecaster;
  readonly report: DistillReport;
  /** The same student after learning on for INT8, where that was asked for. */
  readonly aware?: Forecaster;
}

/**
 * Throws `ND_DISTILL_HORIZON`, `ND_CONFIG_CONFLICT` when windows cannot be made up, `ND_CONFIG_OUT_OF_RANGE`, and what
 * `Forecaster.fit` throws. That a student gains nothing is no error: the report says so.
 */
export async function distill(options: DistillOptions): Promise<Distilled> {
  const { student, frame, validationSize, seed = 1, cache, checkpoints, resume, on, signal, inProcess } = options;
  const { covariates, train, teacher, aware = false } = options;
  const { alpha, truth, scales, spectrum, tilt, extra, combine, seeds } = options;
  const settings = distillSettings({ alpha, truth, scales, spectrum, tilt, extra, combine, seeds });
  const metric: Metric = nameOf(train?.loss) === 'mse' ? 'mse' : 'mae';
  const create = (run: number, changed: ForecasterOptions['train'] = {}): Forecaster =>
    new Forecaster({
      models: [student],
      ...(covariates && { covariates }),
      train: { ...train, ...changed },
      seed: seed + run,
    });
  const { horizon, inputLength } = create(0);
  if (validationSize < horizon) {
    throw new NeuroDivergentError('ND_CONFIG_OUT_OF_RANGE', {
      where: 'distill.validationSize',
      what: `${validationSize} rows are less than the horizon, ${horizon}: there is nothing to judge the student by.`,
      mend: `Set it to ${horizon} or more.`,
    });
  }
  const teachers = [teacher]
    .flat()
    .flatMap((one) => (one instanceof Forecaster ? one.models.map(modelTeacher) : [one]));
  const lesson = createLesson({
    teachers,
    horizon,
    cache,
    on: (name, done, total) => {
      refuseCancelled(signal);
      on?.({ stage: 'teacher', name, done, total });
    },
  });
  const longest = Math.max(inputLength, lesson.inputLength);
  const { windows, actual } = validationWindows(frame, { inputLength: longest, horizon, size: validationSize });
  const errorOf = (forecast: Float32Array): number => ({ mae, mse })[metric](actual, forecast);

  try {
    const points = (await lesson.all(windows)).map((rows) => pointOf(rows, lesson));
    const weights = weighings[settings.combine]((tried) => errorOf(weighted(points, tried)), teachers.length);
    const teaching = await teachingOf({ frame, validationSize, longest, lesson, weights, settings, seed, student: create(0), teachers }); // prettier-ignore

    type Stage = Exclude<DistillEvent['stage'], 'teacher'>;
    const learn = async (
      stage: Stage,
      run: number,
      from?: Forecaster,
    ): Promise<{ forecaster: Forecaster; error: number }> => {
      const forecaster = create(run, from && shorter(from));
      await forecaster.fit(frame, {
        validationSize,
        on: ({ model, step, maxSteps, trainLoss, validationLoss }) =>
          on?.({ stage, name: `${model} ${stage}, seed ${seed + run}`, done: step, total: maxSteps, trainLoss, validationLoss }), // prettier-ignore
        ...(checkpoints !== undefined && { checkpoints: join(checkpoints, `${stage}-${seed + run}`) }),
        ...(resume !== undefined && { resume }),
        ...(signal && { signal }),
        ...(inProcess !== undefined && { inProcess }),
        ...(stage !== 'alone' && { teaching }),
        ...(from && goOn(from)),
      });
      const [model] = forecaster.models as readonly [TrainedModel];
      return { forecaster, error: errorOf(await forecastWindows(windows, backtestModel(model))) };
    };
    const students = { alone: [] as number[], taught: [] as number[] };
    const taught: Forecaster[] = [];
    for (let run = 0; run < settings.seeds; run++) {
      students.alone.push((await learn('alone', run)).error);
      const { forecaster, error } = await learn('taught', run);
      taught.push(forecaster);
      students.taught.push(error);
    }
    const members = teachers.map(({ name }, i) => ({ name, weight: weights[i]!, error: errorOf(points[i]!) }));
    const found = { metric, windows: windows.count, teacher: { error: errorOf(weighted(points, weights)), members } };
    const report = judgeStudents(found, students.alone, students.taught, seed);
    const best = report.seed - seed;
    const forecaster = taught[best]!;
    if (!aware) return { forecaster, report };
    return { forecaster, report, aware: (await learn('aware', best, forecaster)).forecaster };
  } finally {
    for (const one of teachers) one.close();
  }
}

/** Of the steps and of the learning rate, for a student that learns on. */
const awareSteps = 0.2;
const awareRate = 0.1;

const shorter = ({ models: [model] }: Forecaster): ForecasterOptions['train'] => {
  const { maxSteps, learningRate } = model!.settings;
  return { maxSteps: Math.ceil(awareSteps * maxSteps), learningRate: awareRate * learningRate };
};

const goOn = ({ models: [model] }: Forecaster): Pick<FitOptions, 'forward' | 'start'> => ({
  forward: quantizationAware({ activations: model!.spec.model.capabilities.quantization !== 'C' }),
  start: { [model!.name]: model!.values },
});

const nameOf = (loss: string | { readonly name: string } | undefined): string | undefined =>
  typeof loss === 'object' ? loss.name : loss;

/** [windows, horizon, columns] → the point, [windows, horizon] */
const pointOf = (rows: Float32Array, { columns, point }: Lesson): Float32Array =>
  columns === 1 ? rows : Float32Array.from({ length: rows.length / columns }, (_, i) => rows[i * columns + point]!);

interface TeachingParts {
  readonly frame: TimeSeriesFrame;
  readonly validationSize: number;
  readonly longest: number;
  readonly lesson: Lesson;
  readonly weights: readonly number[];
  readonly settings: DistillSettings;
  readonly seed: number;
  readonly student: Forecaster;
  readonly teachers: readonly Teacher[];
}

async function teachingOf(parts: TeachingParts): Promise<Teaching> {
  const { frame, validationSize, longest, lesson, weights, settings, seed, student, teachers } = parts;
  const { train } = splitFrame(frame, { test: { size: validationSize } });
  const { columns } = lesson;
  if (settings.extra > 0) refuseExtra(student, teachers);
  const seen = await withExtraWindows(train, {
    share: settings.extra,
    seed,
    inputLength: longest,
    horizon: student.horizon,
    label: async (made: Windows) => pointOf(weighted(await lesson.all(made), weights), lesson),
  });
  let known: Float32Array | undefined; // the same windows for every seed
  return {
    frame: seen,
    inputLength: lesson.inputLength,
    columns,
    loss: (loss) => taughtLoss(loss, pairColumns(loss, lesson), columns, settings),
    forecasts: async (windows) => (known ??= await lesson.taught(windows, weights)),
  };
}

/** A made-up window has no series beside it and no covariates. */
function refuseExtra(student: Forecaster, teachers: readonly Teacher[]): void {
  const shared = teachers.find(
    ({ together, columns }) => together !== undefined || Object.keys(columns ?? {}).length > 0,
  );
  const [spec] = student.specs;
  if (shared === undefined && student.columns.length === 0 && seriesTogether(spec!) === undefined) return;
  throw new NeuroDivergentError('ND_CONFIG_CONFLICT', {
    where: 'distill.extra',
    what: `${shared?.name ?? spec!.model.id} reads several series or columns beside the target, and windows that never were have neither.`,
    mend: 'Set `extra` to 0, or take models of one series without covariates.',
  });
}

function refuseCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new NeuroDivergentError('ND_TRAIN_CANCELLED', {
    where: 'teacher',
    what: 'Distillation was cancelled while a teacher forecast.',
    mend: 'Resume to go on from here.',
  });
}
