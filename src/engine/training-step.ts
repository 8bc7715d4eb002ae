/**
 * One step of training: one run of the training graph (forward and backward), whose gradients land in the memory where
 * one Adam kernel reads them, in place. Twice as fast as Adam inside the graph (ENGINE.md §2).
 */
import { NeuroDivergentError } from '../errors.js';
import { createKernels } from './kernel.js';
import { afterGoodStep, afterOverflow, firstScale, noScale, type LossScale } from './loss-scale.js';
import type { Provider } from '../contracts/provider.js';
import type { Engine, FloatTensor } from './port.js';
import { seedWords } from './random.js';

export interface TensorPlan {
  readonly name: string;
  readonly shape: readonly number[];
}

/** What the tensors of a training graph are for. Plain data, so it can be shipped beside the model. */
export interface TrainingLayout {
  /** Fed at every step. */
  readonly inputs: readonly TensorPlan[];
  /**
   * Learned; `gradient` is the output that holds the gradient. `missed` is the state that counts the steps in which the
   * parameter had no part, if there are such: those leave it as it is, momentum included.
   */
  readonly parameters: readonly (TensorPlan & { readonly gradient: string; readonly missed?: string })[];
  /** Kept between steps; `next` is the output that holds the value after the step. */
  readonly states: readonly (TensorPlan & { readonly next: string })[];
  /** New at every step: uniform in [0, 1), or with `keep` 1 / keep in that share of the elements and 0 in the others. */
  readonly draws: readonly (TensorPlan & { readonly keep?: number })[];
  /** The output that holds the loss, a scalar. */
  readonly loss: string;
  /** The scalar input that the gradients come out multiplied with, of a graph in mixed precision. */
  readonly lossScale?: string;
}

export interface TrainingStepOptions {
  readonly engine: Engine;
  /** The training graph as ONNX. */
  readonly model: Uint8Array;
  readonly layout: TrainingLayout;
  /** Where the draws start. */
  readonly seed: number;
  readonly threads?: number;
  readonly provider?: Provider;
}

export interface StepSettings {
  readonly learningRate: number;
  /** Largest norm of all gradients together; longer ones are shortened. None when absent. */
  readonly clipNorm?: number;
  /** Decoupled: each step shrinks the weights by `learningRate · weightDecay` of themselves. */
  readonly weightDecay?: number;
}

export interface StepResult {
  readonly loss: number;
  /** Before clipping. */
  readonly gradientNorm: number;
  /** False when loss or a gradient is not a number; nothing has been changed then. */
  readonly finite: boolean;
}

/** All that a step changes, copied: put back, training goes on bit for bit as it would have. */
export interface TrainingSnapshot {
  /** Steps taken. */
  readonly steps: number;
  /** Parameters and states by name. */
  readonly values: Readonly<Record<string, Float32Array>>;
  readonly firstMoments: Readonly<Record<string, Float32Array>>;
  readonly secondMoments: Readonly<Record<string, Float32Array>>;
  /** [16] */
  readonly random: Uint32Array;
  /** In mixed precision. */
  readonly lossScale?: LossScale | undefined;
}

export interface TrainingStep {
  readonly layout: TrainingLayout;
  /** Parameters and states by name: views of the live memory, to feed other sessions with. */
  readonly values: Readonly<Record<string, FloatTensor>>;
  /** All that the last step was fed, draws included: views as well. */
  readonly feeds: Readonly<Record<string, FloatTensor>>;
  /** Gradients of the last step by name of the parameter, times the loss scale: views as well. */
  readonly gradients: Readonly<Record<string, FloatTensor>>;
  /** A copy of parameters and states. */
  copyValues(): Record<string, Float32Array>;
  /** Sets every parameter and state. Throws `ND_SHAPE_MISMATCH` for one that is missing or has another size. */
  load(values: Readonly<Record<string, ArrayLike<number>>>): void;
  /**
   * `feeds`: every input of the layout, in its shape. A step whose gradients overflow in mixed precision changes nothing
   * but the loss scale, and is tried again with half of it. Throws `ND_TRAIN_SCALE_EXHAUSTED` and what
   * `Session.run` throws.
   */
  step(feeds: Readonly<Record<string, FloatTensor>>, settings: StepSettings): StepResult;
  snapshot(): TrainingSnapshot;
  restore(snapshot: TrainingSnapshot): void;
  close(): void;
}

