/** The training loop: draw windows, take a step, look at the validation part now and then, keep what was best. */
import { createBatch, gatherWindows, batchShapes, type WindowBatch, type Windows } from '../data/windows.js';
import type { Engine, FloatTensor, Session } from '../engine/port.js';
import { createSampler } from '../engine/sample.js';
import { createTrainingStep, type TrainingStep } from '../engine/training-step.js';
import { NeuroDivergentError } from '../errors.js';
import { createPrompter, type PromptSettings } from '../language/prompter.js';
import { loadCheckpoint, saveCheckpoint, type HistoryRecord, type Progress } from './checkpoint.js';
import type { TrainSettings } from './defaults.js';
import type { Origin } from './diagnose.js';
import { refuseShortage, shortage } from './memory.js';
import { notFinite } from './not-finite.js';
import type { TrainingPlan } from './plan.js';
import { rateAt } from './schedule.js';
import { drawStart, fingerprint } from './start.js';

export interface TrainJob {
  readonly plan: TrainingPlan;
  readonly windows: Windows;
  /** Of models that tell a language model about their windows. */
  readonly prompt?: PromptSettings | undefined;
  /** Without it there is no early stopping, and the last weights are kept. */
  readonly validation?: Windows | undefined;
  readonly settings: TrainSettings;
  /** Where to begin, by name of parameters and states, instead of the plan's starts. */
  readonly start?: Readonly<Record<string, Float32Array>> | undefined;
  /** A file that always holds a state to go on from. */
  readonly checkpoint?: string | undefined;
  /** Go on from that file if it is there. */
  readonly resume?: boolean | undefined;
}

/** Sent after each check and about ten times a second. */
export interface TrainProgress {
  readonly step: number;
  readonly maxSteps: number;
  /** Mean over the steps since the last check, in scaled units. */
  readonly trainLoss: number;
  /** The latest; null before the first check. */
  readonly validationLoss: number | null;
  readonly learningRate: number;
  /** Since training began, resumed parts included. */
  readonly ms: number;
}

export interface TrainResult {
  /** Parameters and states by name: those of the best check, or the last ones without a validation part. */
  readonly values: Readonly<Record<string, Float32Array>>;
  /** One record per check. */
  readonly history: readonly HistoryRecord[];
  readonly steps: number;
  /** The step the values are from. */
  readonly bestStep: number;
  readonly stoppedEarly: boolean;
}

export interface TrainHooks {
  readonly engine: Engine;
  readonly on?: ((progress: TrainProgress) => void) | undefined;
  /** Cancels between two steps, leaves a checkpoint and throws `ND_TRAIN_CANCELLED`. */
  readonly signal?: AbortSignal | undefined;
}

/** How long the loop keeps its thread before it lets messages in. */
const turnMs = 100;
/** Windows at once in a look at the validation part, or as many as in a step if those are more. */
const validationBatch = 256;
/** Training that got so much worse than it began will not come back. */
const divergedTimes = 1000;

/**
 * Trains. Equal seeds, threads and data give equal bits. Throws `ND_TRAIN_LOSS_NOT_FINITE` and `ND_TRAIN_DIVERGED`
 * (the checkpoint stays at the last good check), `ND_TRAIN_CANCELLED`, `ND_TRAIN_RESUME_INCOMPATIBLE`,
 * `ND_TRAIN_OUT_OF_MEMORY` (before the first step as far as that can be foreseen), and what `Engine.load` throws.
 */
export async function train(job: TrainJob, hooks: TrainHooks): Promise<TrainResult> {
  refuseShortage(job.plan);
  try {
    return await trainLoop(job, hooks);
  } catch (cause) {
    throw shortage(job.plan, cause) ?? cause;
  }
}

