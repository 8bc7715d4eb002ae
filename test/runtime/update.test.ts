import { describe, expect, test } from 'vitest';
import { chooseTarget, createForecaster } from '../../src/runtime/forecaster.js';
import type { Able } from '../../src/runtime/forecaster.js';
import { runSelfTest } from '../../src/runtime/self-test.js';
import { boundStreams } from '../../src/runtime/offer.js';
import { fakeClock, manifestOf, naiveEngine } from './fakes.js';

const pc = { arch: 'x64', providers: ['cpu'] } as const;

test('bindings name streams for the role of the target, once each', () => {
  const wanted = { line: 'boiler', release: 1, manifestSha256: '', urls: [], mode: 'active' as const };
  const manifest = manifestOf();
  expect(boundStreams({ ...wanted, bind: { target: 'a' } }, manifest)).toEqual(['a']);
  expect(boundStreams({ ...wanted, bind: [{ target: 'a' }, { target: 'b' }, { target: 'a' }] }, manifest)).toEqual([
    'a',
    'b',
  ]);
  expect(boundStreams({ ...wanted, bind: { other: 'a' } }, manifest)).toBeUndefined();
  expect(boundStreams({ ...wanted, bind: [] }, manifest)).toBeUndefined();
  expect(boundStreams({ ...wanted, bind: { target: 'a' } }, undefined)).toBeUndefined();
});

describe('a forecaster', () => {
  const window = { past: Float32Array.of(1, 2, 3, 4), mask: Float32Array.of(1, 1, 1, 1), imputed: 0, nextMs: 100 };
  const choice = (change = {}) => chooseTarget(manifestOf(change), pc)!;

  test('takes the first target this machine can run', () => {
    expect(choice()).toMatchObject({ precision: 'fp32', modelFile: 'model.fp32.onnx' });
    expect(chooseTarget(manifestOf(), { ...pc, arch: 'riscv64' })).toBeUndefined();
    expect(chooseTarget(manifestOf({ files: [] }), pc)).toBeUndefined();
  });

  test('prefers the provider that the machine prefers, and gives TensorRT the files of CUDA', () => {
    const target = (provider: string, precision: 'fp16' | 'fp32') => ({
      arch: ['x64' as const],
      provider,
      precision,
      files: [`model.${precision}.onnx`, 'golden.safetensors'],
    });
    const file = (path: string) => ({ path, role: 'model' as const, sha256: '', length: 1 });
    const manifest = manifestOf({
      targets: [target('cpu', 'fp32'), target('cuda', 'fp16')],
      files: [file('model.fp32.onnx'), file('model.fp16.onnx')],
    });
    const choose = (...providers: Able['providers']) => chooseTarget(manifest, { ...pc, providers });
    expect(choose('cuda', 'cpu')).toMatchObject({ provider: 'cuda', precision: 'fp16', modelFile: 'model.fp16.onnx' });
    expect(choose('tensorrt', 'cpu')).toMatchObject({ provider: 'tensorrt', precision: 'fp16' });
    expect(choose('cpu', 'cuda')).toMatchObject({ provider: 'cpu', precision: 'fp32' });
    expect(choose('cuda')).toMatchObject({ precision: 'fp16' });
    expect(chooseTarget(manifestOf(), { ...pc, providers: ['cuda'] })).toBeUndefined();
  });

  test('brings the bundle’s half-widths, never zero', async () => {
    const forecaster = await createForecaster(
      naiveEngine(4),
      choice({ calibration: { method: 'conformal', coverage: 0.8, scores: [1, 0, 2, 3] } }),
      new Uint8Array(),
    );
    expect(forecaster.forecast(window)().forecast).toEqual({
      startMs: 100,
      p50: Float32Array.of(4, 4, 4, 4),
      halfWidth: Float32Array.of(1, 1e-6, 2, 3),
      coverage: 0.8,
      imputed: 0,
    });
  });

  test('reads quantiles by their place, and takes the outer ones as interval', async () => {
    const engine = naiveEngine(12, () => Float32Array.from({ length: 12 }, (_, i) => [5, 3, 9][i % 3]!));
    const forecaster = await createForecaster(
      engine,
      choice({ quantiles: [0.5, 0.05, 0.95], calibration: null }),
      new Uint8Array(),
    );
    expect(forecaster.forecast(window)().forecast).toMatchObject({
      p50: Float32Array.of(5, 5, 5, 5),
      halfWidth: Float32Array.of(3, 3, 3, 3),
      coverage: expect.closeTo(0.9) as number,
    });
  });

  test('without calibration and quantiles there is no interval', async () => {
    const forecaster = await createForecaster(naiveEngine(4), choice({ calibration: null }), new Uint8Array());
    expect(forecaster.forecast(window)().forecast).toMatchObject({
      coverage: null,
      halfWidth: Float32Array.of(1, 1, 1, 1),
    });
  });

  test.each([
    ['NaN', NaN],
    ['Infinity', Infinity],
  ])('never lets %s out', async (_, value) => {
    const forecaster = await createForecaster(
      naiveEngine(4, (forecast) => forecast.fill(value, 2)),
      choice(),
      new Uint8Array(),
    );
    expect(forecaster.forecast(window)()).toMatchObject({
      forecast: undefined,
      failed: 'the model answered with something that is no number',
    });
  });

  test('refuses a graph it cannot feed', async () => {
    const engine = naiveEngine(4);
    const odd = {
      ...engine,
      load: async () => ({ ...(await engine.load(new Uint8Array())), inputNames: ['past', 'weather'] }),
    };
    await expect(createForecaster(odd, choice(), new Uint8Array())).rejects.toMatchObject({ code: 'ND_ENGINE_FAILED' });
  });
});

test('a bundle without golden vectors for its precision fails the self-test, and so does a missing file', async () => {
  const job = (change = {}) => ({ dir: '/nowhere', choice: chooseTarget(manifestOf(change), pc)! });
  expect(await runSelfTest(job(), naiveEngine(4), fakeClock())).toMatchObject({
    ok: false,
    detail: 'no golden vectors for fp32',
  });
  const files = [...manifestOf().files, { path: 'golden.safetensors', role: 'golden' as const, sha256: '', length: 1 }];
  expect(await runSelfTest(job({ files }), naiveEngine(4), fakeClock())).toMatchObject({
    ok: false,
    reason: 'self_test_failed',
  });
});
