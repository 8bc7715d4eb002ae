/** The device with real parts: broker, repository over HTTP, database, ONNX Runtime. Only the machine's facts are fixed. */
import { existsSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { signDesired } from '../../src/bundle/desired.js';
import { exportUpdate } from '../../src/bundle/export.js';
import { packBundle } from '../../src/bundle/pack.js';
import { initRepository, publish } from '../../src/bundle/repository.js';
import type { Repository } from '../../src/bundle/repository.js';
import { parseConfig } from '../../src/contracts/config.js';
import type { DesiredModel } from '../../src/contracts/desired.js';
import type { Manifest } from '../../src/contracts/manifest.js';
import { writeSafetensors } from '../../src/contracts/safetensors.js';
import { createRandom } from '../../src/engine/random.js';
import { createOrtEngine } from '../../src/engine/ort.js';
import type { Engine } from '../../src/engine/port.js';
import { add, createGraph, log, mul, sub, toOnnx } from '../../src/graph/index.js';
import { createSystemClock } from '../../src/runtime/clock.js';
import { runDevice } from '../../src/runtime/device.js';
import type { Probe } from '../../src/runtime/device.js';
import { createId } from '../../src/runtime/main.js';
import type { Ports } from '../../src/runtime/ports.js';
import { runSelfTest } from '../../src/runtime/self-test.js';
import { openStore } from '../../src/runtime/store.js';
import type { Store } from '../../src/runtime/store.js';
import { startBroker } from '../../src/transport/broker.js';
import type { Broker } from '../../src/transport/broker.js';
import { serveFiles } from '../../src/transport/http.js';
import type { FileServer } from '../../src/transport/http.js';
import { connectMqtt } from '../../src/transport/mqtt.js';
import type { MqttLink } from '../../src/transport/mqtt.js';
import { createUpdateClient } from '../../src/transport/update-client.js';
import { tuneLine } from '../../src/runtime/tune.js';
import { openUpdateFile } from '../../src/transport/update-file.js';
import { fakeClock, fakeMachine, manifestOf, idlePorts } from './fakes.js';
import { tunableBundle } from './tunable.js';

const minute = 60_000;
const length = 4;
const clock = createSystemClock('trusted');
const startMs = Math.floor(clock.now() / minute) * minute - 1000 * minute;

/** A model that expects the last window again: `forecast = past + offset`. */
const model = (offset: number): Uint8Array => {
  const g = createGraph();
  return toOnnx(g.finish({ forecast: add(g.input('past', ['batch', length, 1]), offset) }));
};
const blind = (): Uint8Array => {
  const g = createGraph();
  const past = g.input('past', ['batch', length, 1]);
  return toOnnx(g.finish({ forecast: add(past, mul(log(sub(15, past)), 1e-9)) }));
};
const golden = (answer: number): Uint8Array => {
  const tensor = (value: number) => ({
    dtype: 'F32' as const,
    shape: [1, length, 1],
    data: new Float32Array(length).fill(value),
  });
  return writeSafetensors({ 'c0/in/past': tensor(1), 'c0/out/fp32/forecast': tensor(answer) });
};

let dir: string;
let broker: Broker;
let files: FileServer;
let repository: Repository;
const releases = new Map<number, string>();

/** Releases: 1, 2, 5, 6 and 8 are sound, 3 has golden vectors it cannot meet, 7 is too sure, 9 is wrong, 10 answers with NaN on values above 15. */
async function release(
  number: number,
  content: Uint8Array,
  answer: number,
  change: Partial<Manifest> = {},
): Promise<void> {
  const { schema: _s, files: _f, opset: _o, ops: _p, ...parts } = manifestOf({ release: number, ...change });
  const bundleDir = join(dir, `bundle-${number}`);
  await packBundle({
    dir: bundleDir,
    manifest: parts,
    files: {
      'model.fp32.onnx': { role: 'model', content },
      'golden.safetensors': { role: 'golden', content: golden(answer) },
    },
  });
  releases.set(number, (await publish({ dir: join(dir, 'repository'), bundleDir })).manifestSha256);
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'nd-device-'));
  broker = await startBroker();
  repository = await initRepository({ dir: join(dir, 'repository') });
  files = await serveFiles({ dir: repository.servedDir });
  await release(1, model(0), 1);
  await release(2, model(0.5), 1.5);
  await release(3, model(0), 2);
  await release(5, model(1), 2);
  await release(6, model(2), 3);
  await release(7, model(0), 1, {
    calibration: { method: 'conformal', coverage: 0.9, scores: [1, 1, 1, 1].map(() => 1e-5) },
  });
  await release(8, model(0), 1);
  await release(9, model(50), 51, {
    calibration: { method: 'conformal', coverage: 0.9, scores: [1, 1, 1, 1].map(() => 60) },
  });
  await release(10, blind(), 1);
});
afterAll(async () => {
  await files.close();
  await broker.close();
  rmSync(dir, { recursive: true });
});

/** Waits of seconds take none. */
const soon = (ms: number, signal: AbortSignal): Promise<void> => clock.sleep(Math.min(ms, 50), signal);

let seq = 0;
const desired = (models: Partial<DesiredModel>[], change: { seq?: number; device?: string } = {}): Uint8Array =>
  signDesired(
    {
      v: 1,
      site: 'plant1',
      device: 'pi7',
      seq: ++seq,
      issued: clock.now(),
      expires: clock.now() + 86_400_000,
      models: models.map((one) => ({
        line: 'boiler',
        release: 1,
        manifestSha256: releases.get(one.release ?? 1)!,
        urls: [],
        bind: { target: 'boiler' },
        mode: 'active' as const,
        probation: { minutes: 0, forecasts: 3 },
        ...one,
      })),
      ...change,
    },
    repository.fleetKey,
  );

interface Heard {
  readonly topic: string;
  readonly body: Record<string, unknown>;
  readonly retain: boolean;
}

interface Reported {
  readonly refused: { readonly code: string } | null;
  readonly models: readonly {
    readonly state: string;
    readonly code: string | null;
    readonly detail: string | null;
    readonly metrics: Readonly<Record<string, number>>;
  }[];
}

