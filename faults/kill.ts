/** K1: kill -9 while readings stream in. What the broker was told is stored must be there, once, in a sound database. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import mqtt from 'mqtt';
import { inFolder, installModel, minute, prefix, settings, storedReadings, stream, writeSettings } from './device.js';
import { createMosquitto, pause, startDevice, until } from './process.js';
import { createDraws } from './row.js';
import type { FaultRow, Failures } from './row.js';

/** So many senders, each with a message every few milliseconds: less than the slowest device stores. */
const SENDERS = 3;
const SEND_EVERY_MS = 6;

export const killedWhileIngesting: FaultRow = {
  id: 'K1',
  what: 'kill -9 while readings stream in, with mosquitto between',
  counts: 'acknowledged readings lost or doubled, corrupt databases',
  trials: { C: 60, N: 1000 },
  run: (trials, seed) => inFolder((dir) => killAndCount(dir, trials, seed)),
};

async function killAndCount(dir: string, trials: number, seed: number): Promise<Failures> {
  const failures: string[] = [];
  const stateDir = join(dir, 'state');
  await installModel(stateDir);
  const broker = await createMosquitto(join(dir, 'broker'));
  await broker.start();
  const config = writeSettings(dir, settings(stateDir, broker.url, { retention_days: 10_000 }));
  const sender = await mqtt.connectAsync(broker.url, { protocolVersion: 5 });
  const startMs = Date.UTC(2021, 0, 1);
  let sent = 0;
  let sending = true;

  let device = startDevice(config);
  await device.told('link', ({ state }) => state === 'online'); // its session holds from now on
  const send = async (): Promise<void> => {
    while (sending) {
      const i = sent++;
      await sender.publishAsync(`${prefix}/in/${stream}`, `{"ts":${startMs + i * minute},"value":${i}}`, { qos: 1 });
      await pause(SEND_EVERY_MS);
    }
  };
  const senders = Array.from({ length: SENDERS }, send);

  for (let trial = 0; trial < trials; trial++) {
    const random = createDraws('K1', seed, trial);
    await pause(random.int(1, 250));
    await device.kill();
    const sql = new Database(join(stateDir, 'device.db'), { readonly: true });
    if (sql.pragma('quick_check(1)', { simple: true }) !== 'ok') failures.push(`trial ${trial}: a corrupt database`);
    sql.close();
    device = startDevice(config);
    // Now and then it is killed before it is whole again.
    if (!random.chance(0.2)) await device.told('link', ({ state }) => state === 'online');
  }
  sending = false;
  await Promise.all(senders);

  // What mosquitto has taken it sends again until it is acknowledged; what was acknowledged must be stored by now or then.
  const times = (): number[] => storedReadings(join(stateDir, 'device.db'), stream).map(({ timeMs }) => timeMs);
  await until('all is stored', () => new Set(times()).size >= sent).catch(() => undefined);
  const rows = times();
  const readings = new Set(rows).size;
  if (readings !== sent) failures.push(`${sent - readings} of ${sent} readings are lost`);
  if (rows.length !== readings) failures.push(`${rows.length - readings} of ${sent} readings are stored twice`);
  await device.kill('SIGTERM');
  await sender.endAsync(true);
  await broker.kill();
  return failures;
}
