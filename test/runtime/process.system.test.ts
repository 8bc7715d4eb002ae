/** The device as a process of its own: killed, restarted, stopped, and started with a bad configuration. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { readStored } from '../../src/runtime/readings.js';
import { usableProviders } from '../../src/engine/ort.js';
import { packBundle } from '../../src/bundle/pack.js';
import { writeSafetensors } from '../../src/contracts/safetensors.js';
import { add, createGraph, toOnnx } from '../../src/graph/index.js';
import { openSlots } from '../../src/runtime/slots.js';
import { selfTestInChild } from '../../src/runtime/self-test-process.js';
import { startBroker } from '../../src/transport/broker.js';
import type { Broker } from '../../src/transport/broker.js';
import { connectMqtt } from '../../src/transport/mqtt.js';
import { manifestOf } from './fakes.js';
import { buildDevice } from './built.js';

const minute = 60_000;
const length = 4;
let dir: string;
let broker: Broker;
let built: (module: string) => string;
let main: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'nd-process-'));
  built = buildDevice();
  main = built('runtime/main.js');
  broker = await startBroker();
});
afterAll(async () => {
  await broker.close();
  rmSync(dir, { recursive: true });
  rmSync(dirname(built('package.json')), { recursive: true });
});

interface Running {
  readonly child: ChildProcess;
  readonly events: Record<string, unknown>[];
  readonly stderr: () => string;
  readonly exit: Promise<number | NodeJS.Signals>;
  event(name: string): Promise<Record<string, unknown>>;
}

function run(configPath: string): Running {
  const child = spawn(process.execPath, [main, configPath, '--events'], { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const events: Record<string, unknown>[] = [];
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  createInterface(child.stdout).on('line', (line) => events.push(JSON.parse(line) as Record<string, unknown>));
  const exit = new Promise<number | NodeJS.Signals>((resolve) =>
    child.on('close', (code, signal) => resolve(code ?? signal!)),
  );
  return {
    child,
    events,
    exit,
    stderr: () => errors,
    event: (name) =>
      expect
        .poll(() => events.find(({ event }) => event === name), { timeout: 20_000, message: `${name}; ${errors}` })
        .toBeDefined()
        .then(() => events.find(({ event }) => event === name)!),
  };
}

/** A device folder with a model already in its slot. */
async function deviceDir(name: string, broken = false): Promise<string> {
  const stateDir = join(dir, name);
  const slots = openSlots(stateDir);
  const g = createGraph();
  const { schema: _s, files: _f, opset: _o, ops: _p, ...manifest } = manifestOf();
  const tensor = (value: number) => ({
    dtype: 'F32' as const,
    shape: [1, length, 1],
    data: new Float32Array(length).fill(value),
  });
  const { manifestSha256 } = await packBundle({
    dir: slots.stagingDir('boiler'),
    manifest,
    files: {
      'model.fp32.onnx': {
        role: 'model',
        content: toOnnx(g.finish({ forecast: add(g.input('past', ['batch', length, 1]), 0) })),
      },
      'golden.safetensors': {
        role: 'golden',
        content: writeSafetensors({ 'c0/in/past': tensor(1), 'c0/out/fp32/forecast': tensor(broken ? 2 : 1) }),
      },
    },
  });
  slots.install('boiler', 'a');
  slots.point('boiler', { slot: 'a', release: 1, manifestSha256, streams: ['boiler'], arm: null, previous: null });
  mkdirSync(stateDir, { recursive: true });
  const config = join(dir, `${name}.yaml`);
  writeFileSync(
    config,
    [
      `base: ${name}`,
      'site: plant1',
      'device: pi7',
      `state_dir: ${name}`,
      'clock: trusted',
      'mqtt:',
      `  url: ${broker.url}`,
      'streams:',
      '  boiler: { lateness: 0 }',
      '',
    ].join('\n'),
  );
  return config;
}

