import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verifyBundle } from '../../src/bundle/verify.js';
import type { TimeSeriesFrame } from '../../src/data/frame.js';
import { createOrtEngine } from '../../src/engine/ort.js';
import { createForecaster } from '../../src/runtime/forecaster.js';
import { readSource } from '../../src/runtime/tune-source.js';
import type { Source } from '../../src/runtime/tune-source.js';
import { splitWindows, stretchesOf } from '../../src/runtime/tune-windows.js';
import { seriesSettings } from '../../src/runtime/series.js';
import { openSlots } from '../../src/runtime/slots.js';
import { trainOn, tuneLine } from '../../src/runtime/tune.js';
import type { TuneJob } from '../../src/runtime/tune.js';
import { createSystemClock } from '../../src/runtime/clock.js';
import { fitModel } from '../../src/train/fit.js';
import { configOf, freshModel, installBundle, spec, storeReadings, task, tunableBundle, wave } from './tunable.js';

const engine = createOrtEngine();
const clock = createSystemClock('trusted');
let dir: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'nd-tune-'));
  await tunableBundle(join(dir, 'bundle'));
});
afterAll(() => rmSync(dir, { recursive: true }));

/** A device with the bundle and readings of `boiler`. */
function device(name: string, { bundle = 'bundle', readings = wave(400), streams = ['boiler'] } = {}): string {
  const stateDir = join(dir, name);
  installBundle(stateDir, join(dir, bundle), streams);
  if (readings.length > 0) storeReadings(stateDir, 'boiler', readings);
  return stateDir;
}
const tune = (stateDir: string, change: Partial<TuneJob> = {}) =>
  tuneLine(
    { config: configOf(stateDir), line: 'boiler', stream: null, steps: 60, dryRun: false, ...change },
    { engine, clock },
  );
const source = (stateDir: string): Source => {
  const slots = openSlots(stateDir);
  const pointer = slots.pointer('boiler')!;
  const read = readSource(slots.dir('boiler', pointer.slot), pointer);
  if (!read.ok) throw new Error(read.detail);
  return read.value;
};

test('a bundle with what tuning takes is sound', async () => {
  expect(await verifyBundle(join(dir, 'bundle'))).toEqual([]);
});

test('parameters come out bit for bit as those of the workstation: same start, windows, seed and threads', async () => {
  const stateDir = device('equal');
  const { plan, values, train, released } = source(stateDir);
  const stretches = stretchesOf(
    wave(400),
    seriesSettings(released.manifest, { maxGap: 3, latenessMs: 0, holdMs: null }),
  );
  expect(stretches.length).toBe(2);
  expect(stretches.some(({ mask }) => mask.includes(0))).toBe(true);
  const { learned } = splitWindows(stretches, task);
  const tuned = await trainOn(learned, { engine, clock, train, plan, values, task, steps: 25 });

  // The workstation sees the steps before the held-out ones as two series with gaps that were filled in.
  let left = Math.ceil(0.8 * stretches.reduce((sum, { values: steps }) => sum + steps.length, 0));
  const seen = stretches.map((stretch) => {
    const rows = Math.min(left, stretch.values.length);
    left -= rows;
    return { values: stretch.values.subarray(0, rows), mask: stretch.mask.subarray(0, rows) };
  });
  const [a, b] = seen.map((part) => part.values.length) as [number, number];
  const frame: TimeSeriesFrame = {
    ids: ['before', 'after'],
    offsets: Uint32Array.of(0, a, a + b),
    time: Float64Array.from({ length: a + b }, (_, i) => (i < a ? i : i - a)),
    columns: { target: Float32Array.from(seen.flatMap((part) => [...part.values])) },
    available: Uint8Array.from(seen.flatMap((part) => [...part.mask])),
    frequency: '1',
  };
  const { settings } = freshModel();
  const fitted = await fitModel({
    spec,
    frame,
    settings: { ...settings, maxSteps: 25, windowsBatchSize: plan.batch, learningRate: plan.learningRate },
    start: values,
    inProcess: true,
  });
  expect(tuned.ok && Object.keys(tuned.value).sort()).toEqual(Object.keys(fitted.values).sort());
  for (const [name, value] of Object.entries(fitted.values)) {
    expect(tuned.ok && tuned.value[name], name).toEqual(value); // float32, compared bit for bit but for the sign of zero
    expect(value, `${name} has learned`).not.toEqual(values[name]);
  }
});