async function trainLoop(job: TrainJob, { engine, on, signal }: TrainHooks): Promise<TrainResult> {
  const { plan, windows, validation, settings, checkpoint } = job;
  const { maxSteps, valCheckSteps, patience, threads, provider } = settings;
  const training = await createTrainingStep({
    engine,
    model: plan.model,
    layout: plan.layout,
    seed: settings.seed,
    threads,
    provider,
  });
  const validator = validation && (await createValidator(engine, job, validation, training));
  try {
    for (const [name, { data }] of Object.entries(training.values))
      drawStart(data, name, plan.starts[name]!, plan.seed);
    if (job.start !== undefined) training.load(job.start);
    const run = begin(job, training);
    const { progress } = run;
    const sample = createSampler(windows.count, settings.seed);
    const chosen = new Uint32Array(plan.batch);
    const batch = createBatch(windows, plan.batch);
    const feeds = feedsOf(windows, batch, plan.batch);
    const prompter = job.prompt && createPrompter(job.prompt, plan.batch);
    const exhausted = (): boolean => patience >= 0 && progress.checksWithoutGain >= Math.max(1, patience);
    let stop = exhausted();
    let last = performance.now();
    const clock = (): number => {
      const now = performance.now();
      progress.ms += now - last;
      last = now;
      return progress.ms;
    };
    const report = (step: number): TrainProgress => ({
      step,
      maxSteps,
      trainLoss: progress.lossSum / progress.lossCount,
      validationLoss: progress.history.at(-1)?.validationLoss ?? null,
      learningRate: rateAt(settings, step - 1),
      ms: clock(),
    });
    let step = run.steps;
    let kept = run.steps > 0 ? { path: checkpoint!, step: run.steps } : undefined;
    const save = (): void => {
      if (checkpoint === undefined) return;
      saveCheckpoint(checkpoint, {
        snapshot: training.snapshot(),
        progress: { ...progress, ms: clock() },
        ...(run.best && { best: run.best }),
      });
      kept = { path: checkpoint, step };
    };

    let turn = performance.now();
    while (step < maxSteps && !stop) {
      if (signal?.aborted === true) {
        save();
        throw new NeuroDivergentError('ND_TRAIN_CANCELLED', {
          where: `step ${step}`,
          what: 'Training was cancelled.',
          mend:
            checkpoint === undefined
              ? 'Name a folder for checkpoints to be able to resume.'
              : 'Resume to go on from here.',
        });
      }
      sample(step, chosen);
      gatherWindows(windows, chosen, batch);
      const settingsNow = {
        learningRate: rateAt(settings, step),
        clipNorm: settings.clipNorm,
        weightDecay: settings.weightDecay,
      };
      if (prompter) feeds['prompt'] = prompter.read(batch.past, plan.batch);
      const result = training.step(feeds, settingsNow);
      step += 1;
      if (!result.finite) {
        const origin = await originOf(engine, job, training);
        throw notFinite({ step, result, windows, chosen: [...chosen], origin, kept });
      }
      progress.lossSum += result.loss;
      progress.lossCount += 1;

      if (step % valCheckSteps === 0 || step === maxSteps) {
        const validationLoss = validator?.loss() ?? null;
        const { maxSteps: _, ...record } = { ...report(step), validationLoss };
        progress.history.push(record);
        refuseDivergence(progress.history);
        on?.({ ...record, maxSteps });
        if (validationLoss !== null) judge(run, step, validationLoss, training);
        stop = exhausted();
        progress.lossSum = 0;
        progress.lossCount = 0;
        save();
      } else if (performance.now() - turn > turnMs) on?.(report(step));

      if (performance.now() - turn > turnMs) {
        await new Promise((resolve) => setImmediate(resolve));
        turn = performance.now();
      }
    }
    return {
      values: run.best ?? training.copyValues(),
      history: progress.history,
      steps: step,
      bestStep: progress.best?.step ?? step,
      stoppedEarly: step < maxSteps,
    };
  } finally {
    training.close();
    validator?.close();
  }
}

/** What changes while the loop runs. */
interface Run {
  readonly steps: number;
  readonly progress: { -readonly [K in keyof Progress]: Progress[K] };
  best: Readonly<Record<string, Float32Array>> | undefined;
}

/** A fresh run, or the one in the checkpoint. */
function begin(
  { plan, settings, windows, validation, start = {}, checkpoint, resume }: TrainJob,
  training: TrainingStep,
): Run {
  const identity =
    checkpoint === undefined
      ? ''
      : fingerprint(
          plan.model,
          // What runs it does not matter; precision is in the model.
          JSON.stringify({ ...settings, threads: 0, provider: undefined, precision: undefined, mixedOnCpu: undefined }),
          ...dataOf(windows),
          ...(validation ? dataOf(validation) : []),
          ...Object.values(start).map(bytesOf),
        );
  const saved = resume === true && checkpoint !== undefined ? loadCheckpoint(checkpoint) : undefined;
  if (saved === undefined) {
    return {
      steps: 0,
      best: undefined,
      progress: {
        fingerprint: identity,
        lossSum: 0,
        lossCount: 0,
        ms: 0,
        history: [],
        best: null,
        checksWithoutGain: 0,
      },
    };
  }
  if (saved.progress.fingerprint !== identity) {
    throw new NeuroDivergentError('ND_TRAIN_RESUME_INCOMPATIBLE', {
      where: checkpoint!,
      what: 'The checkpoint was written by a run with another model, other settings or other data.',
      mend: 'Train with the options and data of that run, or without resuming.',
    });
  }
  training.restore(saved.snapshot);
  return { steps: saved.snapshot.steps, best: saved.best, progress: saved.progress };
}