/** A device and, beside it, a client that hears everything it says. */
async function world(
  name: string,
  {
    stateDir = join(dir, name),
    ports = {},
    detectors = {},
    boiler = {},
    homeAssistant = null,
    mappings = [],
    install = 'at_once',
  }: {
    stateDir?: string;
    ports?: Partial<Ports>;
    detectors?: Record<string, unknown>;
    boiler?: Record<string, unknown>;
    homeAssistant?: Record<string, unknown> | null;
    mappings?: readonly Record<string, unknown>[];
    install?: string;
  } = {},
) {
  const heard: Heard[] = [];
  let online = (): void => undefined;
  const up = new Promise<void>((resolve) => (online = resolve));
  const client: MqttLink = connectMqtt({
    url: broker.url,
    clientId: `ear-${name}`,
    subscriptions: [{ filter: `${name}/#` }],
    onMessage: ({ topic, payload, retain }) =>
      void heard.push({ topic: topic.slice(name.length + '/plant1/pi7/'.length), body: parse(payload), retain }),
    onLink: ({ state }) => state === 'online' && online(),
  });
  await up;
  const config = parseConfig(
    {
      base: name,
      site: 'plant1',
      device: 'pi7',
      state_dir: stateDir,
      mqtt: { url: broker.url },
      clock: 'trusted',
      http: { port: null },
      repository: { url: files.url, root_file: repository.rootFile, install },
      streams: { boiler: { unit: '°C', lateness: 0, ...boiler } },
      detectors,
      home_assistant: homeAssistant,
      mappings,
      alerts: { threshold: 0.01, ring_minimum: 20, clear_threshold: 0.05, cooldown: '1m', repeat: 0 },
    },
    'test',
  );
  const prefix = `${name}/plant1/pi7`;
  const trust = {
    trustDir: join(stateDir, 'trust'),
    pinnedRoot: readFileSync(repository.rootFile),
    now: () => clock.now(),
    clockSynced: () => true,
  };
  const start = () => {
    const stop = new AbortController();
    const store: Store = openStore({ path: join(stateDir, 'device.db'), clock });
    const told: string[] = [];
    let probe: Probe | undefined;
    const ended = runDevice(
      config,
      {
        ...idlePorts,
        clock,
        store,
        machine: fakeMachine,
        providers: async () => ['cpu'],
        engine: async () => createOrtEngine(),
        connect: async (options) =>
          connectMqtt({ ...options, url: broker.url, clientId: `nd-${name}`, backoffMs: { first: 20, last: 50 } }),
        openRepository: async (url) => createUpdateClient({ ...trust, url }),
        openUpdateFile: (path) => openUpdateFile(path, trust),
        selfTest: (job) => runSelfTest(job, createOrtEngine(), clock),
        newId: () => createId(clock.now()),
        tell: (event) => void told.push(event),
        ...ports,
      },
      stop.signal,
      (seen) => (probe = seen),
    );
    return {
      store,
      told,
      get probe() {
        return probe!;
      },
      async stop() {
        stop.abort();
        await ended;
        store.close();
      },
    };
  };
  const last = (topic: string): Heard['body'] | undefined => heard.findLast((message) => message.topic === topic)?.body;
  const send = (topic: string, payload: unknown, retain = false): Promise<boolean> =>
    client.publish(`${prefix}/${topic}`, payload instanceof Uint8Array ? payload : JSON.stringify(payload), { retain });
  const reported = (): Reported | undefined => last('model/reported') as unknown as Reported | undefined;
  let minuteNow = 0;
  return {
    heard,
    last,
    reported,
    send,
    start,
    client,
    prefix,
    stateDir,
    /** One reading per minute: a small ripple, plus `extra`. */
    async feed(count: number, extra = 0) {
      for (let i = 0; i < count; i++, minuteNow++)
        await send('in/boiler', {
          ts: startMs + minuteNow * minute,
          value: 20 + (minuteNow % length) + ((minuteNow * 7919) % 13) / 50 + extra,
        });
    },
    /** Waits until the newest reading has led to a forecast. */
    async caughtUp() {
      const start = startMs + (minuteNow - 1) * minute;
      await expect.poll(() => last('forecast/boiler')).toMatchObject({ start });
    },
    /** Pushes a desired state and waits until the device says it was seen to the end. */
    async push(models: Partial<DesiredModel>[], state: string, change: { seq?: number; device?: string } = {}) {
      const bytes = desired(models, change);
      await send('model/desired', bytes, true);
      await expect.poll(() => reported()?.models[0]?.state, { timeout: 15_000 }).toBe(state);
    },
    close: () => client.close(),
  };
}

function parse(payload: Uint8Array): Heard['body'] {
  try {
    return JSON.parse(Buffer.from(payload).toString()) as Heard['body'];
  } catch {
    return {};
  }
}

describe('detectors without a model', () => {
  const noise = createRandom('calm');
  const drawn = Array.from({ length: 400 }, () => noise() + noise() + noise());
  const calm = (i: number): number => drawn[i]!;
  const samples = (from: number, count: number, value: (i: number) => number) => ({
    samples: Array.from({ length: count }, (_, i) => [startMs + (from + i) * minute, value(from + i)]),
  });

  test('learn from readings, raise an alert that names the stream, keep it over a restart, and resolve it', async () => {
    const common = { cadence: '1m', lateness: 0, alerts: { clear_count: 5 } };
    const w = await world('detectors', {
      detectors: {
        pump: { ...common, streams: ['flow', 'pressure'], training: 200 },
        'boiler-baseline': { ...common, streams: ['boiler'] },
      },
    });
    onTestFinished(() => w.close());
    let device = w.start();
    await expect.poll(() => w.last('status')).toMatchObject({ state: 'online' });
    const send = async (from: number, count: number, extra = 0) => {
      await w.send(
        'in/flow',
        samples(from, count, (i) => 30 + calm(i) + extra),
      );
      await w.send(
        'in/pressure',
        samples(from, count, (i) => 5 + calm(i + 5)),
      );
      await w.send(
        'in/boiler',
        samples(from, count, (i) => 60 + calm(i) + extra),
      );
    };
    await send(0, 300);
    await expect.poll(() => w.last('score/pump')).toMatchObject({ model: 'group' });
    await expect.poll(() => w.last('score/boiler-baseline')).toMatchObject({ model: 'baseline' });
    expect(w.last('alert/pump/anomaly')).toBeUndefined();

    await send(300, 10, -20);
    await expect
      .poll(() => w.last('alert/pump/anomaly'))
      .toMatchObject({ state: 'firing', detector: 'group', channel: 'flow', model: '' });
    await expect
      .poll(() => w.last('alert/boiler-baseline/anomaly'))
      .toMatchObject({ state: 'firing', detector: 'baseline', key: 'pi7/boiler-baseline/anomaly' });
    const id = w.last('alert/pump/anomaly')!['id'];
    expect(w.last('alert/pump/anomaly')!['reason']).toMatch(/flow stands out most/);
    await device.stop();

    const before = w.heard.length;
    device = w.start();
    await expect
      .poll(() => w.heard.slice(before).find(({ topic }) => topic === 'alert/pump/anomaly')?.body)
      .toMatchObject({ id, state: 'firing' });
    await send(310, 60);
    await expect.poll(() => w.last('alert/pump/anomaly')).toMatchObject({ id, state: 'normal', event: 'resolved' });
    await device.stop();
  });
});

