import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { modelTeacher, onnxTeacher, type DistillOptions } from '../../src/distill/index.js';
import { createOrtEngine } from '../../src/engine/ort.js';
import { createGraph, matmul, reshape, constant, slice, toOnnx, type Tensor } from '../../src/graph/index.js';
import { distill, dlinear, exportOnnx, Forecaster, gru, mlp, tsmixer } from '../../src/index.js';
import { sines } from '../train/example.js';

const folder = mkdtempSync(join(tmpdir(), 'nd-distill-'));
afterAll(() => rmSync(folder, { recursive: true }));

const frame = sines({ rows: 200, noise: 1.5 });
const train = { maxSteps: 80, windowsBatchSize: 32, learningRate: 0.01, threads: 1, valCheckSteps: 40, scaler: 'standard' } as const; // prettier-ignore
const small = { ...train, maxSteps: 40, valCheckSteps: 20 };
const student = mlp({ horizon: 6, inputLength: 24, hidden: 8, layers: 1 });
const base = { student, train: small, frame, validationSize: 30, seeds: 1, inProcess: true };

let teacher: Forecaster;
beforeAll(async () => {
  teacher = new Forecaster({ models: [dlinear({ horizon: 6, inputLength: 36, kernel: 5 })], train });
  await teacher.fit(frame, { validationSize: 30, inProcess: true });
});

describe('a student', () => {
  test('gets nearer to its teacher with the teacher than alone, and is a forecaster like any other', async () => {
    const stages = new Set<string>();
    const cache = join(folder, 'near');
    const options: DistillOptions = {
      ...base,
      teacher,
      alpha: 4,
      seeds: 2,
      cache,
      on: ({ stage }) => void stages.add(stage),
    };
    const { forecaster, report } = await distill(options);
    expect([...stages]).toEqual(['teacher', 'alone', 'taught']);
    expect(report).toMatchObject({
      metric: 'mae',
      windows: 2 * 25,
      teacher: { members: [{ name: 'dlinear', weight: 1 }] },
    });
    expect(report.alone.errors).toHaveLength(2);
    expect(report.passed).toBe(report.betterThanAlone && report.withinTeacher);
    await forecaster.save(join(folder, 'student'));
    const loaded = await Forecaster.load(join(folder, 'student'));
    expect((await loaded.predict({ frame })).columns).toEqual((await forecaster.predict({ frame })).columns);

    const far = async (one: Forecaster): Promise<number> => {
      const [a, b] = await Promise.all([one.predict({ frame }), teacher.predict({ frame })]);
      return a.columns['mlp']!.reduce((sum, value, i) => sum + (value - b.columns['dlinear']![i]!) ** 2, 0);
    };
    const alone = new Forecaster({ models: [student], train: small, seed: report.seed });
    await alone.fit(frame, { validationSize: 30, inProcess: true });
    expect(await far(forecaster)).toBeLessThan(await far(alone));
    expect(await distill({ ...options, on: () => undefined }).then(({ report: again }) => again)).toEqual(report);
  });

  test('learns from a greedy ensemble of models of other kinds, and from made-up windows', async () => {
    const other = new Forecaster({ models: [gru({ horizon: 6, inputLength: 24, hidden: 8 })], train: small });
    await other.fit(frame, { validationSize: 30, inProcess: true });
    const { report } = await distill({ ...base, teacher: [teacher, other], extra: 0.5, tilt: 0.5 });
    const { members, error } = report.teacher;
    expect(members.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 6);
    expect(error).toBeLessThanOrEqual(Math.min(...members.map((member) => member.error)) + 1e-6);
  });

  test('of many series learns from a model of one, and the reverse', async () => {
    const many = tsmixer({ horizon: 6, inputLength: 24, series: 2, blocks: 1 });
    const { forecaster } = await distill({ ...base, student: many, teacher });
    const { report } = await distill({ ...base, teacher: forecaster });
    expect(report.teacher.members).toMatchObject([{ name: 'tsmixer' }]);
    await expect(distill({ ...base, teacher: forecaster, extra: 1 })).rejects.toMatchObject({
      code: 'ND_CONFIG_CONFLICT',
    });
  });

  test('with quantiles learns those of its teacher', async () => {
    const loss = { name: 'mq', quantiles: [0.1, 0.5, 0.9] };
    const wise = new Forecaster({ models: [dlinear({ horizon: 6, inputLength: 24 })], train: { ...small, loss } });
    await wise.fit(frame, { validationSize: 30, inProcess: true });
    const { forecaster } = await distill({ ...base, teacher: wise, train: { ...small, loss } });
    expect(Object.keys((await forecaster.predict({ frame })).columns)).toContain('mlp-ql0.9');
  });

  test('goes on where it was stopped, and ends as it would have', async () => {
    const checkpoints = join(folder, 'runs');
    const options: DistillOptions = { ...base, teacher, checkpoints };
    const controller = new AbortController();
    const stopped = distill({
      ...options,
      signal: controller.signal,
      on: ({ stage, done }) => void (stage === 'taught' && done >= 20 && controller.abort()),
    });
    await expect(stopped).rejects.toMatchObject({ code: 'ND_TRAIN_CANCELLED' });
    expect(readdirSync(checkpoints)).toEqual(['alone-1', 'taught-1']);
    const resumed = await distill({ ...options, resume: true });
    const whole = await distill({ ...base, teacher });
    expect(resumed.report).toEqual(whole.report);
  });

  test('learns on with INT8 in mind, from the weights it has', async () => {
    const wide = mlp({ horizon: 6, inputLength: 24, hidden: 64, layers: 1 });
    const { forecaster, aware } = await distill({ ...base, student: wide, teacher, aware: true });
    const [before, after] = [forecaster.models[0]!, aware!.models[0]!];
    expect(after.settings).toMatchObject({ maxSteps: 8, learningRate: 0.001 });
    const weights = (model: typeof before) => model.values['model/layer0/weight']!;
    const moved = Math.hypot(...weights(after).map((value, i) => value - weights(before)[i]!));
    expect(moved).toBeGreaterThan(0);
    expect(moved / Math.hypot(...weights(before))).toBeLessThan(0.1);
  });

  test('of a bad teacher is reported as such, not refused', async () => {
    const confused = { ...modelTeacher(teacher.model('dlinear')), fingerprint: 'confused', predict: (_: unknown, count: number) => new Float32Array(count * 6).fill(99) }; // prettier-ignore
    const { report } = await distill({ ...base, teacher: confused });
    expect(report).toMatchObject({ passed: false, verdict: expect.stringContaining('The teacher is worse') as string });
  });

  test('needs rows to be judged by, and settings within their range', async () => {
    await expect(distill({ ...base, teacher, validationSize: 5 })).rejects.toMatchObject({
      code: 'ND_CONFIG_OUT_OF_RANGE',
    });
    await expect(distill({ ...base, teacher, alpha: -1 })).rejects.toMatchObject({ code: 'ND_CONFIG_OUT_OF_RANGE' });
  });
});

