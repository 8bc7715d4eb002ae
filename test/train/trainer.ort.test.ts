import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { createWindows } from '../../src/data/windows.js';
import { NeuroDivergentError } from '../../src/errors.js';
import { loadCheckpoint } from '../../src/train/checkpoint.js';
import { trainSettings, type TrainOptions } from '../../src/train/defaults.js';
import { fitModel, type FitJob } from '../../src/train/fit.js';
import { planTraining } from '../../src/train/plan.js';
import { train, type TrainProgress } from '../../src/train/trainer.js';
import { sines, specOf } from './example.js';

const folder = mkdtempSync(join(tmpdir(), 'nd-train-'));
afterAll(() => rmSync(folder, { recursive: true }));

const quick: TrainOptions = { maxSteps: 60, windowsBatchSize: 16, valCheckSteps: 10, learningRate: 0.01, threads: 1 };
const fit = (options: TrainOptions = {}, job: Partial<FitJob> = {}) =>
  fitModel({
    spec: specOf('dlinear', { kernel: 5 }),
    frame: sines(),
    settings: trainSettings('dlinear', { ...quick, ...options }),
    validationSize: 48,
    inProcess: true,
    ...job,
  });
const withoutTime = <T extends { ms: number }>(records: readonly T[]) => records.map(({ ms: _, ...rest }) => rest);