test('kill -9 loses and doubles nothing that was acknowledged; the restart forecasts at once', async () => {
  const config = await deviceDir('killed');
  const startMs = Math.floor(Date.now() / minute) * minute - 1000 * minute;
  const forecasts: { start: number; id: string }[] = [];
  const sender = connectMqtt({
    url: broker.url,
    clientId: 'sender',
    subscriptions: [{ filter: 'killed/plant1/pi7/forecast/boiler' }],
    onLink: () => undefined,
    onMessage: ({ payload }) =>
      void forecasts.push(JSON.parse(Buffer.from(payload).toString()) as { start: number; id: string }),
  });
  onTestFinished(() => sender.close());

  let sent = 0;
  const send = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++, sent++) {
      await expect
        .poll(() =>
          sender.publish('killed/plant1/pi7/in/boiler', JSON.stringify({ ts: startMs + sent * minute, value: sent })),
        )
        .toBe(true);
    }
  };
  let device = run(config);
  await device.event('link');
  for (let round = 0; round < 3; round++) {
    const sending = send(60);
    await expect.poll(() => forecasts.length, { timeout: 20_000 }).toBeGreaterThan(round * 20 + 5);
    device.child.kill('SIGKILL');
    expect(await device.exit).toBe('SIGKILL');
    await sending;
    device = run(config);
    expect(await device.event('first-forecast')).toMatchObject({ stream: 'boiler', ms: expect.any(Number) as number });
    await device.event('link');
  }
  await send(5);
  const newest = startMs + (sent - 1) * minute;
  await expect.poll(() => forecasts.at(-1)?.start, { timeout: 20_000 }).toBe(newest);
  device.child.kill('SIGTERM');
  expect(await device.exit).toBe(0);
  expect(device.events.at(-1)).toMatchObject({ event: 'stopped' });

  const reader = readStored(join(dir, 'killed', 'device.db'));
  const stored = reader.newest('boiler', Infinity);
  reader.close();
  // By time: the embedded broker may deliver what was not acknowledged after what came later.
  expect(stored.map(({ timeMs }) => timeMs).sort((a, b) => a - b)).toEqual(
    Array.from({ length: sent }, (_, i) => startMs + i * minute),
  );
});

test('a first start without model or broker runs, and stops on SIGINT', async () => {
  const config = join(dir, 'alone.json');
  writeFileSync(
    config,
    JSON.stringify({ site: 'plant1', device: 'pi7', state_dir: 'alone', mqtt: { url: 'mqtt://127.0.0.1:1' } }),
  );
  const device = run(config);
  await device.event('running');
  expect(await device.event('link')).toMatchObject({ state: 'offline' });
  device.child.kill('SIGINT');
  expect(await device.exit).toBe(0);
});

test('a good configuration is taken without a restart of the process, a bad one changes nothing', async () => {
  const config = join(dir, 'reloaded.json');
  const write = (change: object): void =>
    writeFileSync(
      config,
      JSON.stringify({
        site: 'plant1',
        device: 'pi7',
        state_dir: 'reloaded',
        mqtt: { url: 'mqtt://127.0.0.1:1' },
        ...change,
      }),
    );
  write({});
  const device = run(config);
  await device.event('running');
  const count = (name: string): number => device.events.filter(({ event }) => event === name).length;
  write({ no_such_setting: 1 });
  device.child.kill('SIGHUP');
  await expect.poll(() => count('reload-refused')).toBe(1);
  expect(count('stopped')).toBe(0);
  write({ log_level: 'debug' });
  device.child.kill('SIGHUP');
  await expect.poll(() => count('running')).toBe(2);
  expect(count('stopped')).toBe(1);
  device.child.kill('SIGTERM');
  expect(await device.exit).toBe(0);
});

describe('a bad configuration ends with 78 and says where, what and how to mend it', () => {
  test.each([
    ['no file', undefined, /There is no such file/],
    ['no YAML', 'a: [1', /bad-\d\.yaml:1/],
    [
      'an unknown key',
      'site: a\ndevice: b\nstate_dir: .\nmqtt:\n  url: "mqtt://127.0.0.1"\n  urll: 1',
      /bad-\d\.yaml:6: mqtt\.urll: .*did you mean "url"/,
    ],
    [
      'a value out of range',
      '{\n"device": "b",\n"site": "a b", "state_dir": ".", "mqtt": {"url": "mqtt://127.0.0.1"}}',
      /bad-\d\.yaml:3: site: expected/,
    ],
    ['YAML with a secret', 'mqtt:\n\turl: "mqtt://a:secret@b"', /bad-\d\.yaml:2: (?!.*secret)/],
    [
      'a URL that is none',
      'site: a\ndevice: b\nstate_dir: .\nmqtt: { url: "mqtt://a:secret@:::" }',
      /bad-\d\.yaml:4: mqtt\.url: expected a URL such as mqtt:\/\/127\.0\.0\.1:1883(?!.*secret)/,
    ],
    ['YAML that looks like JSON', '{site: 5}', /site: .*expected string, received number/],
    ['a setting that is missing', 'site: a\ndevice: b\nstate_dir: .\nmqtt: {}', /bad-\d\.yaml:4: mqtt\.url: /],
  ] as const)('%s', async (name, text, message) => {
    const path = join(dir, `bad-${name.length % 10}.yaml`);
    rmSync(path, { force: true });
    if (text !== undefined) writeFileSync(path, text);
    const device = run(path);
    expect(await device.exit).toBe(78);
    expect(device.stderr()).toMatch(message);
    expect(device.events).toMatchObject([{ event: 'bad-config' }]);
  });
});

