/** Sparkplug B through a real mosquitto: a node that is played here, the device as a process, and a host that reads all of it. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import mqtt from 'mqtt';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { installModel, minute, prefix, settings, writeSettings } from '../../faults/device.js';
import { createMosquitto } from '../../faults/process.js';
import {
  decodeSparkplug,
  encodeSparkplug,
  parseSparkplugTopic,
  rebirthRequest,
  REBIRTH,
} from '../../src/transport/sparkplug.js';
import type { Integer, SparkplugMetric } from '../../src/transport/sparkplug.js';
import { findProgram } from '../program.js';
import { buildDevice } from './built.js';

const soon = { timeout: 30_000, interval: 20 };
let dir: string;
let built: (module: string) => string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'nd-sparkplug-'));
  built = buildDevice();
});
afterAll(() => {
  rmSync(dir, { recursive: true });
  rmSync(dirname(built('package.json')), { recursive: true });
});

function startDevice(config: string) {
  const child = spawn(process.execPath, [built('runtime/main.js'), config], { stdio: ['ignore', 'ignore', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let complaints = '';
  child.stderr.on('data', (text: Buffer) => (complaints += text.toString()));
  const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, exit, complaints: () => complaints };
}

/** A node of a plant with one device, as a maker would write it. */
async function startNode(url: string, name: string) {
  const bdSeq: SparkplugMetric = { name: 'bdSeq', datatype: 4, longValue: 41 };
  const topic = (type: string): string => `spBv1.0/Plant 1/${type}/${name}${type.startsWith('D') ? '/Press' : ''}`;
  const client = await mqtt.connectAsync(url, {
    reconnectPeriod: 0,
    will: {
      topic: topic('NDEATH'),
      payload: Buffer.from(encodeSparkplug({ metrics: [bdSeq] })),
      qos: 1,
      retain: false,
    },
  });
  onTestFinished(() => void client.end(true));
  let seq = 0;
  let asked = 0;
  const say = (type: string, metrics: readonly SparkplugMetric[], timestamp = Date.now()) => {
    if (type === 'NBIRTH') seq = 0;
    const payload = Buffer.from(encodeSparkplug({ timestamp, metrics, seq: seq++ % 256 }));
    return client.publishAsync(topic(type), payload, { qos: 0 });
  };
  async function birth(): Promise<void> {
    await say('NBIRTH', [bdSeq, { name: REBIRTH, datatype: 11, booleanValue: false }]);
    await say('DBIRTH', [{ name: 'Temp', alias: 17, datatype: 9, isNull: true }]);
  }
  client.on('message', (_, payload) => {
    const command = decodeSparkplug(payload);
    if (!command.ok || command.value.metrics[0]?.name !== REBIRTH) return;
    asked++;
    void birth();
  });
  await client.subscribeAsync(topic('NCMD'), { qos: 1 });
  return {
    birth,
    value: (floatValue: number, timestamp: number) => say('DDATA', [{ alias: 17, floatValue, timestamp }]),
    /** As if a message had been lost. */
    skip: () => void seq++,
    get asked() {
      return asked;
    },
    /** Without a word: the broker tells its will. */
    die: () => client.stream.destroy(),
  };
}

/** A host of Sparkplug that knows its nodes by what they say, and someone who reads our JSON. */
async function startHost(url: string) {
  const heard: { type: string; bdSeq: Integer | undefined; seq: Integer | undefined; historical: boolean }[] = [];
  const values = new Map<string, number | string | undefined>();
  const json = new Map<string, Record<string, unknown>>();
  let names = new Map<Integer, string>();
  const client = await mqtt.connectAsync(url, { protocolVersion: 5 });
  onTestFinished(() => void client.end(true));
  client.on('message', (topic, payload) => {
    const parsed = parseSparkplugTopic(topic);
    if (parsed === undefined)
      return void json.set(topic.slice(prefix.length + 1), JSON.parse(payload.toString()) as never);
    if (parsed.node !== 'pi7' || parsed.type === 'NCMD') return;
    const decoded = decodeSparkplug(payload);
    if (!decoded.ok) throw new Error(decoded.detail);
    const { metrics, seq } = decoded.value;
    if (parsed.type === 'NBIRTH') names = new Map(metrics.map(({ alias = -1, name = '' }) => [alias, name]));
    for (const { alias, name, doubleValue, stringValue } of metrics)
      values.set(name ?? names.get(alias!) ?? 'unknown', doubleValue ?? stringValue);
    heard.push({
      type: parsed.type,
      bdSeq: metrics.find(({ name }) => name === 'bdSeq')?.longValue,
      seq,
      historical: metrics.some(({ isHistorical }) => isHistorical === true),
    });
  });
  await client.subscribeAsync(['spBv1.0/#', `${prefix}/#`], { qos: 1 });
  return {
    heard,
    values,
    json,
    ask: () => client.publishAsync('spBv1.0/Plant 1/NCMD/pi7', Buffer.from(rebirthRequest(Date.now()))),
    /** The newest message of a type. */
    last: (type: string) => heard.findLast((one) => one.type === type),
  };
}