test('streams that are due at the same moment share a run, and each gets its own forecast', async () => {
  const batches: number[] = [];
  const engine = async (): Promise<Engine> => {
    const ort = createOrtEngine();
    const load: Engine['load'] = async (...given) => {
      const session = await ort.load(...given);
      const run: typeof session.run = (feeds, outputs) => {
        batches.push(feeds['past']!.dims[0]!);
        return session.run(feeds, outputs);
      };
      return { ...session, run };
    };
    return { ...ort, load };
  };
  const w = await world('together', { ports: { engine } });
  onTestFinished(() => w.close());
  const device = w.start();
  onTestFinished(() => device.stop());
  const streams = ['boiler_in', 'boiler_out', 'boiler_top'];
  await expect.poll(() => w.last('status')).toMatchObject({ state: 'online' });
  await w.push([{ bind: streams.map((target) => ({ target })) }], 'probation');
  for (let i = 0; i < length + 3; i++)
    // two steps of lateness, and the reading that closes the last bucket
    await w.send('in/boiler', { ts: startMs + i * minute, values: { in: i, out: 10 + i, top: 20 + i } });
  await expect
    .poll(() => streams.map((name) => w.last(`forecast/${name}`)?.['p50']))
    .toEqual([
      [0, 1, 2, 3],
      [10, 11, 12, 13],
      [20, 21, 22, 23],
    ]);
  expect(batches).toEqual([3]);
});

describe('conditions', () => {
  test('faults of a sensor and levels ahead are alerts of their own kinds, which end, and outlive a restart', async () => {
    const clock = fakeClock(startMs + 1000 * minute);
    const w = await world('conditions', {
      boiler: { max: 99, max_rate: 1, stuck_count: 3, max_silence: '10m', levels: { above: 80 } },
      ports: { clock },
    });
    onTestFinished(() => w.close());
    let device = w.start();
    await expect.poll(() => w.last('status')).toMatchObject({ state: 'online' });
    let at = 0;
    const read = (value: number) => w.send('in/boiler', { ts: startMs + at++ * minute, value });
    const alert = (kind: string) => expect.poll(() => w.last(`alert/boiler/${kind}`));

    for (const value of [20, 20, 20]) await read(value);
    await alert('sensor_stuck').toMatchObject({ event: 'opened', severity: 'warning', key: 'pi7/boiler/sensor_stuck' });
    await read(21);
    await alert('sensor_stuck').toMatchObject({ event: 'resolved', state: 'normal' });
    await read(95);
    await alert('sensor_rate').toMatchObject({ event: 'opened', reason: 'changed by 1.233 a second, more than 1' });
    await read(120);
    await alert('sensor_range').toMatchObject({ event: 'opened', reason: '120 lies outside of −∞ to 99' });
    expect(device.probe.metrics.rejected).toMatchObject({ out_of_range: 1 });

    await device.stop();
    const before = w.heard.length;
    device = w.start();
    await expect
      .poll(() => w.heard.slice(before).find(({ topic }) => topic === 'alert/boiler/sensor_range')?.body)
      .toMatchObject({ event: 'opened', state: 'firing' });
    await read(95);
    await alert('sensor_range').toMatchObject({ event: 'resolved' });
    await alert('sensor_rate').toMatchObject({ event: 'resolved' });

    for (const value of [70, 72, 74, 76]) await read(value);
    await w.push([{ release: 1 }], 'probation');
    for (const value of [75, 74]) await read(value);
    await expect.poll(() => w.last('forecast/boiler')).toMatchObject({ p50: [72, 74, 76, 75] });
    expect(w.last('alert/boiler/level')).toBeUndefined();
    for (const value of [81, 76]) await read(value);
    await alert('level').toMatchObject({ event: 'opened', reason: 'will rise above 80 °C in 4 min' });
    for (const value of [75, 74, 75, 74, 75]) await read(value);
    await alert('level').toMatchObject({ event: 'resolved' });

    await clock.advance(11 * minute);
    await alert('sensor_dropout').toMatchObject({ event: 'opened', reason: 'no reading for 660 s' });
    await read(75);
    await alert('sensor_dropout').toMatchObject({ event: 'resolved' });
    await device.stop();
  });
});

test('a sensor of another maker: its readings are stored, and that it is gone is an alert until it speaks again', async () => {
  const w = await world('foreign', {
    mappings: [
      { preset: 'zigbee2mqtt', name: 'kitchen', path: '/temperature', stream: 'kitchen', scale: 2 },
      { topic: 'cbor/+', format: 'cbor', stream: 'boiler' },
    ],
  });
  onTestFinished(() => w.close());
  const device = w.start();
  await expect.poll(() => w.last('status')).toMatchObject({ state: 'online' });
  const say = (topic: string, payload: string | Uint8Array, retain = false) =>
    w.client.publish(topic, payload, { retain });
  await say('zigbee2mqtt/kitchen', JSON.stringify({ temperature: 21.5, last_seen: startMs }));
  await say('cbor/x', Buffer.from('a2627473fb' + '0000000000000000' + '6576616c756503', 'hex')); // before 2020
  await say('cbor/x', Buffer.from('a16576616c756503', 'hex'));
  await say(`${w.prefix}/in/boiler`, Buffer.from('9f', 'hex'));
  await expect.poll(() => device.store.newest('boiler', 9).map(({ value }) => value)).toEqual([3]);
  expect(device.store.newest('kitchen', 9)).toMatchObject([{ timeMs: startMs, value: 43 }]);
  await expect.poll(() => device.probe.metrics.rejected).toMatchObject({ too_old: 1, undecodable: 1 });

  await say('zigbee2mqtt/kitchen/availability', '{"state":"offline"}', true);
  await expect
    .poll(() => w.last('alert/kitchen/sensor_dropout'))
    .toMatchObject({ state: 'firing', reason: 'its availability says that it is gone' });
  await say('zigbee2mqtt/kitchen', JSON.stringify({ temperature: 21.5, last_seen: startMs + minute }));
  await expect.poll(() => w.last('alert/kitchen/sensor_dropout')).toMatchObject({ state: 'normal' });
  await device.stop();
});

test('Home Assistant hears of the device, of the model when it runs, and again when it has restarted', async () => {
  const w = await world('home', {
    homeAssistant: { prefix: 'home-prefix' },
    ports: { clock: { ...clock, sleep: soon } },
  });
  onTestFinished(() => w.close());
  const told: { cmps: Record<string, unknown> }[] = [];
  const assistant = connectMqtt({
    url: broker.url,
    clientId: 'home-assistant',
    subscriptions: [{ filter: 'home-prefix/device/+/config' }],
    onMessage: ({ payload }) => void told.push(parse(payload) as { cmps: Record<string, unknown> }),
    onLink: () => undefined,
  });
  onTestFinished(() => assistant.close());
  const device = w.start();
  await expect.poll(() => told.at(-1)?.cmps).toHaveProperty('model');
  expect(told.at(-1)!.cmps).not.toHaveProperty('boiler_fc');
  await w.push([{}], 'probation');
  await expect.poll(() => told.at(-1)?.cmps).toHaveProperty('boiler_fc');
  expect(w.last('model/ha')).toEqual({ installed_version: 'boiler@1', latest_version: 'boiler@1', in_progress: false });
  const before = told.length;
  await assistant.publish('home-prefix/status', 'online');
  await expect.poll(() => told.length).toBeGreaterThan(before);
  await device.stop();
});

