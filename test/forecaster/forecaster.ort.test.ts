import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { takeRows, type TimeSeriesFrame } from '../../src/data/frame.js';
import { compile, deepar, dlinear, exportOnnx, Forecaster, gru, mlp, timellm, tsmixer } from '../../src/index.js';
import { readSafetensors } from '../../src/contracts/safetensors.js';
import { createOrtEngine } from '../../src/engine/ort.js';
import { readWeights } from '../../src/language/folder.js';
import { tiny, writeLanguageModel } from '../language/example.js';
import { sines } from '../train/example.js';

const folder = mkdtempSync(join(tmpdir(), 'nd-forecaster-'));
afterAll(() => rmSync(folder, { recursive: true }));

const frame = sines();
const rows = 400;
/** Without the last `count` rows of each series. */
const shortened = (count: number): TimeSeriesFrame =>
  takeRows(frame, (s) => ({ from: s * rows, to: (s + 1) * rows - count }));
const options = (loss: string | { name: string } = 'mae') => ({
  models: [dlinear({ horizon: 6, kernel: 5, inputLength: 24 }), mlp({ horizon: 6, hidden: 16 })],
  train: { maxSteps: 150, windowsBatchSize: 32, learningRate: 0.02, threads: 1, valCheckSteps: 50, loss },
});

let fitted: Forecaster;
beforeAll(async () => {
  fitted = await new Forecaster(options()).fit(shortened(6), { validationSize: 60, inProcess: true });
});

