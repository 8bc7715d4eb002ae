/** N1 and N2: a bad network between the device and its broker. Nothing is lost, and the device goes on forecasting. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import mqtt from 'mqtt';
import { inFolder, installModel, minute, prefix, settings, storedReadings, stream, writeSettings } from './device.js';
import { createMosquitto, pause, startDevice, until } from './process.js';
import { createProxy } from './proxy.js';
import type { Proxy } from './proxy.js';
import { createDraws } from './row.js';
import type { FaultRow, Failures, Random } from './row.js';

/** Readings of equal value in a row: with the third the sensor is stuck, with the fourth, another value, it is not. */
const STUCK = 3;
/** An alert opens and ends in them; a broker sends no more than its window of 64 while nothing is acknowledged. */
const READINGS_PER_TRIAL = 6 * STUCK;
const FORECASTS_WITHIN_MS = 5000;

/** Each breaks connections, for at most half a second; then `release`. */
export const connectionFaults: readonly ((proxy: Proxy, random: Random) => Promise<void>)[] = [
  async (proxy) => proxy.reset(),
  async (proxy, random) => proxy.truncate(random.int(1, 600)),
  async (proxy, random) => {
    proxy.freeze();
    await pause(random.int(50, 400));
  },
  async (proxy, random) => {
    proxy.stall();
    await pause(random.int(50, 400));
    proxy.reset();
  },
  async (proxy, random) => {
    proxy.refuse();
    proxy.reset();
    await pause(random.int(50, 400));
  },
];

export const brokenConnections: FaultRow = {
  id: 'N1',
  what: 'connections that are reset, cut within a packet, frozen, stalled or refused while readings and alerts cross them',
  counts: 'readings lost or doubled, alert events lost',
  trials: { C: 40, N: 500 },
  run: (trials, seed) =>
    inFolder((dir) =>
      behindProxy(dir, async ({ proxy, send, stored, heard, restored }) => {
        for (let trial = 0; trial < trials; trial++) {
          const random = createDraws('N1', seed, trial);
          const sending = send(READINGS_PER_TRIAL);
          await pause(random.int(0, 40));
          await random.pick(connectionFaults)(proxy, random);
          proxy.release();
          await sending;
        }
        await send(1); // ends the last alert
        await restored();
        const sent = trials * READINGS_PER_TRIAL + 1;
        await until('all is stored', () => stored().readings >= sent).catch(() => undefined);
        const events = (2 * (sent - 1)) / STUCK;
        await until('all is told', () => heard.size >= events).catch(() => undefined);
        const { rows, readings } = stored();
        return [
          ...(readings === sent ? [] : [`${sent - readings} of ${sent} readings are lost`]),
          ...(rows === readings ? [] : [`${rows - readings} readings are stored twice`]),
          ...(heard.size === events ? [] : [`${events - heard.size} of ${events} alert events are lost`]),
        ];
      }),
    ),
};

export const stalledBroker: FaultRow = {
  id: 'N2',
  what: 'a broker that takes nothing of what the device says',
  counts: 'forecasts that are not made within 5 s',
  trials: { C: 5, N: 50 },
  run: (trials, seed) =>
    inFolder((dir) =>
      behindProxy(dir, async ({ proxy, send, stored, restored }) => {
        const failures: string[] = [];
        await send(READINGS_PER_TRIAL); // fills the window
        for (let trial = 0; trial < trials; trial++) {
          await restored();
          await pause(createDraws('N2', seed, trial).int(0, 200));
          await until('all has left', () => stored().forecasts === 0);
          proxy.stall();
          await send(READINGS_PER_TRIAL);
          const made = () => stored().forecasts;
          await until('all is forecast', () => made() >= READINGS_PER_TRIAL, FORECASTS_WITHIN_MS).catch(() =>
            failures.push(`trial ${trial}: ${made()} forecasts of ${READINGS_PER_TRIAL} readings`),
          );
          proxy.release();
        }
        return failures;
      }),
    ),
};

interface Scene {
  readonly proxy: Proxy;
  /** Sends so many readings to the broker, which takes them all. */
  readonly send: (count: number) => Promise<void>;
  /** What the device's database holds; of forecasts, how many wait in the outbox. */
  readonly stored: () => { readonly rows: number; readonly readings: number; readonly forecasts: number };
  /** Alert events that reached somebody on the broker, each once. */
  readonly heard: ReadonlySet<string>;
  /** Resolves when the device answers a ping. */
  readonly restored: () => Promise<void>;
}

async function behindProxy(dir: string, work: (scene: Scene) => Promise<Failures>): Promise<Failures> {
  const stateDir = join(dir, 'state');
  await installModel(stateDir);
  const broker = await createMosquitto(join(dir, 'broker'));
  await broker.start();
  const proxy = await createProxy(broker.port);
  const streams = { [stream]: { lateness: 0, stuck_count: STUCK } };
  const url = `mqtt://127.0.0.1:${proxy.port}`;
  const device = startDevice(writeSettings(dir, settings(stateDir, url, { retention_days: 10_000, streams })));
  await device.told('link', ({ state }) => state === 'online');

  const client = await mqtt.connectAsync(broker.url, { protocolVersion: 5 });
  const heard = new Set<string>();
  let pongs = 0;
  client.on('message', (topic, payload) => {
    if (topic.endsWith('/reply/ping')) pongs++;
    else {
      const { id, event } = JSON.parse(payload.toString()) as { id: string; event: string };
      heard.add(`${id} ${event}`);
    }
  });
  await client.subscribeAsync([`${prefix}/event/${stream}`, `${prefix}/reply/ping`], { qos: 1 });

  const database = join(stateDir, 'device.db');
  const sql = new Database(database, { readonly: true });
  const waiting = sql.prepare<[], { forecasts: number }>('SELECT count(*) AS forecasts FROM outbox WHERE class = 2');
  const startMs = Date.UTC(2021, 0, 1);
  let sent = 0;
  const scene: Scene = {
    proxy,
    heard,
    stored: () => {
      const times = storedReadings(database, stream).map(({ timeMs }) => timeMs);
      return { rows: times.length, readings: new Set(times).size, ...waiting.get()! };
    },
    send: async (count) => {
      for (const end = sent + count; sent < end; sent++) {
        const reading = `{"ts":${startMs + sent * minute},"value":${Math.floor(sent / STUCK) % 2}}`;
        await client.publishAsync(`${prefix}/in/${stream}`, reading, { qos: 1 });
      }
    },
    restored: async () => {
      const before = pongs;
      await until('the device answers', async () => {
        await client.publishAsync(`${prefix}/cmd/ping`, '{}', { qos: 1 });
        await pause(50);
        return pongs > before;
      });
    },
  };
  try {
    return await work(scene);
  } finally {
    sql.close();
    await client.endAsync(true);
    await device.kill();
    await proxy.close();
    await broker.kill();
  }
}