test('a password to a private network goes only where it is allowed to', async () => {
  writeFileSync(join(dir, 'password'), 'secret');
  const config = (change: object): string => {
    const path = join(dir, 'private.json');
    const mqtt = { url: 'mqtt://no-such-broker', password_file: 'password', ...change };
    writeFileSync(path, JSON.stringify({ site: 'plant1', device: 'pi7', state_dir: 'private', mqtt }));
    return path;
  };
  const refused = run(config({}));
  expect(await refused.exit).toBe(70);
  expect(refused.stderr()).toMatch(/^mqtt: A password would travel unencrypted to no-such-broker/m);
  const allowed = run(config({ allow_insecure: 'private' }));
  expect(await allowed.event('link')).toMatchObject({ state: 'offline' });
  allowed.child.kill('SIGTERM');
  expect(await allowed.exit).toBe(0);
});

test('something unforeseen ends with 70, told on stderr', async () => {
  const config = join(dir, 'crash.json');
  writeFileSync(
    config,
    JSON.stringify({
      site: 'plant1',
      device: 'pi7',
      state_dir: 'crash',
      mqtt: { url: 'mqtts://127.0.0.1:1', ca_file: 'nowhere.pem' },
    }),
  );
  const device = run(config);
  expect(await device.exit).toBe(70);
  expect(device.stderr()).toMatch(/nowhere\.pem/);
});

test.each([
  ['a card it requires', true, ['cuda', 'cpu']],
  ['a card it would like', false, ['cuda', 'cpu']],
  ['nothing but the processor, and a card it requires', true, ['cpu']],
])('a device that is told of %s', async (name, requireGpu, providers) => {
  const card = providers.includes('cuda') && usableProviders(['cuda']).length > 0;
  const config = join(dir, `${name.length}.json`);
  writeFileSync(
    config,
    JSON.stringify({
      site: 'plant1',
      device: 'pi7',
      state_dir: `gpu${name.length}`,
      engine: { providers, require_gpu: requireGpu },
      mqtt: { url: 'mqtt://127.0.0.1:1' },
    }),
  );
  const device = run(config);
  if (requireGpu && !card) {
    expect(await device.exit).toBe(70);
    expect(device.stderr()).toMatch(/^provider cuda: .*\[ND_ENGINE_PROVIDER_MISSING\]$/m);
    return;
  }
  await device.event('running');
  device.child.kill('SIGTERM');
  expect(await device.exit).toBe(0);
});

describe('the self-test in a child process', () => {
  const job = (name: string, modelFile = 'model.fp32.onnx') => {
    const slots = openSlots(join(dir, name));
    const manifest = slots.read('boiler', slots.pointer('boiler')!)!;
    return {
      dir: slots.dir('boiler', 'a'),
      choice: { manifest, provider: 'cpu' as const, precision: 'fp32' as const, modelFile },
    };
  };
  const child = (): string => built('runtime/self-test-process.js');

  test('passes a model that computes what it promised, and no other', async () => {
    await deviceDir('sound');
    await deviceDir('unsound', true);
    expect(await selfTestInChild(job('sound'), child())).toMatchObject({ ok: true, value: { deviation: 0 } });
    expect(await selfTestInChild(job('unsound'), child())).toMatchObject({
      ok: false,
      reason: 'self_test_failed',
      detail: expect.stringMatching(/^deviation 0.5/) as string,
    });
  });

  test.skipIf(process.platform !== 'linux')('a model that takes more memory than its budget has failed', async () => {
    const { dir: at, choice } = job('sound');
    const manifest = { ...choice.manifest, budget: { p95Ms: 20, rssMb: -80 } }; // no process is as small
    expect(await selfTestInChild({ dir: at, choice: { ...choice, manifest } }, child())).toMatchObject({
      ok: false,
      reason: 'self_test_failed',
      detail: expect.stringMatching(/^\d+ MB in memory, 20 are allowed$/) as string,
    });
  });

  test('a child that cannot start or load has failed the test', async () => {
    expect(await selfTestInChild(job('sound', 'golden.safetensors'), child())).toMatchObject({
      ok: false,
      reason: 'self_test_failed',
    });
    expect(await selfTestInChild(job('sound'), join(dir, 'nowhere.js'))).toMatchObject({
      ok: false,
      detail: 'the test process ended with 1',
    });
  });
});