function dataOf({ starts, frame, teacher }: Windows): Uint8Array[] {
  const { columns } = frame;
  return [bytesOf(starts), ...Object.values(columns).map(bytesOf), ...(teacher ? [bytesOf(teacher.values)] : [])];
}

const bytesOf = (array: Uint32Array | Float32Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Notes a check: keeps the weights when they are the best so far, else counts it. */
function judge(run: Run, step: number, validationLoss: number, training: TrainingStep): void {
  const { progress } = run;
  if (validationLoss < (progress.best?.validationLoss ?? Infinity)) {
    progress.best = { step, validationLoss };
    progress.checksWithoutGain = 0;
    run.best = training.copyValues();
  } else progress.checksWithoutGain += 1;
}

/** The first `size` windows of a batch as the engine wants them: views that are made once. */
function feedsOf(windows: Windows, batch: WindowBatch, size: number): Record<string, FloatTensor> {
  const shapes = batchShapes(windows, size);
  return Object.fromEntries(
    Object.entries(batch).map(([name, data]) => {
      const dims = shapes[name as keyof WindowBatch];
      const length = dims.reduce((product, dim) => product * dim, 1);
      return [name, { data: (data as Float32Array).subarray(0, length), dims }];
    }),
  );
}

/** Measures the loss of the live weights over all validation windows, weighted by what was observed. */
async function createValidator(
  engine: Engine,
  { plan, settings, prompt }: TrainJob,
  windows: Windows,
  training: TrainingStep,
): Promise<{ loss(): number; close(): void }> {
  const { threads, provider } = settings;
  const session: Session = await engine.load(plan.validationModel!, { threads, provider, leastMemory: true });
  const size = Math.min(Math.max(settings.windowsBatchSize, validationBatch), windows.count);
  const batch = createBatch(windows, size);
  const full = feedsOf(windows, batch, size);
  const rest = windows.count % size;
  const parts = feedsOf(windows, batch, rest);
  const prompter = prompt && createPrompter(prompt, size);
  const order = Uint32Array.from({ length: windows.count }, (_, i) => i);
  return {
    loss: () => {
      let sum = 0;
      let weight = 0;
      for (let from = 0; from < windows.count; from += size) {
        const chosen = order.subarray(from, from + size);
        gatherWindows(windows, chosen, batch);
        const feeds = chosen.length === size ? full : parts;
        let observed = 0;
        for (const value of feeds['targetMask']!.data) observed += value;
        if (prompter) feeds['prompt'] = prompter.read(batch.past, chosen.length);
        sum += session.run({ ...feeds, ...training.values })['loss']!.data[0]! * observed;
        weight += observed;
      }
      return sum / weight;
    },
    close: () => session.close(),
  };
}

/** Where the last step went wrong. A second fault on the way, such as a lack of memory, must not hide the first. */
async function originOf(
  engine: Engine,
  { plan, settings }: TrainJob,
  training: TrainingStep,
): Promise<Origin | undefined> {
  try {
    const { diagnose } = await import('./diagnose.js'); // it reads graphs, which nothing else here does
    return await diagnose(engine, plan.model, training, settings);
  } catch (error) {
    if (error instanceof NeuroDivergentError) return undefined;
    throw error;
  }
}

function refuseDivergence(history: readonly HistoryRecord[]): void {
  const first = history[0]!;
  const latest = history.at(-1)!;
  if (latest.trainLoss <= divergedTimes * first.trainLoss || latest.trainLoss < 1) return;
  throw new NeuroDivergentError('ND_TRAIN_DIVERGED', {
    where: `step ${latest.step}`,
    what: `The training loss rose from ${first.trainLoss} to ${latest.trainLoss}.`,
    mend: 'Lower the learning rate or `clipNorm`.',
  });
}