describe('a forecaster', () => {
  test('forecasts the steps after the frame, in sensor units', async () => {
    const { time, columns, ids, horizon } = await fitted.predict({ frame: shortened(6) });
    expect({ ids, horizon }).toEqual({ ids: ['sine 0', 'sine 1'], horizon: 6 });
    expect(Object.keys(columns)).toEqual(['dlinear', 'mlp']);
    expect([...time.subarray(0, 6)]).toEqual([...frame.time.subarray(rows - 6, rows)]);
    for (const values of Object.values(columns)) {
      for (const s of [0, 1]) {
        for (let step = 0; step < 6; step++) {
          expect(Math.abs(values[s * 6 + step]! - frame.columns.target[(s + 1) * rows - 6 + step]!)).toBeLessThan(
            0.25 * (s + 1),
          );
        }
      }
    }
  });

  test('gives conformal intervals that contain the point forecast and widen with the level', async () => {
    const { columns } = await fitted.predict({ frame: shortened(6), levels: [50, 90] });
    const at = (name: string): number => columns[`dlinear${name}`]![3]!;
    const ordered = [at('-lo-90'), at('-lo-50'), at(''), at('-hi-50'), at('-hi-90')];
    expect([...ordered].sort((a, b) => a - b)).toEqual(ordered);
    expect(ordered[0]).toBeLessThan(ordered[1]!);
  });

  test('a quantile loss gives its own intervals', async () => {
    const quantiles = new Forecaster(options({ name: 'mq' }));
    await quantiles.fit(frame, { inProcess: true });
    const { columns } = await quantiles.predict({ frame, levels: [80] });
    expect(Object.keys(columns)).toContain('mlp-ql0.5');
    expect(columns['mlp-lo-80']).toEqual(columns['mlp-ql0.1']);
    expect(columns['mlp-hi-80']).toEqual(columns['mlp-ql0.9']);
    await expect(quantiles.predict({ frame, levels: [50] })).rejects.toMatchObject({ code: 'ND_PREDICT_NOT_FITTED' });
  });

  test('models that read their own forecasts learn, forecast and tell how sure they are', async () => {
    const shape = { horizon: 6, inputLength: 24, hidden: 12, layers: 1 };
    const recurrent = new Forecaster({
      models: [deepar({ ...shape, dropout: 0 }), gru({ ...shape, recurrent: true, trainHorizon: 3 })],
      train: { maxSteps: 300, windowsBatchSize: 32, learningRate: 0.01, threads: 1, loss: { name: 'normal' } },
    });
    await recurrent.fit(shortened(6), { validationSize: 30, inProcess: true });
    const { columns } = await recurrent.predict({ frame: shortened(6), levels: [80] });
    for (const name of ['deepar', 'gru']) {
      const off = [...columns[name]!].map((value, i) => {
        const series = Math.floor(i / 6);
        return Math.abs(value - frame.columns.target[(series + 1) * rows - 6 + (i % 6)]!) / (series + 1);
      });
      expect(Math.max(...off)).toBeLessThan(0.3);
      for (const [i, low] of columns[`${name}-lo-80`]!.entries()) {
        expect(low).toBeLessThan(columns[name]![i]!);
        expect(columns[`${name}-hi-80`]![i]).toBeGreaterThan(columns[name]![i]!);
      }
    }
  });

  test('whole series are scaled by what was learned of each, also after a save and in a backtest', async () => {
    const apart = {
      ...frame,
      columns: { target: frame.columns.target.map((value, i) => (i < rows ? value : 1000 * value + 5e4)) },
    };
    const whole = new Forecaster({
      models: [mlp({ horizon: 6, inputLength: 24, hidden: 16 })],
      train: {
        maxSteps: 300,
        windowsBatchSize: 32,
        learningRate: 0.01,
        threads: 1,
        scaler: 'identity',
        seriesScaler: 'standard',
      },
    });
    const before = takeRows(apart, (s) => ({ from: s * rows, to: (s + 1) * rows - 6 }));
    await whole.fit(before, { validationSize: 30, inProcess: true });
    await whole.save(join(folder, 'whole'));
    const { columns } = await (await Forecaster.load(join(folder, 'whole'))).predict({ frame: before });
    expect(columns).toEqual((await whole.predict({ frame: before })).columns);
    for (const [i, value] of columns['mlp']!.entries()) {
      const size = i < 6 ? 1 : 2000;
      const truth = apart.columns.target[(Math.floor(i / 6) + 1) * rows - 6 + (i % 6)]!;
      expect(Math.abs(value - truth)).toBeLessThan(0.3 * size);
    }
    const { forecasts, actual } = await whole.crossValidation(apart, { windows: 2, inProcess: true });
    for (const [i, value] of forecasts['mlp']!.entries())
      expect(Math.abs(value - actual[i]!)).toBeLessThan(0.5 * (i < 12 ? 1 : 2000));
  });

  test('a language model reads prompts, stays as it is and stays in its folder', async () => {
    const languageModel = writeLanguageModel(join(folder, 'language'));
    const shape = { patch: 8, stride: 4, hidden: 4, heads: 2, keys: 4, prototypes: 8, promptTokens: 300 };
    const reading = new Forecaster({
      models: [timellm({ horizon: 6, inputLength: 24, languageModel, ...shape, prompt: 'Two sines. ' })],
      train: { maxSteps: 40, windowsBatchSize: 8, learningRate: 0.01, threads: 1, valCheckSteps: 20 },
    });
    await reading.fit(shortened(6), { validationSize: 30, inProcess: true });
    const [first, last] = [reading.model('timellm').history[0]!, reading.model('timellm').history.at(-1)!];
    expect(last.trainLoss).toBeLessThan(first.trainLoss);
    const stored = new Float32Array(tiny.positions * tiny.width);
    expect(reading.model('timellm').values['model/llm/wpe.weight']).toEqual(
      readWeights(languageModel, 'wpe.weight', stored),
    );

    const saved = join(folder, 'reading');
    await reading.save(saved);
    const { tensors } = readSafetensors(readFileSync(join(saved, 'timellm.safetensors')));
    expect(Object.keys(tensors).filter((name) => name.includes('/llm/'))).toEqual([]);
    const loaded = await Forecaster.load(saved);
    const { columns } = await loaded.predict({ frame: shortened(6) });
    expect(columns).toEqual((await reading.predict({ frame: shortened(6) })).columns);
    expect(columns['timellm']!.every(Number.isFinite)).toBe(true);
  });

  test('without a language model it says what to provide, before any work', async () => {
    const reading = new Forecaster({ models: [timellm({ horizon: 6, inputLength: 24 })] });
    await expect(reading.fit(frame, { inProcess: true })).rejects.toMatchObject({
      code: 'ND_LANGUAGE_MODEL_MISSING',
      mend: expect.stringContaining('model.safetensors') as string,
    });
  });

  test('one window through the compiled path gives the numbers of a batch', async () => {
    const { columns } = await fitted.predict({ frame: shortened(6) });
    for (const name of ['dlinear', 'mlp']) {
      const compiled = await compile(fitted.model(name));
      const length = compiled.inputs['past']![1]!;
      const past = frame.columns.target.subarray(rows - 6 - length, rows - 6);
      const mask = new Float32Array(length).fill(1);
      const forecast = [...compiled.run({ past, mask })];
      for (const [step, value] of forecast.entries()) expect(value).toBeCloseTo(columns[name]![step]!, 4);
      expect([...compiled.run({ past })]).toEqual(forecast);
      compiled.close();
    }
  });

  test('the exported model names its inputs and its output', async () => {
    const session = await createOrtEngine().load(exportOnnx(fitted.model('mlp'), { metadata: { line: 'boiler' } }));
    expect({ inputs: [...session.inputNames].sort(), outputs: session.outputNames }).toEqual({
      inputs: ['mask', 'past'],
      outputs: ['forecast'],
    });
    session.close();
  });

  test('saved and loaded, it forecasts the same numbers', async () => {
    const dir = join(folder, 'plant');
    await fitted.save(dir);
    await expect(fitted.save(dir)).rejects.toMatchObject({ code: 'ND_FILE_EXISTS' });
    await fitted.save(dir, { overwrite: true });
    const loaded = await Forecaster.load(dir);
    const question = { frame, levels: [90] };
    expect(await loaded.predict(question)).toEqual(await fitted.predict(question));
    expect(loaded.model('dlinear').history).toEqual(fitted.model('dlinear').history);
    await expect(Forecaster.load(join(folder, 'nowhere'))).rejects.toMatchObject({ code: 'ND_FILE_NOT_FOUND' });
  });

  test('a saved folder that was changed is refused', async () => {
    const dir = join(folder, 'changed');
    await fitted.save(dir);
    appendFileSync(join(dir, 'mlp.safetensors'), 'x');
    await expect(Forecaster.load(dir)).rejects.toMatchObject({ code: 'ND_FILE_CORRUPT' });
    const config = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')) as { models: { name: string }[] };
    writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...config, version: 99 }));
    await expect(Forecaster.load(dir)).rejects.toMatchObject({ code: 'ND_FILE_VERSION' });
    config.models[0]!.name = '../elsewhere';
    writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
    await expect(Forecaster.load(dir)).rejects.toMatchObject({ code: 'ND_FILE_CORRUPT' });
  });

  test('cross-validation learns before the first cut-off only', async () => {
    const result = await new Forecaster(options()).crossValidation(frame, { windows: 3, inProcess: true });
    expect(result.count).toBe(6);
    expect(Object.keys(result.forecasts)).toEqual(['dlinear', 'mlp']);
    expect(result.train.time.at(-1)).toBe(frame.time[rows - 3 * 6 - 1]);
    for (const forecast of Object.values(result.forecasts)) {
      for (const [i, value] of forecast.entries()) expect(Math.abs(value - result.actual[i]!)).toBeLessThan(0.6);
    }
  });

  test('a model of many series learns them together, beside models of one', async () => {
    const together = new Forecaster({
      ...options({ name: 'mq' }),
      models: [
        tsmixer({ horizon: 6, inputLength: 24, series: 2, hidden: 8, dropout: 0 }),
        mlp({ horizon: 6, hidden: 16 }),
      ],
    });
    const result = await together.crossValidation(frame, { windows: 3, inProcess: true });
    for (const forecast of Object.values(result.forecasts)) {
      for (const [i, value] of forecast.entries()) expect(Math.abs(value - result.actual[i]!)).toBeLessThan(1);
    }
    await together.fit(shortened(6), { validationSize: 60, inProcess: true });
    const { columns } = await together.predict({ frame: shortened(6), levels: [80] });
    for (const s of [0, 1]) {
      const truth = frame.columns.target.subarray((s + 1) * rows - 6, (s + 1) * rows);
      for (const [step, value] of truth.entries()) {
        expect(Math.abs(columns['tsmixer']![s * 6 + step]! - value)).toBeLessThan(1);
        expect(columns['tsmixer-lo-80']![s * 6 + step]).toBeLessThan(columns['tsmixer-hi-80']![s * 6 + step]!);
      }
    }
    const dir = join(folder, 'together');
    await together.save(dir);
    const loaded = await Forecaster.load(dir);
    expect((await loaded.predict({ frame: shortened(6), levels: [80] })).columns).toEqual(columns);

    const refused = { code: 'ND_CONFIG_SERIES_COUNT' };
    await expect(loaded.predict({ frame: sines({ series: 3 }) })).rejects.toMatchObject(refused);
    await expect(together.fit(sines({ series: 3 }), { inProcess: true })).rejects.toMatchObject(refused);
    await expect(loaded.predict({ frame: sines({ series: 1 }) })).rejects.toMatchObject(refused);
  });

  test('set-ups that cannot work are refused before anything is trained', async () => {
    expect(() => new Forecaster({ models: [] })).toThrow(/ND_CONFIG_CONFLICT/);
    expect(() => new Forecaster({ models: [mlp({ horizon: 6 }), mlp({ horizon: 6 })] })).toThrow(
      /Two models are called mlp/,
    );
    expect(() => new Forecaster({ models: [mlp({ horizon: 6 }), dlinear({ horizon: 5 })] })).toThrow(
      /ND_CONFIG_HORIZON_MISMATCH/,
    );
    expect(() => new Forecaster({ models: [mlp({ horizon: 6, historic: 1 })] })).toThrow(/ND_CONFIG_CONFLICT/);
    expect(() => new Forecaster({ models: [dlinear({ horizon: 6 })], covariates: { future: ['promo'] } })).toThrow(
      /ND_CONFIG_COVARIATES_UNSUPPORTED/,
    );
    expect(() => new Forecaster({ models: [dlinear({ horizon: 6, kernel: 4 })] })).toThrow(/ND_HYPERPARAMETER/);
    await expect(new Forecaster(options()).predict({ frame })).rejects.toMatchObject({ code: 'ND_PREDICT_NOT_FITTED' });
    await expect(fitted.predict({ frame: { ...frame, frequency: 'D' } })).rejects.toMatchObject({
      code: 'ND_CONFIG_CONFLICT',
    });
    await expect(fitted.predict({ frame: sines({ rows: 10 }) })).rejects.toMatchObject({ code: 'ND_DATA_INVALID' });
  });
});