describe('training', () => {
  test('learns a sine: the losses fall, and the history says how', async () => {
    const seen: TrainProgress[] = [];
    const result = await fit({ maxSteps: 200 }, { on: (progress) => seen.push(progress) });
    expect(result.history.map(({ step }) => step)).toEqual(Array.from({ length: 20 }, (_, i) => 10 * (i + 1)));
    const [first, last] = [result.history[0]!, result.history.at(-1)!];
    expect(last.trainLoss).toBeLessThan(0.3 * first.trainLoss);
    expect(last.validationLoss!).toBeLessThan(0.3 * first.validationLoss!);
    expect(seen.filter(({ step }) => step % 10 === 0).length).toBeGreaterThanOrEqual(20);
    expect(Object.keys(result.values).sort()).toEqual([
      'model/season/bias',
      'model/season/weight',
      'model/trend/bias',
      'model/trend/weight',
    ]);
  });

  test('with activations computed again comes to the same weights', async () => {
    const spec = specOf('lstm', { inputLength: 40, hidden: 4, decoderHidden: 4 }); // longer than a piece
    const [kept, again] = [await fit({}, { spec }), await fit({ checkpointing: true }, { spec })];
    for (const [name, values] of Object.entries(kept.values))
      for (const [i, value] of values.entries()) expect(again.values[name]![i]).toBeCloseTo(value, 4);
  });

  test('is a function of the seed, bit for bit', async () => {
    const [a, b, c] = [await fit(), await fit(), await fit({ seed: 2 })];
    expect(a.values).toEqual(b.values);
    expect(withoutTime(a.history)).toEqual(withoutTime(b.history));
    expect(a.values).not.toEqual(c.values);
  });

  test.each(['dlinear', 'mlp'])(
    '%s: a run that was cancelled and resumed ends with the same bits as one that was not',
    async (id) => {
      const checkpoint = join(folder, `${id}.safetensors`);
      const spec = specOf(id, id === 'mlp' ? { hidden: 16 } : {});
      const whole = await fit({}, { spec });
      const controller = new AbortController();
      const stopAt = (progress: TrainProgress): void => {
        if (progress.step === 30) controller.abort();
      };
      await expect(fit({}, { spec, checkpoint, on: stopAt, signal: controller.signal })).rejects.toMatchObject({
        code: 'ND_TRAIN_CANCELLED',
        exitCode: 130,
      });
      expect(loadCheckpoint(checkpoint)!.snapshot.steps).toBe(30);
      const resumed = await fit({}, { spec, checkpoint, resume: true });
      expect(resumed.values).toEqual(whole.values);
      expect(withoutTime(resumed.history)).toEqual(withoutTime(whole.history));
      expect(resumed.bestStep).toBe(whole.bestStep);
    },
  );

  test('a checkpoint of another run, and a broken one, are refused', async () => {
    const checkpoint = join(folder, 'other.safetensors');
    await fit({}, { checkpoint });
    await expect(fit({ seed: 5 }, { checkpoint, resume: true })).rejects.toMatchObject({
      code: 'ND_TRAIN_RESUME_INCOMPATIBLE',
    });
    expect(() => loadCheckpoint('package.json')).toThrow(/ND_FILE_CORRUPT/);
    expect(readFileSync(checkpoint).length).toBeGreaterThan(0);
  });

  test('stops when the validation loss no longer falls, and gives back the best weights', async () => {
    const result = await fit({ maxSteps: 2000, learningRate: 0.5, clipNorm: 100, patience: 3 });
    expect(result.stoppedEarly).toBe(true);
    const best = result.history.reduce((a, b) => (b.validationLoss! < a.validationLoss! ? b : a));
    expect(result.bestStep).toBe(best.step);
    expect(result.steps).toBe(best.step + 30);
    const upToBest = await fit({ maxSteps: result.bestStep, learningRate: 0.5, clipNorm: 100 });
    expect(upToBest.values).toEqual(result.values);
  });

  test('a loss that is not a number stops the run, says where and on what, and keeps the checkpoint', async () => {
    const frame = sines();
    for (const [i, row] of [60, 61].entries()) frame.columns.target[row] = i === 0 ? 1e38 : -1e38;
    const checkpoint = join(folder, 'broken.safetensors');
    const spec = specOf('mlp', { hidden: 16 }, 'identity');
    const failing = fit({ maxSteps: 500, valCheckSteps: 1, learningRate: 1e-4 }, { spec, frame, checkpoint });
    const error = (await failing.catch((cause: unknown) => cause)) as NeuroDivergentError;
    expect(error.code).toBe('ND_TRAIN_LOSS_NOT_FINITE');
    const [, step] = /^step (\d+), batch of windows \d+, \d+, \d+, …$/.exec(error.where)!;
    expect(error.what).toMatch(/First not finite: \S+, of values from \S+ to \S+/);
    expect(error.what).toMatch(/The windows are sine \d, rows \d+ to \d+ from .*; and 13 more\./);
    expect(error.what).toMatch(/Window \d+ holds -?1e\+38: target of sine 0, row 6[12] at 1970-01-03 1[23]:00:00\./);
    expect(error.what).toContain(`The checkpoint of step ${Number(step) - 1} is untouched: ${checkpoint}.`);
    expect(loadCheckpoint(checkpoint)!.snapshot.steps).toBe(Number(step) - 1);
  });

  test('a lack of memory is told before the first step, and when an engine meets it', async () => {
    const job = {
      plan: planTraining(specOf('dlinear'), { batch: 4, seed: 1 }),
      windows: createWindows(sines(), { inputLength: 24, horizon: 6 }),
      settings: trainSettings('dlinear', quick),
    };
    const engine = {
      name: 'small',
      load: async () => {
        throw new NeuroDivergentError('ND_ENGINE_OUT_OF_MEMORY', { where: 'dlinear', what: 'No.', mend: 'Wait.' });
      },
    };
    await expect(train(job, { engine })).rejects.toThrow(
      /^training: A step of 4 windows .*\[ND_TRAIN_OUT_OF_MEMORY\]$/,
    );
    const unused = { ...engine, load: () => Promise.reject(new Error('This engine is not to be asked.')) };
    const large = { ...job, plan: { ...job.plan, neededBytes: 2 ** 60 } };
    await expect(train(large, { engine: unused })).rejects.toThrow('takes at least 1152921504.6 GB of memory');
  });

  test('a provider that is not there is refused by name', async () => {
    const fitting = fit({ provider: 'cuda', maxSteps: 1 });
    const error: unknown = await fitting.then(
      () => undefined,
      (cause: unknown) => cause,
    );
    if (error !== undefined)
      expect(error).toMatchObject({ code: 'ND_ENGINE_PROVIDER_MISSING', where: 'provider cuda' });
  });

  test('patience without a validation part, and a frame without a window, are refused', async () => {
    await expect(fit({ patience: 2 }, { validationSize: 0 })).rejects.toMatchObject({
      code: 'ND_CONFIG_PATIENCE_NEEDS_VALIDATION',
    });
    await expect(fit({}, { frame: sines({ rows: 20 }) })).rejects.toMatchObject({ code: 'ND_TRAIN_NO_WINDOW' });
  });
});