test('a model that got better waits as a bundle of its own, with the release inside', async () => {
  const stateDir = device('better');
  const before = JSON.stringify(openSlots(stateDir).pointer('boiler'));
  const result = await tune(stateDir);
  expect(result).toMatchObject({ ok: true, value: { line: 'boiler', release: 1, steps: 60, kept: true, gate: { better: true } } }); // prettier-ignore

  const tuned = openSlots(stateDir).tunedDir('boiler');
  expect(readdirSync(tuned).sort()).toEqual(['golden.safetensors', 'manifest.json', 'model.fp32.onnx', 'released']);
  expect((await verifyBundle(tuned)).map(({ where }) => where).every((where) => where.startsWith('released/'))).toBe(true); // prettier-ignore
  expect(await verifyBundle(join(tuned, 'released'))).toEqual([]);
  const manifest = JSON.parse(readFileSync(join(tuned, 'manifest.json'), 'utf8')) as Record<string, unknown>;
  const { manifestSha256 } = openSlots(stateDir).pointer('boiler')!;
  expect(manifest).toMatchObject({ name: 'boiler-nhits-tuned', release: 1, parent: 'boiler/1', tuned: { manifest_sha256: manifestSha256 } }); // prettier-ignore
  expect(JSON.stringify(openSlots(stateDir).pointer('boiler'))).toBe(before);
});

test('equal readings give equal bits, again and again', async () => {
  const models = ['once', 'twice'].map((name) => device(name));
  for (const stateDir of models) expect(await tune(stateDir)).toMatchObject({ ok: true });
  const [once, twice] = models.map((at) => readFileSync(join(openSlots(at).tunedDir('boiler'), 'model.fp32.onnx')));
  expect(once!.equals(twice!)).toBe(true);
});

test('the template holds the model of the workstation', async () => {
  const { released, template } = source(device('template', { readings: [] }));
  const choice = { manifest: released.manifest, provider: 'cpu', precision: 'fp32', modelFile: 'x' } as const;
  const shipped = await createForecaster(engine, choice, readFileSync(join(released.dir, 'model.fp32.onnx')));
  const same = await createForecaster(engine, choice, template);
  const past = Float32Array.from({ length: task.inputLength }, (_, i) => 20 + Math.sin(i));
  const window = { past, mask: new Float32Array(task.inputLength).fill(1), imputed: 0, nextMs: 0 };
  const [expected, found] = [shipped, same].map((one) => one.forecast(window)().forecast!.p50) as [
    Float32Array,
    Float32Array,
  ];
  for (const [h, value] of expected.entries()) expect(found[h]).toBeCloseTo(value, 4);
  shipped.close();
  same.close();
});

