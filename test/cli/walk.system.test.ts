import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { startBroker } from '../../src/transport/broker.js';
import { connectMqtt } from '../../src/transport/mqtt.js';
import { example, jsonOf, nd } from './nd.js';

let dir: string;
const run = (...args: string[]) => nd(args, { cwd: dir });
const data = ['--data', example, '--fill-gaps', 'linear'];
const tiny = ['--horizon', '6', '--max-steps', '40', '--batch', '32', '--set', 'nhits.hidden=[32,32]', 'train.valCheckSteps=20']; // prettier-ignore
const figure = expect.any(Number) as number;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'nd-cli-'));
});
afterAll(() => rm(dir, { recursive: true }));

describe('what a new user does, one command after the other', () => {
  test('nd train writes a forecaster and says what to type next', async () => {
    const trained = await run('train', ...data, '--out', 'office', '--model', 'nhits,dlinear', ...tiny);
    expect(trained).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ +model +validation MAE.*\n.*\n +nhits/) as string }); // prettier-ignore
    expect(trained.stderr).toContain(`Next: nd evaluate office --data ${example} --fill-gaps linear`);
    expect(readdirSync(join(dir, 'office')).sort()).toEqual([
      'config.json',
      'dlinear.safetensors',
      'nhits.safetensors',
    ]);
  });

  test('nd train refuses to replace it unasked, before it reads the data', async () => {
    const refused = await run('train', '--data', 'nowhere.csv', '--out', 'office', ...tiny, '--json');
    expect([refused.code, jsonOf(refused)]).toMatchObject([7, { error: { code: 'ND_FILE_EXISTS' } }]);
  });

  test('nd predict writes CSV or JSON, with intervals', async () => {
    const { stdout } = await run('predict', 'office', ...data, '--levels', '90');
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toBe('series,time,nhits,nhits-lo-90,nhits-hi-90,dlinear,dlinear-lo-90,dlinear-hi-90');
    expect(lines).toHaveLength(1 + 6);
    expect(lines[1]).toMatch(/^series,2014-05-28 16:00:00,[\d.]+,/);

    const past = ['time,value', ...readFileSync(example, 'utf8').trimEnd().split('\n').slice(-40)].join('\n');
    const piped = await nd(['predict', 'office', '--data', '-', '--json'], { cwd: dir, input: past });
    const [first] = jsonOf(piped)['forecasts'] as { columns: { nhits: number[] } }[];
    expect(first?.columns.nhits[0]).toBeCloseTo(Number(lines[1]!.split(',')[2]), 3);
  });

  test('nd evaluate puts naive, seasonal naive and ridge beside it', async () => {
    const result = jsonOf(await run('evaluate', 'office', ...data, '--windows', '5', '--report', 'r.html', '--json'));
    expect(result).toMatchObject({ windows: 5, horizon: 6, step: 6, season: 24 });
    const names = (result['models'] as { name: string }[]).map(({ name }) => name);
    expect(names.sort()).toEqual(['dlinear', 'naive', 'nhits', 'ridge', 'seasonal naive']);
    expect((result['models'] as object[])[0]).toMatchObject({ mae: figure, rmse: figure, smape: figure, mase: figure });
    expect(await readFile(join(dir, 'r.html'), 'utf8')).toMatch(/^<!doctype html>[\s\S]*<svg/);
  });

  test('nd quantize proves the small model, and exits with 6 when the gate is missed', async () => {
    const args = ['quantize', 'office', ...data, '--model', 'nhits', '--json'];
    expect(jsonOf(await run(...args, '--out', 'small.onnx', '--max-loss', '1'))).toMatchObject({
      model: 'nhits',
      sizeRatio: figure,
      maeLoss: figure,
      latencyUs: { fp32: { p50Us: figure }, small: { p50Us: figure } },
    });
    const missed = await run(...args, '--out', 'none.onnx', '--max-loss', '-1');
    expect([missed.code, jsonOf(missed)]).toMatchObject([6, { error: { code: 'ND_QUANTIZE_GATE_FAILED' } }]);
    expect(existsSync(join(dir, 'none.onnx'))).toBe(false);
  });

  test('nd pack, repo init, publish and verify', async () => {
    const pack = ['--line', 'office', '--unit', '°F', '--precisions', 'int8,fp32', '--model', 'nhits', '--max-loss', '1']; // prettier-ignore
    const packed = jsonOf(await run('pack', 'office', ...data, '--out', 'bundle', ...pack, '--json'));
    expect(packed).toMatchObject({ name: 'office-nhits', release: 1, metrics: { mae: figure, coverage: figure } });
    expect((packed['files'] as { path: string }[]).map(({ path }) => path)).toEqual([
      'model.int8.onnx',
      'model.fp32.onnx',
      'golden.safetensors',
      'card.md',
    ]);
    expect(await run('repo', 'init', 'repo')).toMatchObject({ code: 0 });
    expect(jsonOf(await run('repo', 'publish', 'repo', 'bundle', '--json'))).toEqual({
      line: 'office',
      release: 1,
      manifestSha256: packed['manifestSha256'],
    });
    expect(jsonOf(await run('repo', 'verify', 'bundle', '--json'))).toEqual({ kind: 'bundle', findings: [] });
    expect(await run('repo', 'refresh', 'repo')).toMatchObject({ code: 0 });
    expect(jsonOf(await run('repo', 'verify', 'repo', '--json'))).toEqual({ kind: 'repository', findings: [] });
  });

  test('nd repo serve and assign: a device that runs fetches the model, and forecasts', async () => {
    const broker = await startBroker();
    onTestFinished(() => broker.close());
    let served = '';
    let stopServing = (): void => undefined;
    const serving = nd(['repo', 'serve', 'repo', '--port', '0', '--json'], {
      cwd: dir,
      watch: (child) => {
        child.stdout!.on('data', (chunk: Buffer) => (served += chunk.toString()));
        stopServing = () => void child.kill('SIGINT');
      },
    });
    await expect.poll(() => served, { timeout: 20_000 }).toContain('\n');
    const { url } = JSON.parse(served) as { url: string };
    await writeFile(
      join(dir, 'device.yaml'),
      [
        'site: plant1',
        'device: pi7',
        'state_dir: device-state',
        'clock: trusted',
        `mqtt: { url: "${broker.url}" }`,
        'http: { port: null }',
        `repository: { url: "${url}", root_file: repo/public/metadata/1.root.json }`,
        'streams: { office: { unit: °F } }',
      ].join('\n'),
    );
    const assigned = ['repo', 'assign', 'repo', 'plant1/pi7', '--line', 'office', '--stream', 'office'];
    expect(jsonOf(await run(...assigned, '--broker', broker.url, '--out', 'desired.json', '--json'))).toMatchObject({
      topic: 'neuro-divergent/plant1/pi7/model/desired',
      models: [{ line: 'office', release: 1, mode: 'active', bind: [{ target: 'office' }] }],
    });
    expect(existsSync(join(dir, 'desired.json'))).toBe(true);
    let stopDevice = (): void => undefined;
    const device = nd(['run', '--config', 'device.yaml', '--events'], {
      cwd: dir,
      watch: (child) => (stopDevice = () => void child.kill('SIGINT')),
    });
    let reported = '';
    const ear = connectMqtt({
      url: broker.url,
      clientId: 'ear',
      subscriptions: [{ filter: 'neuro-divergent/plant1/pi7/model/reported' }],
      onMessage: ({ payload }) => void (reported = Buffer.from(payload).toString()),
      onLink: () => undefined,
    });
    onTestFinished(() => ear.close());
    await expect.poll(() => reported, { timeout: 30_000 }).toMatch(/"state":"probation".*"release":1/);
    stopDevice();
    stopServing();
    expect(await device).toMatchObject({ code: 0 });
    expect(await serving).toMatchObject({ code: 0 });
  }, 90_000);

  test.each([
    ['a device that is none', 'pi7', [], 'ND_CLI_USAGE'],
    ['a release that is not there', 'plant1/pi7', ['--release', '9'], 'ND_FILE_NOT_FOUND'],
  ])('nd repo assign refuses %s', async (_, device, more, code) => {
    const { code: exit, stderr } = await run('repo', 'assign', 'repo', device, '--line', 'office', '--stream', 'office', ...more); // prettier-ignore
    expect(stderr).toContain(code);
    expect(exit).not.toBe(0);
  });

  test('nd repo export and install: a device without a network takes the model from a file', async () => {
    const exported = await run('repo', 'export', 'repo', '--desired', 'desired.json', '--out', 'office.ndb', '--json');
    expect(jsonOf(exported)).toMatchObject({
      site: 'plant1',
      device: 'pi7',
      bundles: [{ line: 'office', release: 1 }],
    });
    expect(jsonOf(await run('repo', 'verify', 'repo', '--json'))).toEqual({ kind: 'repository', findings: [] });
    for (const [args, code] of [
      [['--desired', 'desired.json', '--out', 'office.ndb'], 'ND_FILE_EXISTS'],
      [['--line', 'none', '--out', 'none.ndb'], 'ND_FILE_NOT_FOUND'],
      [['--desired', 'none.json', '--out', 'none.ndb'], 'ND_FILE_NOT_FOUND'],
      [['--desired', 'device.yaml', '--out', 'none.ndb'], 'ND_BUNDLE_MALFORMED'],
      [['--out', 'none.ndb'], 'ND_CLI_USAGE'],
    ] as const)
      expect(await run('repo', 'export', 'repo', ...args)).toMatchObject({ stderr: expect.stringContaining(code) as string }); // prettier-ignore
    expect(existsSync(join(dir, 'none.ndb'))).toBe(false);
    expect(await run('repo', 'export', 'repo', '--line', 'office', '--days', '30', '--out', 'only.ndb')).toMatchObject({
      stdout: expect.stringMatching(
        /^only\.ndb \(\d+ kB\) holds office, release 1\. It is taken for 30 days\.$/m,
      ) as string,
    });

    await mkdir(join(dir, 'far'));
    expect(jsonOf(await run('install', 'office.ndb', '--state', 'far', '--json'))).toMatchObject({
      bundles: ['office/1'],
    });
    expect(await run('install', 'device.yaml', '--state', 'far')).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('ND_BUNDLE_MALFORMED') as string,
    });
    expect(await run('install', 'office.ndb', '--state', 'nowhere')).toMatchObject({
      code: 7,
      stderr: expect.stringContaining('ND_FILE_NOT_FOUND') as string,
    });
    await writeFile(
      join(dir, 'far.yaml'),
      [
        'site: plant1',
        'device: pi7',
        'state_dir: far',
        'clock: trusted',
        'mqtt: { url: "mqtt://127.0.0.1:1" }',
        'http: { port: null }',
        'repository: { root_file: repo/public/metadata/1.root.json }',
        'streams: { office: { unit: °F } }',
      ].join('\n'),
    );
    let events = '';
    let stopDevice = (): void => undefined;
    const device = nd(['run', '--config', 'far.yaml', '--events'], {
      cwd: dir,
      watch: (child) => {
        child.stdout!.on('data', (chunk: Buffer) => (events += chunk.toString()));
        stopDevice = () => void child.kill('SIGINT');
      },
    });
    await expect
      .poll(() => events, { timeout: 40_000 })
      .toContain('{"event":"model-active","line":"office","release":1}');
    await expect.poll(() => readdirSync(join(dir, 'far/offline'))).toEqual([]);
    stopDevice();
    expect(await device).toMatchObject({ code: 0 });
  }, 90_000);

  test('a tampered bundle and an unsigned repository are refused with their code', async () => {
    await cp(join(dir, 'bundle'), join(dir, 'tampered'), { recursive: true });
    await writeFile(join(dir, 'tampered/card.md'), 'another');
    const verified = await run('repo', 'verify', 'tampered', '--json');
    expect([verified.code, jsonOf(verified)]).toMatchObject([
      3,
      { findings: [{ code: 'ND_BUNDLE_HASH_MISMATCH', where: 'card.md' }] },
    ]);
    const published = await run('repo', 'publish', 'repo', 'tampered');
    expect(published).toMatchObject({ code: 3, stderr: expect.stringContaining('ND_BUNDLE_HASH_MISMATCH') as string });

    const targets = join(dir, 'repo/public/metadata/2.targets.json');
    const metadata = JSON.parse(await readFile(targets, 'utf8')) as object;
    await writeFile(targets, JSON.stringify({ ...metadata, signatures: [] }));
    for (const args of [['verify', 'repo'], ['publish', 'repo', 'bundle'], ['refresh', 'repo']]) // prettier-ignore
      expect(await run('repo', ...args)).toMatchObject({ code: 3, stderr: expect.stringContaining('ND_BUNDLE_BAD_SIGNATURE') as string }); // prettier-ignore
  });
});