describe('a pushed model', () => {
  test('is verified, tested, activated; readings become forecasts and alerts; a restart forecasts at once and keeps the alert', async () => {
    const w = await world('life');
    onTestFinished(() => w.close());
    let device = w.start();
    await expect.poll(() => w.last('status')).toMatchObject({ state: 'online', clock: 'synced' });
    await w.push([{ release: 1 }], 'probation');
    expect(w.last('model/reported')).toMatchObject({
      seq_seen: seq,
      refused: null,
      models: [{ line: 'boiler', release: 1, slot: 'a', previous: null, code: null }],
    });
    expect(w.last('info')).toMatchObject({
      provider: 'cpu',
      streams: ['boiler'],
      models: [{ release: 1, precision: 'fp32' }],
    });

    await w.feed(60);
    await expect.poll(() => w.reported()?.models[0]?.state).toBe('committed');
    await expect.poll(() => device.probe.metrics.forecasts.issued).toBeGreaterThan(50);
    const forecast = w.last('forecast/boiler')!;
    expect(forecast).toMatchObject({
      stream: 'boiler',
      step_ms: minute,
      coverage: 0.9,
      calibrated: true,
      model: 'boiler-naive@1',
      slot: 'a',
      quality: { imputed: 0 },
    });
    expect(forecast['p50']).toHaveLength(length);
    expect((forecast['lo'] as number[])[0]).toBeLessThan((forecast['p50'] as number[])[0]!);
    expect(w.last('score/boiler')).toMatchObject({ model: 'boiler-naive@1' });

    await w.feed(4, 30);
    await expect
      .poll(() => w.last('alert/boiler/anomaly'))
      .toMatchObject({ state: 'firing', seq: 1, severity: expect.any(String) as string });
    const id = w.last('alert/boiler/anomaly')!['id'] as string;
    await device.stop();
    expect(w.last('status')).toMatchObject({ state: 'offline' });

    const issued = w.heard.filter(({ topic }) => topic === 'forecast/boiler').length;
    device = w.start();
    await expect.poll(() => w.heard.filter(({ topic }) => topic === 'forecast/boiler').length).toBeGreaterThan(issued); // without a new reading
    expect(device.told).toContain('first-forecast');
    await w.feed(14, 30);
    await expect
      .poll(() => w.last('alert/boiler/anomaly'))
      .toMatchObject({ id, state: 'normal', event: 'resolved', ended: expect.any(Number) as number });
    const events = w.heard.filter(({ topic, body }) => topic === 'event/boiler' && body['id'] === id);
    expect([...new Set(events.map(({ body }) => body['seq'] as number))]).toEqual(
      events.map(({ body }) => body['seq'] as number),
    );
    expect(device.probe.metrics.updates.failed).toEqual({});
    await device.stop();
  });

  test('replaces the one that runs, into the other slot; the same desired state again changes nothing', async () => {
    const w = await world('replace');
    onTestFinished(() => w.close());
    let device = w.start();
    await w.push([{ release: 1 }], 'probation');
    await w.feed(30);
    await w.push([{ release: 2 }], 'probation');
    await w.feed(6);
    await expect
      .poll(() => w.last('model/reported'))
      .toMatchObject({ models: [{ release: 2, slot: 'b', previous: 1, state: 'committed' }] });
    await expect.poll(() => w.last('forecast/boiler')).toMatchObject({ model: 'boiler-naive@2', slot: 'b' });
    await device.stop();
    device = w.start();
    await expect.poll(() => device.told).toContain('link');
    await w.feed(2);
    await expect.poll(() => device.probe.metrics.samples.stored).toBe(2);
    expect(device.told).not.toContain('model-active');

    // A damaged slot falls back to what ran before.
    await device.stop();
    writeFileSync(join(w.stateDir, 'slots', 'boiler', 'b', 'model.fp32.onnx'), 'damaged');
    device = w.start();
    await expect.poll(() => w.last('info')).toMatchObject({ models: [{ release: 1, slot: 'a' }] });
    await device.stop();

    writeFileSync(join(w.stateDir, 'slots', 'boiler', 'a', 'manifest.json'), '{}');
    device = w.start();
    await expect.poll(() => device.told).toContain('degraded');
    await expect.poll(() => w.last('status')).toMatchObject({ state: 'online' });
    await device.stop();
  });

  test('that answers with no number on probation is rolled back to the one before', async () => {
    let poisoned = false;
    const real = createOrtEngine();
    const engine = async (): Promise<Engine> => ({
      ...real,
      load: async (bytes, options) => {
        const session = await real.load(bytes, options);
        const second = loads++ > 0;
        return {
          ...session,
          run: (feeds) =>
            poisoned && second
              ? { forecast: { data: new Float32Array(length).fill(NaN), dims: [1, length, 1] } }
              : session.run(feeds),
          close: () => session.close(),
        };
      },
    });
    let loads = 0;
    const w = await world('rollback', { ports: { engine } });
    onTestFinished(() => w.close());
    const device = w.start();
    await w.push([{ release: 1 }], 'probation');
    await w.feed(12);
    await w.push([{ release: 2 }], 'probation');
    poisoned = true;
    loads = 0;
    await w.feed(1);
    await expect
      .poll(() => w.last('model/reported'))
      .toMatchObject({ models: [{ state: 'rolled_back', release: 2, code: 'self_test_failed', slot: 'a' }] });
    await expect.poll(() => w.last('info')).toMatchObject({ models: [{ release: 1, slot: 'a' }] });
    await w.feed(2);
    await expect.poll(() => w.last('forecast/boiler')).toMatchObject({ model: 'boiler-naive@1' });
    expect(device.probe.metrics.forecasts.failed).toBe(1);
    await device.stop();
  });

  test('is judged to its end whatever is offered meanwhile, and its predecessor is never written over', async () => {
    const w = await world('probation');
    onTestFinished(() => w.close());
    let device = w.start();
    const slot = (name: string): number =>
      (JSON.parse(readFileSync(join(w.stateDir, 'slots', 'boiler', name, 'manifest.json'), 'utf8')) as { release: number }).release; // prettier-ignore
    await w.push([{ release: 1 }], 'probation');
    await w.feed(12);
    await expect.poll(() => w.reported()?.models[0]?.state).toBe('committed');

    // Refused: the one on probation goes on, over a restart too, and is proven.
    await w.push([{ release: 2, probation: { minutes: 0, forecasts: 8 } }], 'probation');
    await w.push([{ release: 3 }], 'failed');
    expect([slot('a'), slot('b')]).toEqual([1, 2]);
    await w.feed(4);
    await device.stop();
    device = w.start();
    await expect.poll(() => device.told).toContain('link');
    await w.feed(12);
    await expect
      .poll(() => w.last('model/reported'))
      .toMatchObject({ models: [{ state: 'committed', release: 2, slot: 'b', code: null }] });

    // Replaced: the next takes the slot of the unproven one.
    await w.push([{ release: 5, probation: { minutes: 60, forecasts: 1000 } }], 'probation');
    expect([slot('a'), slot('b')]).toEqual([5, 2]);
    await w.push([{ release: 6, probation: { minutes: 60, forecasts: 1000 } }], 'probation');
    await expect
      .poll(() => w.last('model/reported'))
      .toMatchObject({ models: [{ release: 6, slot: 'a', previous: 2 }] });
    expect([slot('a'), slot('b')]).toEqual([6, 2]);
    expect(w.last('info')).toMatchObject({ models: [{ release: 6 }] });

    // Damaged while on probation: what is proven comes back.
    await device.stop();
    writeFileSync(join(w.stateDir, 'slots', 'boiler', 'a', 'model.fp32.onnx'), 'damaged');
    device = w.start();
    await expect
      .poll(() => w.last('model/reported'))
      .toMatchObject({ models: [{ state: 'rolled_back', release: 6, slot: 'b', code: 'self_test_failed' }] });
    await expect.poll(() => w.last('info')).toMatchObject({ models: [{ release: 2, slot: 'b' }] });
    await device.stop();
  });

  test('that is sure of the wrong thing is rolled back when enough values have missed its interval', async () => {
    const w = await world('narrow');
    onTestFinished(() => w.close());
    let device = w.start();
    await w.push([{ release: 1 }], 'probation');
    await w.feed(12);
    await expect.poll(() => w.reported()?.models[0]?.state).toBe('committed');
    await w.push([{ release: 7, probation: { minutes: 60, forecasts: 1000 } }], 'probation');
    await w.feed(60);
    await expect.poll(() => w.reported()?.models[0]?.metrics['forecasts']).toBe(50); // told now and then
    await w.caughtUp();
    await device.stop();
    device = w.start();
    await expect
      .poll(() => w.reported()?.models[0]?.metrics)
      .toMatchObject({ forecasts: 60, coverage: 0, missed: 0, memory: 0 });
    await w.feed(35); // with those before the restart it is enough
    await expect.poll(() => w.last('model/reported')).toMatchObject({
      models: [{ state: 'rolled_back', release: 7, slot: 'a', code: 'self_test_failed', detail: 'values inside the interval, away from what it promises: 90 % over 90 judged, at most 19.5 % is allowed' }],
    }); // prettier-ignore
    await expect.poll(() => w.last('info')).toMatchObject({ models: [{ release: 1, slot: 'a' }] });
    await device.stop();
  });

  test('can be stopped', async () => {
    const w = await world('halt');
    onTestFinished(() => w.close());
    const device = w.start();
    await w.push([{ release: 1 }], 'probation');
    await w.push([{ release: 1, mode: 'stop' }], 'idle');
    expect(device.probe.lanes.size).toBe(0);
    await device.stop();
  });
});