const floatBytes = 4;
/** What probabilities of keeping an element are rounded to. */
const keepLevels = 65_536;
/** Where tensors start, in floats: 64 bytes. */
const alignment = 16;
/** Adam's constants, as PyTorch has them. */
const beta1 = 0.9;
const beta2 = 0.999;
const epsilon = 1e-8;
/** Added to the norm before dividing by it, as PyTorch's clipping does. */
const clipEpsilon = 1e-6;

/** Parameters and states start at zero: `load` comes first. */
export async function createTrainingStep(options: TrainingStepOptions): Promise<TrainingStep> {
  const { engine, model, layout, seed, threads = 1, provider } = options;
  const { parameters, states, draws } = layout;

  let end = 0;
  const reserve = (count: number): number => {
    const at = end;
    end += roundedUp(count);
    return at * floatBytes;
  };
  const region = (plans: readonly TensorPlan[]) => {
    const start = end;
    const offsets = plans.map(({ shape }) => reserve(elements(shape)));
    return { at: start * floatBytes, count: end - start, offsets };
  };
  const p = region(parameters);
  const m = region(parameters);
  const v = region(parameters);
  const g = region(parameters);
  const now = region(states);
  const next = region(states);
  const drawn = region(draws);
  const randomAt = reserve(16);
  const lossAt = reserve(1);

  const { buffer, sumOfSquares, adam, uniform, keep: keepSome } = createKernels(end * floatBytes);
  const session = await engine.load(model, { threads, provider, writesOnly: true, leastMemory: true });
  const view = (at: number, shape: readonly number[]): FloatTensor => ({
    data: new Float32Array(buffer, at, elements(shape)),
    dims: shape,
  });
  const views = (
    plans: readonly TensorPlan[],
    { offsets }: { offsets: readonly number[] },
    name: (i: number) => string = (i) => plans[i]!.name,
  ) => Object.fromEntries(plans.map(({ shape }, i) => [name(i), view(offsets[i]!, shape)]));
  /** One number, 0 where there is none. */
  const valueAt = (at: number | undefined): number => (at === undefined ? 0 : new Float32Array(buffer, at, 1)[0]!);
  const whole = ({ at, count }: { at: number; count: number }): Float32Array => new Float32Array(buffer, at, count);

  const values = { ...views(parameters, p), ...views(states, now) };
  const gradients = views(parameters, g);
  const firstMoments = views(parameters, m);
  const secondMoments = views(parameters, v);
  const loss = view(lossAt, []);
  const random = new Uint32Array(buffer, randomAt, 16);
  random.set(seedWords([seed, 'draws'], 16));

  // One object each for all runs; the inputs of the batch are put into `feeds` at every step.
  const factor: FloatTensor = { data: new Float32Array(1), dims: [] };
  const feeds: Record<string, FloatTensor> = {
    ...values,
    ...views(draws, drawn),
    ...(layout.lossScale !== undefined && { [layout.lossScale]: factor }),
  };
  const fetches = {
    ...views(parameters, g, (i) => parameters[i]!.gradient),
    ...views(states, next, (i) => states[i]!.next),
    [layout.loss]: loss,
  };
  const stateNow = whole(now);
  const stateNext = whole(next);
  const counters = parameters.map(({ missed }) => states.findIndex(({ name }) => name === missed));
  const stepwise = counters.some((state) => state >= 0);
  let steps = 0;
  const fills = draws.map(({ shape, keep }, i) => {
    const [at, count] = [drawn.offsets[i]!, roundedUp(elements(shape))];
    if (keep === undefined) return () => uniform(randomAt, at, count);
    return () => keepSome(randomAt, at, count, Math.round(keep * keepLevels), 1 / keep);
  });
  const mixed = layout.lossScale !== undefined;
  let scale = mixed ? firstScale : noScale;

  const run = (): StepResult => {
    factor.data[0] = scale.factor;
    session.run(feeds, fetches);
    const gradientNorm = Math.sqrt(sumOfSquares(g.at, g.count)) / scale.factor;
    return { loss: loss.data[0]!, gradientNorm, finite: Number.isFinite(loss.data[0]! + gradientNorm) };
  };

  return {
    layout,
    values,
    feeds,
    gradients,
    copyValues: () => copy(values),
    load: (given) => write(values, given, 'load'),

    step: (batch, { learningRate, clipNorm = Infinity, weightDecay = 0 }) => {
      for (const { name } of layout.inputs) feeds[name] = batch[name]!;
      for (const fill of fills) fill();
      let result = run();
      while (mixed && !result.finite && Number.isFinite(result.loss)) {
        scale = afterOverflow(scale);
        result = run();
      }
      if (!result.finite) return result;

      steps += 1;
      const { gradientNorm } = result;
      const shortened = gradientNorm > clipNorm ? clipNorm / (gradientNorm + clipEpsilon) : 1;
      const learn = (from: number, count: number, taken: number): void => {
        const correction1 = 1 - beta1 ** taken;
        const correction2 = Math.sqrt(1 - beta2 ** taken);
        adam(
          p.at + from,
          m.at + from,
          v.at + from,
          g.at + from,
          count,
          (learningRate * correction2) / correction1,
          epsilon * correction2,
          1 - beta1,
          beta2,
          1 - beta2,
          1 - learningRate * weightDecay,
          shortened / scale.factor,
        );
      };
      if (!stepwise) learn(0, p.count, steps);
      for (const [i, { shape }] of stepwise ? parameters.entries() : []) {
        const [before, missed] = [now, next].map(({ offsets }) => valueAt(offsets[counters[i]!])) as [number, number];
        if (missed === before) learn(p.offsets[i]! - p.at, roundedUp(elements(shape)), steps - missed);
      }
      stateNow.set(stateNext);
      if (mixed) scale = afterGoodStep(scale);
      return result;
    },

    snapshot: () => ({
      steps,
      values: copy(values),
      firstMoments: copy(firstMoments),
      secondMoments: copy(secondMoments),
      random: random.slice(),
      ...(mixed && { lossScale: scale }),
    }),
    restore: (snapshot) => {
      write(values, snapshot.values, 'restore');
      write(firstMoments, snapshot.firstMoments, 'restore');
      write(secondMoments, snapshot.secondMoments, 'restore');
      random.set(snapshot.random);
      steps = snapshot.steps;
      if (mixed) scale = snapshot.lossScale ?? firstScale;
    },
    close: () => session.close(),
  };
}

const roundedUp = (count: number): number => Math.ceil(count / alignment) * alignment;
const elements = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

const copy = (tensors: Readonly<Record<string, FloatTensor>>): Record<string, Float32Array> =>
  Object.fromEntries(Object.entries(tensors).map(([name, { data }]) => [name, data.slice()]));

function write(
  tensors: Readonly<Record<string, FloatTensor>>,
  given: Readonly<Record<string, ArrayLike<number>>>,
  where: string,
): void {
  for (const [name, { data, dims }] of Object.entries(tensors)) {
    const value = given[name];
    if (value?.length !== data.length) {
      throw new NeuroDivergentError('ND_SHAPE_MISMATCH', {
        where: `${where} ${name}`,
        what: `${value?.length ?? 0} values were given for [${dims}].`,
        mend: 'Pass the values of every parameter and state, as this model and its hyperparameters have them.',
      });
    }
    data.set(value);
  }
}