test.skipIf(findProgram('mosquitto') === undefined)(
  'a device forecasts what a node says, tells that it is gone, and is a node itself: born, reborn, dead, born again',
  async () => {
    const broker = await createMosquitto(join(dir, 'broker'));
    await broker.start();
    onTestFinished(() => broker.kill());
    const stateDir = join(dir, 'state');
    await installModel(stateDir);
    const config = writeSettings(
      dir,
      settings(stateDir, broker.url, {
        mappings: [{ topic: 'spBv1.0/Plant 1/+/Press', format: 'sparkplugb', metric: 'Temp', stream: 'boiler' }],
        sparkplug: { group: 'Plant 1', node: 'pi7' },
      }),
    );
    const start = () => startDevice(config);
    const host = await startHost(broker.url);
    let device = start();
    await expect.poll(() => host.json.get('status'), soon).toMatchObject({ state: 'online' });
    await expect.poll(() => host.last('NBIRTH'), soon).toEqual({ type: 'NBIRTH', bdSeq: 0, seq: 0, historical: false });
    expect(host.values.get('alert/boiler/anomaly/state')).toBe('warming');

    // It was born before the device listened: the first data make the device ask.
    const startMs = Math.floor(Date.now() / minute) * minute - 60 * minute;
    const line4 = await startNode(broker.url, 'line4');
    await line4.value(99, startMs - minute);
    await expect.poll(() => line4.asked, soon).toBe(1);
    for (let i = 0; i < 8; i++) await line4.value(20 + i, startMs + i * minute);
    await expect.poll(() => host.json.get('forecast/boiler'), soon).toMatchObject({ p50: [24, 25, 26, 27] });
    await expect.poll(() => host.values.get('forecast/boiler/p50/h004'), soon).toBe(27);
    expect(host.last('NDATA')).toMatchObject({ historical: false });
    expect(host.values.has('unknown')).toBe(false);

    const line5 = await startNode(broker.url, 'line5');
    await line5.birth();
    await line5.value(1, startMs - minute);
    line5.skip();
    await line5.value(2, startMs - minute);
    await expect.poll(() => line5.asked, soon).toBe(1);

    await host.ask();
    await expect.poll(() => host.heard.filter(({ type }) => type === 'NBIRTH').length, soon).toBe(2);
    expect(host.last('NBIRTH')).toMatchObject({ bdSeq: 0, seq: 0 });
    expect(host.values.get('forecast/boiler/p50/h001')).toBe(24);

    line4.die();
    await expect
      .poll(() => host.json.get('alert/boiler/sensor_dropout'), soon)
      .toMatchObject({ state: 'firing', reason: 'its availability says that it is gone' });
    await expect.poll(() => host.values.get('alert/boiler/sensor_dropout/state'), soon).toBe('firing');
    const again = await startNode(broker.url, 'line4');
    await again.birth();
    await again.value(28, startMs + 8 * minute);
    await expect.poll(() => host.values.get('alert/boiler/sensor_dropout/state'), soon).toBe('normal');

    device.child.kill('SIGKILL');
    await device.exit;
    await expect.poll(() => host.last('NDEATH'), soon).toMatchObject({ bdSeq: 0, seq: undefined });
    device = start();
    await expect.poll(() => host.last('NBIRTH'), soon).toMatchObject({ bdSeq: 1, seq: 0 });
    device.child.kill('SIGTERM');
    expect(await device.exit).toBe(0);
    expect(host.last('NDEATH')).toMatchObject({ bdSeq: 1 });
    expect(device.complaints()).not.toMatch(/warning/i);
  },
);

test.skipIf(findProgram('mosquitto') === undefined)(
  'a broker of the plant that is away keeps nothing from the device',
  async () => {
    const broker = await createMosquitto(join(dir, 'only'));
    await broker.start();
    onTestFinished(() => broker.kill());
    const sparkplug = { group: 'Plant 1', node: 'pi7', mqtt: { url: 'mqtt://127.0.0.1:1' } };
    const device = startDevice(writeSettings(dir, settings(join(dir, 'alone'), broker.url, { sparkplug })));
    const host = await startHost(broker.url);
    await expect.poll(() => host.json.get('status'), soon).toMatchObject({ state: 'online' });
    device.child.kill('SIGTERM');
    expect(await device.exit).toBe(0);
    expect(host.json.get('status')).toMatchObject({ state: 'offline' });
    expect(host.heard).toEqual([]);
  },
);