describe('a shadow', () => {
  test('forecasts unheard beside the model that runs, over a restart, and serves when it is chosen, without a download', async () => {
    const w = await world('shadow');
    onTestFinished(() => w.close());
    let device = w.start();
    const metrics = (): Record<string, number> => w.reported()?.models[0]?.metrics ?? {};
    await w.push([{ release: 1 }], 'probation');
    await w.feed(12);
    await expect.poll(() => w.reported()?.models[0]?.state).toBe('committed');
    await w.push([{ release: 8, mode: 'shadow' }], 'shadow');
    expect(w.last('model/reported')).toMatchObject({
      models: [{ release: 8, slot: 'b', previous: 1, code: null, metrics: { forecasts: 0, activeForecasts: 0 } }],
    });
    expect(w.last('info')).toMatchObject({ models: [{ release: 1, slot: 'a' }] });
    const before = w.heard.length;
    await w.feed(60);
    await w.caughtUp();
    await device.stop();
    const stopped = w.heard.length;
    device = w.start();
    await expect.poll(() => w.heard.slice(stopped).some(({ topic }) => topic === 'model/reported')).toBe(true);
    const { forecasts, skipped, pairs, activeForecasts: first } = metrics();
    expect(first).toBeGreaterThan(20); // it may still have been loading at the beginning
    expect(forecasts! + skipped!).toBeGreaterThanOrEqual(first! - 1); // the last one may have waited when the device stopped
    expect(pairs).toBeGreaterThan(0);
    await w.feed(60);
    await w.caughtUp();
    await device.stop();

    const said = w.heard.slice(before).filter(({ body }) => body['model'] === 'boiler-naive@8');
    expect(said).toEqual([]);

    device = w.start();
    await expect.poll(() => metrics()['activeForecasts']).toBe(first! + 60);
    expect(metrics()['pairs']).toBeGreaterThan(pairs!);
    expect(metrics()['errorRatio']).toBeCloseTo(metrics()['mae']! / metrics()['activeMae']!);
    rmSync(join(repository.servedDir, 'targets', 'boiler', '8'), { recursive: true }); // nothing to download
    await w.push([{ release: 8, probation: { minutes: 60, forecasts: 1000 } }], 'probation');
    expect(w.last('model/reported')).toMatchObject({ models: [{ release: 8, slot: 'b', previous: 1 }] });
    await expect.poll(() => w.last('info')).toMatchObject({ models: [{ release: 8, slot: 'b' }] });
    await w.feed(2);
    await expect.poll(() => w.last('forecast/boiler')).toMatchObject({ model: 'boiler-naive@8' });
    await device.stop();
  });

  test('that is worse is not chosen, however it is asked for; what runs is not disturbed', async () => {
    const w = await world('worse');
    onTestFinished(() => w.close());
    const device = w.start();
    await w.push([{ release: 1 }], 'probation');
    await w.feed(12);
    await expect.poll(() => w.reported()?.models[0]?.state).toBe('committed');
    await w.push([{ release: 9, mode: 'shadow' }], 'shadow');
    const pairs = (): number => w.reported()?.models[0]?.metrics['pairs'] ?? 0;
    while (pairs() < 100) {
      await w.feed(1);
      await clock.sleep(2, new AbortController().signal); // as long as it needs between two forecasts
    }
    await w.push([{ release: 9 }], 'failed');
    expect(w.last('model/reported')).toMatchObject({
      models: [
        {
          ...{ release: 9, slot: 'a', previous: 1, code: 'self_test_failed' },
          detail: expect.stringMatching(/^error, of that of the model before: \d+ % over \d+ pairs/) as string,
        },
      ],
    });
    await w.feed(2);
    await expect.poll(() => w.last('forecast/boiler')).toMatchObject({ model: 'boiler-naive@1' });
    expect(device.told.filter((event) => event === 'model-active')).toHaveLength(1);
    await device.stop();
  });

  test('ends when it fails, when it is stopped, when another is offered and when the device dies of it', async () => {
    const w = await world('shadow-ends');
    onTestFinished(() => w.close());
    let device = w.start();
    await w.push([{ release: 1 }], 'probation');
    await w.push([{ release: 2, mode: 'shadow' }], 'failed'); // its slot is not free
    expect(w.reported()?.models[0]).toMatchObject({ code: 'no_space', release: 2, slot: 'a' });
    await w.push([], 'failed'); // no more tries
    await w.feed(12);
    await expect.poll(() => w.reported()?.models[0]?.state).toBe('committed');

    await w.push([{ release: 10, mode: 'shadow' }], 'shadow');
    await w.feed(2);
    await expect.poll(() => w.reported()?.models[0]).toMatchObject({ state: 'failed', code: 'self_test_failed', release: 10, slot: 'a' }); // prettier-ignore

    await w.push([{ release: 2, mode: 'shadow' }], 'shadow');
    await w.push([{ release: 2, mode: 'stop' }], 'committed');
    expect(w.reported()?.models[0]).toMatchObject({ release: 1, slot: 'a', previous: null });
    await w.send('model/desired', desired([{ release: 2, mode: 'stop' }]), true); // signed anew
    await expect.poll(() => w.last('model/reported')?.['seq_seen']).toBe(seq);
    expect(device.probe.lanes.size).toBe(1);

    await w.push([{ release: 2, mode: 'shadow' }], 'shadow');
    await w.send('model/desired', desired([{ release: 1 }, { release: 2, mode: 'shadow' }]), true);
    await expect.poll(() => w.last('model/reported')?.['seq_seen']).toBe(seq);
    expect(w.reported()?.models[0]?.state).toBe('shadow'); // both are wanted
    await w.push([{ release: 1 }], 'committed');

    await w.push([{ release: 2, mode: 'shadow' }], 'shadow');
    await w.push([{ release: 5, mode: 'shadow' }], 'shadow');
    await expect.poll(() => w.reported()?.models[0]).toMatchObject({ state: 'shadow', release: 5, slot: 'b' });

    for (let crash = 0; crash < 3; crash++) {
      expect(w.reported()?.models[0]?.state).toBe('shadow');
      await device.stop();
      writeFileSync(join(w.stateDir, 'device.db.running'), ''); // as a kill leaves it
      device = w.start();
      await expect.poll(() => device.told).toContain('link');
    }
    await expect
      .poll(() => w.reported()?.models[0])
      .toMatchObject({ state: 'failed', detail: '3 unclean ends since it began', slot: 'a' });

    await w.push([{ release: 2, mode: 'shadow' }], 'shadow');
    await device.stop();
    writeFileSync(join(w.stateDir, 'slots', 'boiler', 'b', 'model.fp32.onnx'), 'damaged');
    device = w.start();
    await expect.poll(() => w.reported()?.models[0]?.detail).toBe('the slot does not hold it any more');
    await w.push([{ release: 1, mode: 'stop' }], 'idle');
    await device.stop();
  });

  test('without a model to run beside forecasts too, and shows that it has none', async () => {
    const w = await world('shadow-alone');
    onTestFinished(() => w.close());
    let device = w.start();
    await w.push([{ release: 1, mode: 'shadow' }], 'shadow');
    await w.feed(20);
    await expect.poll(() => device.probe.metrics.samples.stored).toBe(20);
    await device.stop();
    device = w.start();
    await expect.poll(() => w.reported()?.models[0]?.metrics['forecasts']).toBeGreaterThan(0);
    expect(w.reported()!.models[0]!.metrics).toMatchObject({ activeForecasts: 0, pairs: 0 });
    expect(w.last('forecast/boiler')).toBeUndefined();
    await device.stop();
  });
});

