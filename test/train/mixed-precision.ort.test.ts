import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { createWindows } from '../../src/data/windows.js';
import { createOrtEngine } from '../../src/engine/ort.js';
import type { Engine, FloatTensor } from '../../src/engine/port.js';
import { createTrainingStep } from '../../src/engine/training-step.js';
import { evaluate, ndarray, nextName, type Graph } from '../../src/graph/index.js';
import { trainingGraph } from '../../src/models/assemble.js';
import { loadCheckpoint } from '../../src/train/checkpoint.js';
import { trainSettings, type TrainOptions } from '../../src/train/defaults.js';
import { fitModel, type FitJob } from '../../src/train/fit.js';
import { planTraining, startingValues } from '../../src/train/plan.js';
import { train } from '../../src/train/trainer.js';
import { sines, specOf } from './example.js';

const folder = mkdtempSync(join(tmpdir(), 'nd-mixed-'));
afterAll(() => rmSync(folder, { recursive: true }));

/**
 * The plain kernels as an engine: they round every tensor that is FP16, as a GPU does. ONNX Runtime's CPU provider
 * computes these nodes in FP32 and leaves out most roundings between them.
 */
const plainEngine = (graph: Graph): Engine => ({
  name: 'plain',
  load: async () => {
    const named = {
      ...graph.outputs,
      ...Object.fromEntries(Object.entries(graph.updates).map(([state, value]) => [nextName(state), value])),
    };
    return {
      inputNames: [],
      outputNames: Object.keys(named),
      run: (feeds, outputs) => {
        const given = outputs as Record<string, FloatTensor>;
        const values = Object.fromEntries(
          Object.entries(feeds).map(([name, { data, dims }]) => [name, ndarray(data, dims)]),
        );
        for (const [i, { data }] of evaluate(Object.values(named), values).entries())
          given[Object.keys(named)[i]!]!.data.set(data);
        return given;
      },
      close: () => {},
    };
  },
});

const batch = 16;
const task = { inputLength: 12, horizon: 4 };
// Real noise, and a rate at which training does not depend on last bits. At 0.01, on clean sines, the losses of a GRU
// differ by 40 % between two engines that both compute in FP32.
const frame = sines({ noise: 1 });
const options: TrainOptions = { maxSteps: 200, windowsBatchSize: batch, valCheckSteps: 20, learningRate: 1e-3, threads: 1, mixedOnCpu: true }; // prettier-ignore

describe.each([
  ['dlinear', { kernel: 5 }],
  ['mlp', { hidden: 16 }],
  ['nhits', { blocks: [1, 1], hidden: [8], pool: [2, 1], downsample: [2, 1] }],
  ['patchtst', { hidden: 8, heads: 2, feedForward: 8, layers: 1, patch: 4, stride: 4 }],
  ['gru', { hidden: 8, decoderHidden: 8, layers: 1 }],
])('%s', (id, hyperparameters) => {
  const spec = specOf(id, { ...task, ...hyperparameters });
  const windows = createWindows(frame, task);
  const losses = async (precision: 'fp32' | 'mixed', engine = createOrtEngine()): Promise<number[]> => {
    const settings = trainSettings(id, { ...options, precision });
    const plan = planTraining(spec, { batch, seed: settings.seed, precision });
    const { history } = await train({ plan, windows, settings }, { engine });
    return history.map(({ trainLoss }) => trainLoss);
  };

  test('200 steps in mixed precision have the losses of FP32 within 1 %', async () => {
    const expected = await losses('fp32');
    expect(expected.at(-1)).toBeLessThan(0.5 * expected[0]!);
    const rounding = plainEngine(trainingGraph(spec, { batch, mixed: true }));
    for (const found of [await losses('mixed', rounding), await losses('mixed')]) {
      expect(found).toHaveLength(expected.length);
      for (const [i, loss] of found.entries()) expect(Math.abs(loss / expected[i]! - 1)).toBeLessThan(0.01);
    }
  });
});

describe('an MLP', () => {
  const spec = specOf('mlp', { ...task, hidden: 16 });

  test('stopped and resumed ends with the same bits as one that was not, loss scale included', async () => {
    const settings = trainSettings('mlp', { ...options, maxSteps: 60, valCheckSteps: 10, precision: 'mixed' });
    const fit = (name: string, more: Partial<FitJob> = {}) =>
      fitModel({ spec, frame, settings, inProcess: true, checkpoint: join(folder, name), ...more });
    const whole = await fit('whole');
    const controller = new AbortController();
    const on: FitJob['on'] = ({ step }) => step === 30 && controller.abort();
    await expect(fit('parts', { on, signal: controller.signal })).rejects.toMatchObject({ code: 'ND_TRAIN_CANCELLED' });
    expect(loadCheckpoint(join(folder, 'parts'))!.snapshot.lossScale).toEqual({ factor: 2 ** 15, goodSteps: 30 });
    const resumed = await fit('parts', { resume: true });
    expect(resumed.values).toEqual(whole.values);
    const [a, b] = ['parts', 'whole'].map((name) => loadCheckpoint(join(folder, name))!.snapshot);
    expect(a).toEqual(b);
    expect(b!.lossScale).toEqual({ factor: 2 ** 15, goodSteps: 60 });
  });

  test('whose gradients overflow in FP16 halves the loss scale and takes the step it would have taken with that', async () => {
    const plan = planTraining(spec, { batch, seed: 1, precision: 'mixed' });
    const { model, layout } = plan;
    const values = startingValues(plan);
    const engine = plainEngine(trainingGraph(spec, { batch, mixed: true }));
    const feeds = Object.fromEntries(
      layout.inputs.map(({ name, shape }) => {
        const length = shape.reduce((product, dim) => product * dim, 1);
        const wave = (_: unknown, i: number): number => (name.includes('ask') ? 1 : Math.sin(i) + Math.sin(i * i));
        return [name, { data: Float32Array.from({ length }, wave), dims: shape }];
      }),
    );
    const stepFrom = async (factor: number) => {
      const step = await createTrainingStep({ engine, model, layout, seed: 1 });
      step.load(values);
      step.restore({ ...step.snapshot(), lossScale: { factor, goodSteps: 7 } });
      const result = step.step(feeds, { learningRate: 0.01 });
      return { result, after: step.snapshot() };
    };
    const poisoned = await stepFrom(2 ** 40);
    const { factor, goodSteps } = poisoned.after.lossScale!;
    expect(goodSteps).toBe(1); // counted anew since the last change
    expect(poisoned.result.finite).toBe(true);
    expect(poisoned.after.steps).toBe(1);
    expect(factor).toBeGreaterThan(2 ** 10);
    expect(factor).toBeLessThan(2 ** 25);
    const direct = await stepFrom(factor);
    expect(direct.result).toEqual(poisoned.result);
    expect(direct.after).toEqual({ ...poisoned.after, lossScale: { factor, goodSteps: 8 } });
  });
});