test('Ctrl-C keeps a checkpoint, says how to resume, and resuming ends with the same bytes', async () => {
  const long = [
    'train',
    ...data,
    '--model',
    'dlinear',
    '--horizon',
    '6',
    '--max-steps',
    '1500',
    '--batch',
    '64',
    '--out',
  ];
  const stopped = await nd([...long, 'stopped'], {
    cwd: dir,
    // Once the first check has written its checkpoint, training is well under way.
    watch: (child) => {
      const timer = setInterval(() => {
        if (!existsSync(join(dir, 'stopped/dlinear.checkpoint.safetensors'))) return;
        clearInterval(timer);
        child.kill('SIGINT');
      }, 5);
      child.once('close', () => clearInterval(timer));
    },
  });
  expect(stopped).toMatchObject({ code: 130, stderr: expect.stringContaining('--out stopped --resume') as string });
  expect(existsSync(join(dir, 'stopped/config.json'))).toBe(false);

  expect(await run(...long, 'stopped', '--resume')).toMatchObject({ code: 0 });
  expect(await run(...long, 'whole')).toMatchObject({ code: 0 });
  const weights = (folder: string) => readFileSync(join(dir, folder, 'dlinear.safetensors'));
  expect(weights('stopped').equals(weights('whole'))).toBe(true);
});