describe('an ONNX file', () => {
  const engine = createOrtEngine();
  const file = (name: string, build: (g: ReturnType<typeof createGraph>) => Record<string, Tensor>): string => {
    const g = createGraph();
    const path = join(folder, `${name}.onnx`);
    writeFileSync(path, toOnnx(g.finish(build(g))));
    return path;
  };
  const halves = constant(new Array<number>(24 * 6).fill(1 / 24), [24, 6]);

  test('teaches as the model that it was written from', async () => {
    const path = join(folder, 'dlinear.onnx');
    writeFileSync(path, exportOnnx(teacher.model('dlinear')));
    const fromFile = await onnxTeacher(path, { engine, inputLength: 24, horizon: 6 });
    expect(fromFile).toMatchObject({ name: 'dlinear', inputLength: 36, horizon: 6 });
    const { report } = await distill({ ...base, teacher: fromFile });
    const { report: own } = await distill({ ...base, teacher });
    expect(report.teacher.error).toBeCloseTo(own.teacher.error, 5);
  });

  test('may name its ports as it likes, and have a fixed batch', async () => {
    const plain = file('plain', (g) => ({ y: matmul(g.input('x', ['batch', 24]), halves) }));
    const single = file('single', (g) => ({
      y: reshape(matmul(reshape(g.input('x', [1, 24, 1]), { shape: [1, 24] }), halves), { shape: [1, 6, 1] }),
    }));
    const reports = [];
    for (const path of [plain, single])
      reports.push((await distill({ ...base, teacher: await onnxTeacher(path, { engine, inputLength: 9, horizon: 6 }) })).report.teacher.error); // prettier-ignore
    expect(reports[0]).toBeCloseTo(reports[1]!, 6);
  });

  test.each([
    [
      'several inputs',
      (g: ReturnType<typeof createGraph>) => ({ y: matmul(g.input('x', ['batch', 24]), g.input('w', [24, 6])) }),
    ],
    [
      'many columns',
      (g: ReturnType<typeof createGraph>) => ({
        y: slice(g.input('x', ['batch', 24, 3]), { axis: 1, start: 0, end: 6 }),
      }),
    ],
  ])('with %s is refused', async (name, build) => {
    const path = file(name.replace(' ', '-'), build);
    await expect(onnxTeacher(path, { engine, inputLength: 24, horizon: 6 })).rejects.toMatchObject({
      code: 'ND_DISTILL_TEACHER_UNSUPPORTED',
    });
  });

  test('that is none is refused by its code', async () => {
    const path = join(folder, 'text.onnx');
    writeFileSync(path, 'no model');
    await expect(onnxTeacher(path, { engine, inputLength: 24, horizon: 6 })).rejects.toMatchObject({
      code: 'ND_ENGINE_MODEL_CORRUPT',
    });
    await expect(onnxTeacher(`${path}x`, { engine, inputLength: 24, horizon: 6 })).rejects.toMatchObject({
      code: 'ND_FILE_NOT_FOUND',
    });
  });
});