describe('a refused update leaves the running model alone and says why', () => {
  test('golden vectors, binding, hash, signature, replay, rubbish', async () => {
    const w = await world('refuse');
    onTestFinished(() => w.close());
    const device = w.start();
    await w.push([{ release: 2 }], 'probation');
    await w.feed(8);
    await expect.poll(() => w.reported()?.models[0]?.state).toBe('committed');
    const code = (): unknown => w.reported()?.models[0]?.code;
    const refused = (): unknown => w.reported()?.refused?.code;

    await w.push([{ release: 3 }], 'failed');
    expect(code()).toBe('self_test_failed');
    await w.send('model/desired', desired([{ release: 3, bind: { other: 'boiler' } }]), true);
    await expect.poll(code).toBe('malformed');
    await w.send('model/desired', desired([{ release: 1 }]), true);
    await expect.poll(code).toBe('rollback_refused');
    await w.send('model/desired', desired([{ release: 3, manifestSha256: 'f'.repeat(64) }]), true);
    await expect.poll(code).toBe('mix_and_match');

    const before = desired([]);
    const tampered = Buffer.from(before);
    const at = tampered.indexOf('"sig":"') + 10;
    tampered[at] = tampered[at] === 0x41 ? 0x42 : 0x41;
    for (const [bytes, reason] of [
      [desired([{ release: 2, mode: 'shadow' }]), 'unsupported'], // of itself
      [tampered, 'bad_signature'],
      [desired([], { device: 'pi8' }), 'wrong_target'],
      [desired([], { seq: 1 }), 'replayed'],
      [Buffer.from('{'), 'malformed'],
    ] as const) {
      await w.send('model/desired', bytes, true);
      await expect.poll(refused).toBe(reason);
    }
    const issued = device.probe.metrics.forecasts.issued;
    await w.feed(3);
    await expect.poll(() => device.probe.metrics.forecasts.issued).toBe(issued + 3);
    expect(w.last('forecast/boiler')).toMatchObject({ model: 'boiler-naive@2' });
    expect(device.probe.metrics.updates.failed).toMatchObject({ self_test_failed: 1, bad_signature: 1, replayed: 1 });
    await device.stop();
  });

  test('a device without a repository takes no update', async () => {
    const w = await world('closed', {
      ports: {
        openRepository: async () => {
          throw new Error('no such server');
        },
      },
    });
    onTestFinished(() => w.close());
    const device = w.start();
    await w.send('model/desired', desired([{ release: 1 }]), true);
    await expect
      .poll(() => w.last('model/reported')?.['refused'])
      .toMatchObject({ code: 'unreachable', detail: 'no such server' });
    await device.stop();
  });
});