describe('nothing waits', () => {
  test('of a dry run, which tells the same', async () => {
    const stateDir = device('dry');
    expect(await tune(stateDir, { dryRun: true })).toMatchObject({ ok: true, value: { kept: false, gate: { better: true } } }); // prettier-ignore
    expect(existsSync(join(stateDir, 'tuned'))).toBe(false);
  });

  test('of a model that is no better, and the figures say why', async () => {
    await tunableBundle(join(dir, 'slow'), { model: freshModel({ learningRate: 1e-4 }) });
    const stateDir = device('dropped', { bundle: 'slow' });
    expect(await tune(stateDir, { steps: 1 })).toMatchObject({
      ok: true,
      value: { kept: false, gate: { better: false, why: expect.stringMatching(/1 % lower is asked for$/) as string } },
    });
    expect(existsSync(join(stateDir, 'tuned'))).toBe(false);
  });

  test('where there is no model, or one without what tuning takes', async () => {
    expect(await tune(join(dir, 'nowhere'))).toMatchObject({ ok: false, reason: 'no_model' });
    expect(await tune(device('unserved'), { stream: 'kettle' })).toMatchObject({
      reason: 'no_model',
      detail: 'boiler serves boiler, and not kettle',
    });
    await tunableBundle(join(dir, 'plain'), { tunable: false });
    expect(await tune(device('plain-device', { bundle: 'plain' }))).toMatchObject({ reason: 'not_tunable' });
  });

  test('of readings that are too few', async () => {
    expect(await tune(device('none', { readings: [] }))).toMatchObject({ reason: 'too_few_windows' });
    expect(await tune(device('few', { readings: wave(60) }))).toMatchObject({
      reason: 'too_few_windows',
      detail: expect.stringMatching(/^\d+ windows of 8 \+ 6 steps to learn from and \d+ to judge by/) as string,
    });
  });

  test('of a file that is not the one that was installed', async () => {
    for (const file of ['train.onnx', 'template.onnx']) {
      const stateDir = device(`changed-${file}`);
      const path = join(openSlots(stateDir).dir('boiler', 'a'), file);
      const bytes = readFileSync(path);
      bytes[bytes.length - 40]! ^= 1;
      writeFileSync(path, bytes);
      expect(await tune(stateDir)).toMatchObject({ ok: false, reason: 'hash_mismatch' });
      rmSync(path);
      expect(await tune(stateDir)).toMatchObject({ ok: false, reason: 'hash_mismatch' });
    }
  });

  test('of a loss that is no number', async () => {
    const wild = wave(400).map((reading) => ({ ...reading, value: reading.value * 1e37 }));
    expect(await tune(device('wild', { readings: wild }))).toMatchObject({ ok: false, reason: 'not_finite' });
  });
});

test('one stream may be learned from, and all that the line serves must not lose', async () => {
  const stateDir = device('both', { streams: ['boiler', 'kettle'] });
  storeReadings(stateDir, 'kettle', wave(400, 60));
  const all = await tune(stateDir, { dryRun: true });
  const one = await tune(stateDir, { stream: 'kettle', dryRun: true });
  expect([all, one]).toMatchObject([{ ok: true }, { ok: true }]);
  if (!all.ok || !one.ok) return;
  expect(all.value.windows).toBe(2 * one.value.windows);
  for (const { gate } of [all.value, one.value]) expect(Object.keys(gate.streams)).toEqual(['boiler', 'kettle']);
});

test('a tuned model is tuned anew from the release inside it', async () => {
  const stateDir = device('again');
  await tune(stateDir, { steps: 8 });
  const slots = openSlots(stateDir);
  const { manifestSha256: tunedFrom } = slots.pointer('boiler')!;
  cpSync(slots.tunedDir('boiler'), slots.stagingDir('boiler'), { recursive: true });
  slots.install('boiler', 'b');
  const sha = createHash('sha256')
    .update(readFileSync(join(slots.dir('boiler', 'b'), 'manifest.json')))
    .digest('hex');
  slots.point('boiler', { ...slots.pointer('boiler')!, slot: 'b', manifestSha256: sha, tunedFrom });
  const again = await tune(stateDir, { steps: 8 });
  expect(again).toMatchObject({ ok: true, value: { kept: false, gate: { ratio: 1, better: false } } }); // the same model
  const longer = await tune(stateDir, { steps: 80 });
  expect(longer).toMatchObject({ ok: true, value: { kept: true } });
  const manifest = JSON.parse(readFileSync(join(slots.tunedDir('boiler'), 'manifest.json'), 'utf8')) as object;
  expect(manifest).toMatchObject({ name: 'boiler-nhits-tuned', tuned: { manifest_sha256: tunedFrom } });
});
