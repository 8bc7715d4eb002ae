import { expect, test } from 'vitest';
import { compress, deviceTask, heldOutRows, holdOut, windowArrays } from '../../src/cli/ship.js';
import { createOrtEngine } from '../../src/engine/ort.js';
import { Forecaster } from '../../src/forecaster/forecaster.js';
import { findModel } from '../../src/models/index.js';
import { sines, specOf } from '../train/example.js';

test('a model that was not validated is judged by a fifth of the rows', () => {
  expect(heldOutRows({ spec: specOf('mlp'), errors: undefined } as never, sines())).toBe(80);
});

test('a model of many series is refused on devices, since a device forecasts each by itself', () => {
  expect(() => deviceTask({ spec: specOf('tsmixer', { series: 2 }) })).toThrow(/tsmixer: .*\[ND_CONFIG_CONFLICT\]/);
});

test('a model of many series that reads other columns is quantized with all that it reads', async () => {
  const plain = sines();
  const level = plain.columns.target.map((_, row) => (row < plain.offsets[1]! ? 1 : 2));
  const wind = plain.columns.target.map((_, row) => Math.cos(row / 5));
  const frame = { ...plain, columns: { ...plain.columns, level, wind } };
  const forecaster = new Forecaster({
    models: [
      { name: 'wide', model: findModel('mlpmultivariate'), hyperparameters: { inputLength: 24, horizon: 6, series: 2, hidden: 128 } }, // prettier-ignore
    ],
    covariates: { historic: ['wind'], future: ['wind'], static: ['level'] },
    train: { maxSteps: 3, windowsBatchSize: 8, threads: 1 },
  });
  await forecaster.fit(frame, { inProcess: true });
  const [model] = forecaster.models;
  const { rest: calibration, held: validation } = holdOut(frame, 80, 24);

  const windows = windowArrays(validation, model!.spec, 10);
  expect(Object.fromEntries(Object.entries(windows).map(([name, { length }]) => [name, length]))).toEqual({
    past: 10 * 24 * 2,
    mask: 10 * 24 * 2,
    target: 10 * 6 * 2,
    targetMask: 10 * 6 * 2,
    historic: 10 * 24 * 2,
    future: 10 * 30 * 2,
    static: 2,
    series: 10,
  });
  const { report, latency } = await compress(model!, {
    engine: createOrtEngine(),
    to: 'int8',
    calibration,
    validation,
    maxLoss: 0.05,
  });
  expect(report.sizeRatio).toBeLessThan(0.35);
  expect(report.layers.length).toBe(3);
  expect(latency.small.p50Us).toBeGreaterThan(0);
});