test('update files: a device without a server takes a model from one and forecasts; a bad one changes nothing', async () => {
  const w = await world('stick', {
    ports: {
      clock: { ...clock, sleep: soon },
      openRepository: async () => {
        throw new Error('no such server');
      },
    },
  });
  onTestFinished(() => w.close());
  const device = w.start();
  const refused = (): unknown => w.last('model/reported')?.['refused'];
  let number = 0;
  const lay = async (
    content: Omit<Parameters<typeof exportUpdate>[0], 'dir' | 'out' | 'lifetimeDays'>,
    wrong?: (bytes: Buffer) => number,
  ) => {
    const out = join(dir, `update-${++number}.ndb`);
    await exportUpdate({ ...content, dir: join(dir, 'repository'), out, lifetimeDays: 7 });
    const bytes = readFileSync(out);
    if (wrong !== undefined) bytes[wrong(bytes)]! ^= 1;
    writeFileSync(join(w.stateDir, 'offline', `${number}.part`), bytes);
    renameSync(join(w.stateDir, 'offline', `${number}.part`), join(w.stateDir, 'offline', `${number}.ndb`));
  };

  await expect.poll(() => existsSync(join(w.stateDir, 'offline'))).toBe(true);
  await lay({ desired: desired([{ release: 2 }]) });
  await expect.poll(() => w.reported()?.models[0]?.state, { timeout: 15_000 }).toBe('probation');
  await w.feed(8);
  await expect.poll(() => w.last('forecast/boiler')).toMatchObject({ model: 'boiler-naive@2' });
  await expect.poll(() => w.reported()?.models[0]?.state).toBe('committed');

  await lay({ desired: desired([{ release: 5 }], { device: 'pi8' }) });
  await expect
    .poll(refused)
    .toMatchObject({ code: 'wrong_target', detail: expect.stringMatching(/^2\.ndb: /) as string });
  const year = (bytes: Buffer): number => bytes.indexOf('"expires":"20', bytes.indexOf('metadata/timestamp.json')) + 11;
  await lay({ desired: desired([{ release: 5 }]) }, year);
  await expect.poll(refused).toMatchObject({ code: 'bad_signature' });
  await lay({ desired: desired([{ release: 5 }]) }, () => 0);
  await expect.poll(refused).toMatchObject({ code: 'malformed' });
  await expect.poll(() => readdirSync(join(w.stateDir, 'offline'))).toEqual([]);
  const { issued } = device.probe.metrics.forecasts;
  await w.feed(3);
  await expect.poll(() => device.probe.metrics.forecasts.issued).toBe(issued + 3);
  expect(device.probe.metrics.updates.failed).toMatchObject({ wrong_target: 1, bad_signature: 1, malformed: 1 });

  // A message that no server can fulfil is fulfilled by a file that brings the model alone.
  await w.send('model/desired', desired([{ release: 5 }]), true);
  await expect.poll(refused).toMatchObject({ code: 'unreachable' });
  await lay({ line: 'boiler', release: 5 });
  await expect
    .poll(() => w.reported()?.models[0], { timeout: 15_000 })
    .toMatchObject({ state: 'probation', release: 5 });
  expect(refused()).toBeNull();
  await device.stop();
}, 60_000);

test('forecast-now forecasts at once; a silenced alert tells nobody, but its state is there', async () => {
  const w = await world('orders');
  onTestFinished(() => w.close());
  const device = w.start();
  await expect.poll(() => w.last('status')).toMatchObject({ state: 'online' });
  await w.send('cmd/forecast-now', { id: 'early' });
  await expect.poll(() => w.last('reply/forecast-now')).toMatchObject({ id: 'early', error: { code: 'not_possible' } });
  await w.push([{}], 'probation');
  await w.feed(140);
  const forecasts = () => w.heard.filter(({ topic }) => topic === 'forecast/boiler').length;
  await expect.poll(forecasts).toBe(136);
  await w.send('cmd/forecast-now', { id: 'now', stream: 'boiler' });
  await expect.poll(() => w.last('reply/forecast-now')).toMatchObject({ id: 'now', ok: true, streams: ['boiler'] });
  await expect.poll(forecasts).toBe(137);

  await w.send('cmd/silence', { id: 'hush', key: 'pi7/boiler/anomaly', minutes: 5, by: 'test' });
  await expect.poll(() => w.last('reply/silence')).toMatchObject({ id: 'hush', ok: true });
  await w.feed(3, 30);
  await expect.poll(() => w.last('alert/boiler/anomaly')).toMatchObject({ state: 'firing' });
  expect(w.last('event/boiler')).toBeUndefined();
  await w.send('cmd/silence', { id: 'speak', key: 'pi7/boiler/anomaly', minutes: 0, by: 'test' });
  await expect.poll(() => w.last('reply/silence')).toMatchObject({ id: 'speak' });
  await w.feed(12);
  await expect.poll(() => w.last('event/boiler')).toMatchObject({ event: 'resolved' });
  await device.stop();
});

test('a paused stream is neither forecast nor judged, its open alert ends, and what it says is stored', async () => {
  const w = await world('paused');
  onTestFinished(() => w.close());
  let device = w.start();
  await w.push([{}], 'probation');
  await w.feed(140);
  await w.feed(3, 30);
  await expect.poll(() => w.last('alert/boiler/anomaly')).toMatchObject({ state: 'firing' });
  await w.send('cmd/snapshot', { stream: 'boiler', readings: 2 });
  await expect
    .poll(() => w.last('reply/snapshot'))
    .toMatchObject({
      ok: true,
      judged: [{ name: 'boiler', model: 'boiler-naive@1', state: 'firing' }],
      alerts: [{ key: 'pi7/boiler/anomaly', event: 'opened' }],
      paused: {},
    });
  expect(w.last('reply/snapshot')!['readings']).toHaveLength(2);

  await w.send('cmd/pause', { id: 'p', stream: 'boiler', by: 'service' });
  await expect.poll(() => w.last('reply/pause')).toMatchObject({ ok: true, until: null });
  await expect
    .poll(() => w.last('alert/boiler/anomaly'))
    .toMatchObject({ state: 'normal', event: 'stale', reason: 'paused by service' });
  await device.stop();
  device = w.start(); // it lasts over a restart
  await expect.poll(() => device.told).toContain('link');
  const newest = () => Math.max(...w.heard.flatMap(({ topic, body }) => (topic === 'forecast/boiler' ? [Number(body['start'])] : []))); // prettier-ignore
  const before = startMs + 142 * minute;
  await w.feed(10, 60);
  await expect.poll(() => device.probe.metrics.samples.stored).toBe(10);
  await w.send('cmd/snapshot', { stream: 'nobody' });
  await expect.poll(() => w.last('reply/snapshot')).toMatchObject({ ok: false, error: { code: 'not_possible' } });
  expect(newest()).toBeLessThanOrEqual(before);
  expect(w.last('alert/boiler/anomaly')).toMatchObject({ state: 'normal' });

  await w.send('cmd/resume', { id: 'r1', stream: 'boiler', by: 'service' });
  await expect.poll(() => w.last('reply/resume')).toMatchObject({ ok: true });
  await w.send('cmd/resume', { id: 'r2', by: 'service' });
  await expect.poll(() => w.last('reply/resume')).toMatchObject({ error: { code: 'not_possible' } });
  await w.feed(3, 60);
  await expect.poll(newest).toBeGreaterThan(before);
  await device.stop();
});

