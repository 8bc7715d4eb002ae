/** D3: what a device writes to its disk in a day, from what the system counts while a hundred sensors send once a second. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { openStore } from '../src/runtime/store.js';
import { fakeClock } from '../test/runtime/fakes.js';
import { inFolder, installModel, prefix, settings, writeSettings } from './device.js';
import { createMosquitto, pause, startDevice } from './process.js';
import { createDraws } from './row.js';
import type { FaultRow } from './row.js';

const STREAMS = 100;
/** A device packs its readings every five minutes; here it is done once after so many, which costs more. */
const SECONDS = 30;
const DAY_SECONDS = 86_400;
const GIGABYTE = 1e9;
const MAX_GB_A_DAY = 0.6;

export const wear: FaultRow = {
  id: 'D3',
  what: `${STREAMS} streams of one reading a second, for ${SECONDS} s, and packed, as /proc/PID/io counts`,
  counts: `more than ${MAX_GB_A_DAY} GB written in a day`,
  trials: { C: 1, N: 3 },
  async run(trials, seed) {
    const failures: string[] = [];
    for (let trial = 0; trial < trials; trial++) {
      const gigabytes = await inFolder((dir) => writtenInADay(dir, seed, trial));
      if (gigabytes > MAX_GB_A_DAY) failures.push(`trial ${trial}: ${gigabytes.toFixed(2)} GB a day`);
    }
    return failures;
  },
};

async function writtenInADay(dir: string, seed: number, trial: number): Promise<number> {
  const random = createDraws('D3', seed, trial);
  const stateDir = join(dir, 'state');
  await installModel(stateDir);
  const broker = await createMosquitto(join(dir, 'broker'));
  await broker.start();
  const device = startDevice(writeSettings(dir, settings(stateDir, broker.url, { auto_streams: true })));
  await device.told('link', ({ state }) => state === 'online');
  const sender = await mqtt.connectAsync(broker.url, { protocolVersion: 5 });
  const second = async (): Promise<void> => {
    const sent = Array.from({ length: STREAMS }, async (_, stream) => {
      await pause(random() * 1000); // sensors do not know of each other
      await sender.publishAsync(`${prefix}/in/s${stream}`, `{"value":${random()}}`, { qos: 1 });
    });
    await Promise.all([...sent, pause(1000)]);
  };
  await second();
  const before = written(device.pid);
  for (let i = 0; i < SECONDS; i++) await second();
  const taking = written(device.pid) - before;
  await device.kill('SIGTERM');
  await sender.endAsync(true);
  await broker.kill();

  const store = openStore({ path: join(stateDir, 'device.db'), clock: fakeClock() });
  const unpacked = written('self');
  store.seal();
  store.close();
  const packing = written('self') - unpacked;
  return ((taking + packing) / SECONDS / GIGABYTE) * DAY_SECONDS;
}

const written = (pid: number | 'self'): number =>
  Number(/^write_bytes: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))![1]);
