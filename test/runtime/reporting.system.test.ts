/** Sensors that report on change, alerts by the dozen, floods and rubbish, through a real mosquitto; only time is turned by hand. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { installModel, minute } from '../../faults/device.js';
import { createMosquitto } from '../../faults/process.js';
import type { Mosquitto } from '../../faults/process.js';
import { parseConfig } from '../../src/contracts/config.js';
import { runDevice } from '../../src/runtime/device.js';
import type { Probe } from '../../src/runtime/device.js';
import { createId } from '../../src/runtime/main.js';
import { openStore } from '../../src/runtime/store.js';
import { connectMqtt } from '../../src/transport/mqtt.js';
import { findProgram } from '../program.js';
import { fakeClock, fakeMachine, naiveEngine, idlePorts } from './fakes.js';

const hour = 60 * minute;
const soon = { timeout: 20_000, interval: 20 };

interface Heard {
  readonly topic: string;
  readonly body: Record<string, unknown>;
}

describe.skipIf(findProgram('mosquitto') === undefined)('a device on a mosquitto', () => {
  let dir: string;
  let broker: Mosquitto;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'nd-reporting-'));
    broker = await createMosquitto(join(dir, 'broker'));
    await broker.start();
  });
  afterAll(async () => {
    await broker.kill();
    rmSync(dir, { recursive: true });
  });

  async function world(name: string, change: Record<string, unknown>) {
    const stateDir = join(dir, name);
    const clock = fakeClock(Date.UTC(2026, 0, 1) + 30_000);
    const config = parseConfig(
      {
        base: name,
        site: 'plant1',
        device: 'pi7',
        state_dir: stateDir,
        clock: 'trusted',
        mqtt: { url: broker.url },
        http: { port: null },
        ...change,
      },
      'test',
    );
    const prefix = `${name}/plant1/pi7`;
    const heard: Heard[] = [];
    const client = await mqtt.connectAsync(broker.url, { protocolVersion: 5 });
    client.on('message', (topic, payload) => {
      if (topic.startsWith(`${prefix}/in/`)) return;
      heard.push({
        topic: topic.slice(prefix.length + 1),
        body: JSON.parse(payload.toString() || '{}') as Heard['body'],
      });
    });
    await client.subscribeAsync(`${prefix}/+/#`, { qos: 1 });
    onTestFinished(() => void client.end(true));

    async function start() {
      const stopping = new AbortController();
      const store = openStore({ path: join(stateDir, 'device.db'), clock });
      const told: [event: string, facts: Readonly<Record<string, unknown>>][] = [];
      let probe: Probe | undefined;
      const ended = runDevice(
        config,
        {
          ...idlePorts,
          clock,
          store,
          machine: fakeMachine,
          providers: async () => ['cpu'],
          engine: async () => naiveEngine(4),
          connect: async (options) => connectMqtt({ ...options, url: broker.url, clientId: `nd-${name}` }),
          newId: () => createId(clock.now()),
          tell: (event, facts) => void told.push([event, facts]),
        },
        stopping.signal,
        (seen) => (probe = seen),
      );
      await expect.poll(() => told.some(([event, { state }]) => event === 'link' && state === 'online'), soon).toBe(true); // prettier-ignore
      return {
        store,
        told,
        probe: probe!,
        async stop() {
          stopping.abort();
          await ended;
          store.close();
        },
      };
    }
    return {
      stateDir,
      clock,
      heard,
      prefix,
      start,
      last: (topic: string) => heard.findLast((each) => each.topic === topic)?.body,
      events: (stream: string) => heard.filter(({ topic }) => topic === `event/${stream}`).map(({ body }) => body),
      say: (topic: string, payload: string, retain = false) => client.publishAsync(topic, payload, { qos: 1, retain }),
    };
  }

  test('a sensor that reports on change is forecast by the clock, alarms only without a sign of life, and is held over a restart', async () => {
    const w = await world('change', {
      mappings: [{ preset: 'zigbee2mqtt', name: 'boiler', path: '/t', stream: 'boiler' }],
      streams: { boiler: { stuck_count: 2 } },
    });
    await installModel(w.stateDir);
    let device = await w.start();
    const report = async (value: number) => {
      const before = device.probe.metrics.samples.stored;
      await w.say('zigbee2mqtt/boiler', JSON.stringify({ t: value }));
      await expect.poll(() => device.probe.metrics.samples.stored, soon).toBe(before + 1);
    };
    const pass = async (ms: number) => {
      for (let left = ms; left > 0; left -= minute) await w.clock.advance(Math.min(left, minute));
    };
    await report(20);
    await report(20); // stuck_count is not for such a sensor
    await pass(8 * minute);
    await expect
      .poll(() => w.last('forecast/boiler'), soon)
      .toMatchObject({ p50: [20, 20, 20, 20], quality: { imputed: 0, held: 1 } });
    const issued = device.probe.metrics.forecasts.issued;
    await pass(2 * minute);
    expect(device.probe.metrics.forecasts.issued).toBe(issued + 2);

    await report(21.5);
    await device.stop();
    await w.clock.advance(5 * minute);
    device = await w.start();
    await expect.poll(() => w.last('forecast/boiler'), soon).toMatchObject({ p50: [21.5, 21.5, 21.5, 21.5] });
    await pass(minute);
    const start = w.clock.now() - 2 * minute; // the lateness
    await expect
      .poll(() => w.last('forecast/boiler'), soon)
      .toMatchObject({ start: start - (start % minute), quality: { held: 0.75 } });

    await w.say('zigbee2mqtt/boiler/availability', '{"state":"online"}');
    await expect.poll(() => device.probe.metrics.samples.stored, soon).toBe(0);
    await w.clock.advance(23 * hour);
    expect(w.last('alert/boiler/sensor_dropout')).toBeUndefined();
    await w.clock.advance(2 * hour);
    await expect.poll(() => w.last('alert/boiler/sensor_dropout'), soon).toMatchObject({ event: 'opened' });
    expect(w.last('alert/boiler/sensor_dropout')!['reason']).toMatch(/^no reading for 9\d{4} s$/);
    const quiet = device.probe.metrics.forecasts.issued;
    await pass(3 * minute);
    expect(device.probe.metrics.forecasts.issued).toBe(quiet);

    await w.say('zigbee2mqtt/boiler/availability', '{"state":"online"}', true);
    await expect.poll(() => w.last('alert/boiler/sensor_dropout'), soon).toMatchObject({ event: 'resolved' });
    await pass(2 * minute);
    expect(device.probe.metrics.forecasts.issued).toBeGreaterThan(quiet);
    await w.say('zigbee2mqtt/bridge/state', '{"state":"offline"}');
    await expect
      .poll(() => w.last('alert/boiler/sensor_dropout'), soon)
      .toMatchObject({ event: 'opened', reason: 'its availability says that it is gone' });
    const gone = device.probe.metrics.forecasts.issued;
    await pass(3 * minute);
    expect(device.probe.metrics.forecasts.issued).toBe(gone);
    await report(22);
    await expect.poll(() => w.last('alert/boiler/sensor_dropout'), soon).toMatchObject({ event: 'resolved' });
    expect(w.heard.filter(({ topic }) => topic.startsWith('alert/boiler/') && !topic.endsWith('dropout'))).toEqual([]);
    await device.stop();
    await w.say('zigbee2mqtt/boiler/availability', '', true);
  });

  test('detectors take a value that holds beside one that is measured', async () => {
    const w = await world('beside', {
      streams: { flow: { lateness: 0 }, valve: { report: 'heartbeat', heartbeat: '1h' } },
      detectors: { pump: { streams: ['flow', 'valve'], cadence: '1m', lateness: 0, training: 200 } },
    });
    const device = await w.start();
    await w.say(`${w.prefix}/in/valve`, '1');
    await expect.poll(() => device.probe.metrics.samples.stored, soon).toBe(1);
    for (let i = 0; i < 3; i++) {
      await w.say(`${w.prefix}/in/flow`, String(i));
      await expect.poll(() => device.probe.metrics.samples.stored, soon).toBe(i + 2);
      await w.clock.advance(minute);
    }
    await device.stop();
    const memory = JSON.parse(openStored(w.stateDir, w.clock, 'detector/pump/memory')) as { value: { group: { rows: number[][] } } }; // prettier-ignore
    expect(memory.value.group.rows).toEqual([
      [0, 1],
      [1, 1],
    ]);
  });

  test('of many alerts in a minute a few are told, the others in one message; their states are all there', async () => {
    const names = Array.from({ length: 10 }, (_, i) => `s${i}`);
    const w = await world('storm', {
      streams: Object.fromEntries(names.map((name) => [name, { max: 10 }])),
    });
    let device = await w.start();
    for (const name of names) await w.say(`${w.prefix}/in/${name}`, '99');
    await expect.poll(() => w.last('alert/s9/sensor_range'), soon).toMatchObject({ state: 'firing' });
    expect(names.map((name) => w.events(name).length)).toEqual([1, 1, 1, 1, 1, 1, 0, 0, 0, 0]);
    expect(names.filter((name) => w.last(`alert/${name}/sensor_range`)?.['state'] === 'firing')).toEqual(names);
    await device.stop();

    device = await w.start();
    await w.say(`${w.prefix}/in/s0`, '5');
    await w.say(`${w.prefix}/in/s9`, '5');
    await expect.poll(() => w.last('alert/s9/sensor_range'), soon).toMatchObject({ event: 'resolved' });
    await expect.poll(() => w.events('s0').length, soon).toBe(2);
    expect(w.events('s9')).toEqual([]); // nobody was told that it began
    await w.clock.advance(minute);
    await expect.poll(() => w.events('device'), soon).toMatchObject([{ event: 'suppressed', suppressed: 4 }]);
    await device.stop();
  });

  test('a flood is cut, the newest of it is kept, and an alert says so until it is over', async () => {
    const w = await world('flood', { streams: { boiler: {}, calm: {} }, max_message_rate: 2 });
    let device = await w.start();
    const base = w.clock.now() - hour;
    for (let i = 0; i < 60; i++) await w.say(`${w.prefix}/in/boiler`, JSON.stringify({ ts: base + i, value: i }));
    await w.say(`${w.prefix}/in/calm`, '1');
    await expect.poll(() => device.probe.metrics.samples.stored, soon).toBe(21);
    expect(device.probe.metrics.rejected).toEqual({ overload: 39 });
    await w.clock.advance(5000);
    await expect
      .poll(() => w.last('alert/device/overload'), soon)
      .toMatchObject({ event: 'opened', reason: 'boiler sends more than 2 messages a second: the newest are kept', value: 39 }); // prettier-ignore
    expect(device.store.newest('boiler', 2).map(({ value }) => value)).toEqual([19, 59]);
    expect(device.probe.quarantine.samples().overload!.at(-1)).toMatchObject({ topic: `${w.prefix}/in/boiler` });

    await device.stop();
    device = await w.start();
    await w.clock.advance(5000);
    await expect
      .poll(() => w.last('alert/device/overload'), soon)
      .toMatchObject({ event: 'resolved', state: 'normal' });
    await device.stop();
  });

  test('what is refused is kept to be looked at, with one line of the log for each reason and minute', async () => {
    const w = await world('rubbish', { streams: { boiler: {} } });
    const device = await w.start();
    for (let i = 0; i < 120; i++) await w.say(`${w.prefix}/in/boiler`, `{"value":${i}`);
    await w.say(`${w.prefix}/in/nobody`, '1');
    await expect.poll(() => device.probe.metrics.rejected, soon).toEqual({ undecodable: 120, unknown_stream: 1 });
    const lines = () => device.told.filter(([event]) => event === 'rejected').map(([, facts]) => facts);
    const topic = `${w.prefix}/in/boiler`;
    expect(lines()).toEqual([
      { code: 'undecodable', topic, head: '{"value":0', bytes: 10, count: 1 },
      { code: 'unknown_stream', topic: `${w.prefix}/in/nobody`, head: '1', bytes: 1, count: 1 },
    ]);
    const samples = device.probe.quarantine.samples();
    expect(samples.undecodable!.map(({ head }) => head)).toEqual(Array.from({ length: 100 }, (_, i) => `{"value":${i + 20}`)); // prettier-ignore
    await w.say(`${w.prefix}/cmd/snapshot`, '{"id":"look"}');
    await expect
      .poll(() => w.last('reply/snapshot')?.['refused'], soon)
      .toMatchObject({ unknown_stream: [{ ts: w.clock.now(), head: '1', bytes: 1 }] });
    const { undecodable } = w.last('reply/snapshot')!['refused'] as Record<string, readonly object[]>;
    expect(undecodable).toHaveLength(10);
    await w.clock.advance(minute);
    await w.say(topic, '[');
    await expect
      .poll(() => lines().at(-1), soon)
      .toEqual({ code: 'undecodable', topic, head: '[', bytes: 1, count: 120 });
    await device.stop();
  });
});

function openStored(stateDir: string, clock: ReturnType<typeof fakeClock>, key: string): string {
  const store = openStore({ path: join(stateDir, 'device.db'), clock });
  try {
    return store.get(key)!.toString();
  } finally {
    store.close();
  }
}