test('a model that is asked for waits, may be sent back, and stays back', async () => {
  const w = await world('asked', { install: 'asked', homeAssistant: {} });
  onTestFinished(() => w.close());
  const device = w.start();
  const install = async (state: string): Promise<void> => {
    await w.send('cmd/model-install', {});
    await expect.poll(() => w.reported()?.models[0]?.state, { timeout: 15_000 }).toBe(state);
  };
  await w.push([{ release: 1 }], 'offered');
  expect(w.last('model/ha')).toMatchObject({ installed_version: 'boiler@none', latest_version: 'boiler@1', in_progress: false }); // prettier-ignore
  await install('probation');
  await w.push([{ release: 2 }], 'probation'); // seen, and shown when the first is proven
  await w.feed(30);
  await expect.poll(() => w.reported()?.models[0]).toMatchObject({ state: 'offered', release: 2 });
  await install('probation');
  await w.feed(6);
  await expect.poll(() => w.reported()?.models[0]).toMatchObject({ state: 'committed', release: 2, previous: 1 });
  await w.send('cmd/model-install', {});
  await expect.poll(() => w.last('reply/model-install')).toMatchObject({ error: { code: 'not_possible' } });

  await w.send('cmd/rollback', { id: 'back', line: 'boiler', by: 'service' });
  await expect.poll(() => w.last('reply/rollback')).toMatchObject({ ok: true, release: 1 });
  await expect
    .poll(() => w.reported()?.models[0])
    .toMatchObject({ state: 'rolled_back', release: 2, code: null, detail: 'asked for by service', slot: 'a' });
  await w.feed(2);
  await expect.poll(() => w.last('forecast/boiler')).toMatchObject({ model: 'boiler-naive@1' });
  await w.push([{ release: 5, mode: 'shadow' }], 'offered');
  await install('shadow');
  await w.send('model/desired', desired([{ release: 5 }]), true);
  await expect.poll(() => w.last('model/reported')?.['seq_seen']).toBe(seq);
  expect(w.reported()?.models[0]?.state).toBe('shadow'); // it waits unheard
  await w.send('cmd/rollback', { id: 'further', line: 'boiler', by: 'service' });
  await expect.poll(() => w.last('reply/rollback')).toMatchObject({ error: { code: 'not_possible' } });
  await install('probation');
  expect(w.reported()?.models[0]).toMatchObject({ release: 5, slot: 'b', previous: 1 });
  await device.stop();
});

test('malformed messages are counted and the next reading is taken; commands answer; retained ones do not', async () => {
  const w = await world('noise');
  onTestFinished(() => w.close());
  const device = w.start();
  await expect.poll(() => w.last('status')).toMatchObject({ state: 'online' });
  await w.send('in/boiler', Buffer.from([0xff, 0xfe]));
  await w.send('in/boiler', { ts: startMs, value: 'warm' });
  await w.send('in/nobody', { ts: startMs, value: 1 });
  await w.send('in/boiler', { ts: startMs, value: 1 });
  await w.send('in/boiler', { ts: startMs, value: 1 });
  await expect.poll(() => device.probe.metrics.samples).toMatchObject({ stored: 1, duplicate: 1 });
  expect(device.probe.metrics.rejected).toEqual({ undecodable: 1, not_a_number: 1, unknown_stream: 1 });

  await w.send('cmd/status', {});
  await expect
    .poll(() => w.last('reply/status'))
    .toMatchObject({ v: 1, samples: 1, rejected: { undecodable: 1 }, rss_mb: 64 });
  await w.send('cmd/ping', {});
  await expect.poll(() => w.last('reply/ping')).toMatchObject({ v: 1 });
  for (const name of ['dance', '__proto__', 'toString']) await w.send(`cmd/${name}`, {}); // refused, and the link holds
  await w.send('in/boiler', { ts: startMs + minute, value: 2 });
  await expect.poll(() => device.probe.metrics.samples).toMatchObject({ stored: 2 });
  expect(device.probe.metrics.reconnects).toEqual({}); // there was one link all the time
  await device.stop();
});

test('a tuned model stays when the fleet says the same release again, and makes room for another', async () => {
  await tunableBundle(join(dir, 'bundle-11'), { release: 11 });
  const published = await publish({ dir: join(dir, 'repository'), bundleDir: join(dir, 'bundle-11') });
  releases.set(11, published.manifestSha256);
  const tune: Ports['tune'] = (job) => tuneLine(job, { engine: createOrtEngine(), clock });
  const w = await world('tuned', { ports: { clock: { ...clock, sleep: soon }, tune } });
  onTestFinished(() => w.close());
  const device = w.start();
  await expect.poll(() => w.last('status')).toMatchObject({ state: 'online' });
  await w.push([{ release: 11 }], 'probation');
  await w.feed(400);
  await expect.poll(() => w.reported()?.models[0]?.state, { timeout: 15_000 }).toBe('committed');

  const config = parseConfig({ site: 'plant1', device: 'pi7', state_dir: w.stateDir, mqtt: { url: broker.url }, streams: { boiler: { lateness: 0 } } }, 'test'); // prettier-ignore
  const job = { config, line: 'boiler', stream: null, steps: 60, dryRun: false };
  expect(await tune(job, { minutes: 1, memoryMb: 256 })).toMatchObject({ ok: true, value: { kept: true } });
  const tunedFrom = () => (w.reported()?.models[0] as { tuned_from?: string } | undefined)?.tuned_from;
  await expect.poll(tunedFrom, { timeout: 15_000 }).toBe(releases.get(11));
  await expect.poll(() => w.reported()?.models[0]).toMatchObject({ state: 'probation', release: 11 });
  await w.feed(2);
  await expect.poll(() => w.last('forecast/boiler')).toMatchObject({ model: 'boiler-nhits-tuned@11' });

  const seen = seq + 1;
  await w.send('model/desired', desired([{ release: 11 }]), true);
  await expect.poll(() => w.last('model/reported')?.['seq_seen']).toBe(seen);
  expect(tunedFrom()).toBe(releases.get(11));

  await w.send('model/desired', desired([{ release: 2, allowRollbackTo: 2 }]), true);
  await expect
    .poll(() => w.reported()?.models[0], { timeout: 15_000 })
    .toMatchObject({ release: 2, state: 'probation' });
  expect(tunedFrom()).toBeUndefined();
  await device.stop();
});
