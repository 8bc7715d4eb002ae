/** D2: the database is damaged while the device is off, or killed. It starts, takes readings, and keeps what can still be read. */
import { cpSync, openSync, rmSync, statSync, truncateSync, writeFileSync, writeSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { openStore } from '../src/runtime/store.js';
import { createOutbox } from '../src/runtime/outbox.js';
import { fakeClock } from '../test/runtime/fakes.js';
import {
  inFolder,
  installModel,
  memoryFolder,
  minute,
  newestStored,
  prefix,
  settings,
  stream,
  writeSettings,
} from './device.js';
import { createMosquitto, startDevice, until } from './process.js';
import { createDraws } from './row.js';
import type { FaultRow, Failures, Random } from './row.js';

const READINGS = 3000;
const PAGE = 4096;
const startMs = Date.UTC(2021, 0, 1);

/** Ways a file comes to harm on a worn or suddenly powerless card. */
const harms: readonly ((path: string, random: Random) => void)[] = [
  (path, random) => overwrite(path, random.int(0, statSync(path).size - 1), noise(random, random.int(1, 64))),
  (path, random) => overwrite(path, page(path, random), Buffer.alloc(PAGE)),
  (path, random) => overwrite(path, page(path, random), noise(random, PAGE)),
  (path, random) => {
    for (let i = 0; i < 20; i++) overwrite(path, random.int(0, statSync(path).size - 1), noise(random, 1));
  },
  (path, random) => truncateSync(path, random.int(0, statSync(path).size - 1)),
  (path, random) => overwrite(path, random.int(0, 99), noise(random, 16)),
  (path) => writeFileSync(path, 'this is no database'),
  (path) => writeFileSync(path, ''),
  (path, random) => writeFileSync(`${path}-wal`, noise(random, random.int(1, 3 * PAGE))),
];

export const damagedDatabases: FaultRow = {
  id: 'D2',
  what: 'databases with overwritten bytes and pages, cut short, emptied, or with a log of rubbish',
  counts: 'devices that do not start, or do not store the next reading',
  trials: { C: 50, N: 1000 },
  run: (trials, seed) => inFolder((dir) => startAll(dir, trials, seed), memoryFolder),
};

async function startAll(dir: string, trials: number, seed: number): Promise<Failures> {
  const failures: string[] = [];
  const stateDir = join(dir, 'state');
  const path = join(stateDir, 'device.db');
  await installModel(stateDir);
  await fill(path);
  cpSync(stateDir, join(dir, 'sound'), { recursive: true });
  const broker = await createMosquitto(join(dir, 'broker'));
  await broker.start();
  const sender = await mqtt.connectAsync(broker.url, { protocolVersion: 5 });
  const config = writeSettings(dir, settings(stateDir, broker.url, { retention_days: 10_000 }));

  for (let trial = 0; trial < trials; trial++) {
    const random = createDraws('D2', seed, trial);
    rmSync(stateDir, { recursive: true });
    cpSync(join(dir, 'sound'), stateDir, { recursive: true });
    if (random.chance(0.5)) writeFileSync(`${path}.running`, ''); // it was killed
    random.pick(harms)(random.chance(0.8) ? path : `${path}.intake`, random);
    const device = startDevice(config);
    try {
      await device.told('link', ({ state }) => state === 'online');
      const time = startMs + (READINGS + 1 + trial) * minute;
      await sender.publishAsync(`${prefix}/in/${stream}`, `{"ts":${time},"value":${trial}}`, { qos: 1 });
      await until('the reading is stored', () => holds(path, time));
    } catch (error) {
      failures.push(`trial ${trial}: ${(error as Error).message}`);
    }
    await device.kill('SIGKILL');
  }
  await sender.endAsync(true);
  await broker.kill();
  return failures;
}

/** A file as a device leaves it that has run for a while. */
async function fill(path: string): Promise<void> {
  const clock = fakeClock();
  const store = openStore({ path, clock });
  const outbox = createOutbox(store, clock);
  for (let i = 0; i < READINGS; i += 100) {
    const readings = Array.from({ length: 100 }, (_, j) => i + j);
    store.append(readings.map((j) => ({ stream, timeMs: startMs + j * minute, value: j % 7, flags: 0 })));
    if (i % 500 === 0) store.seal();
    store.write(() => {
      outbox.put('forecast', { topic: `${prefix}/forecast/${stream}`, payload: `{"n":${i}}` });
      store.put(`note/${i}`, 'x'.repeat(200));
    });
  }
  store.close();
}

function holds(path: string, timeMs: number): boolean {
  try {
    return newestStored(path, stream)?.timeMs === timeMs;
  } catch {
    return false; // damaged, and not begun anew yet
  }
}

const page = (path: string, random: Random): number => PAGE * random.int(0, statSync(path).size / PAGE - 1);
const noise = (random: Random, length: number): Buffer => Buffer.from(Array.from({ length }, () => random.int(0, 255)));

function overwrite(path: string, at: number, bytes: Buffer): void {
  const file = openSync(path, 'r+');
  writeSync(file, bytes, 0, bytes.length, at);
  closeSync(file);
}
