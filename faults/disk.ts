/** D1: the disk is full. Alerts still leave, and when there is room again the device stores on without a restart. */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { inFolder, installModel, minute, newestStored, prefix, settings, stream, writeSettings } from './device.js';
import { createMosquitto, startDevice, until } from './process.js';
import { createDraws } from './row.js';
import type { FaultRow, Failures } from './row.js';

/** Room for the ballast of the database, and as much again three times. */
const DISK_MB = 40;
const WITHIN_MS = 10_000;

export const fullDisk: FaultRow = {
  id: 'D1',
  what: 'a disk that others fill, down to a random rest, while readings and alerts come',
  counts: 'alerts that do not leave, readings that are not stored when there is room again, restarts',
  trials: { C: 6, N: 100 },
  run: (trials, seed) =>
    inFolder(async (dir) => {
      const stateDir = join(dir, 'state');
      mkdirSync(stateDir);
      const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MB}m`, 'none', stateDir]).status === 0;
      if (!mounted) {
        console.error('D1 SKIPPED: a small disk can only be mounted by root, outside of a container');
        return [];
      }
      try {
        return await fillAndEmpty(dir, stateDir, trials, seed);
      } finally {
        spawnSync('umount', [stateDir]);
      }
    }),
};

async function fillAndEmpty(dir: string, stateDir: string, trials: number, seed: number): Promise<Failures> {
  const failures: string[] = [];
  await installModel(stateDir);
  const broker = await createMosquitto(join(dir, 'broker'));
  await broker.start();
  const streams = { [stream]: { lateness: 0, stuck_count: 3 } };
  const device = startDevice(writeSettings(dir, settings(stateDir, broker.url, { retention_days: 10_000, streams })));
  await device.told('link', ({ state }) => state === 'online');
  const client = await mqtt.connectAsync(broker.url, { protocolVersion: 5 });
  const alerts = new Map<string, string>();
  client.on('message', (topic, payload) => {
    const { event } = JSON.parse(payload.toString()) as { event: string };
    alerts.set(topic.slice(topic.lastIndexOf('/') + 1), event);
  });
  await client.subscribeAsync(`${prefix}/alert/#`, { qos: 1 });
  const startMs = Date.UTC(2021, 0, 1);
  let sent = 0;
  const send = async (...values: number[]): Promise<void> => {
    for (const value of values)
      await client.publishAsync(`${prefix}/in/${stream}`, `{"ts":${startMs + sent++ * minute},"value":${value}}`, {
        qos: 1,
      });
  };
  const filler = join(stateDir, 'filler');
  let doing = '';
  const expectAlert = (kind: string, event: string): Promise<void> => {
    doing = `${kind} is ${event}`;
    return until(doing, () => alerts.get(kind) === event, WITHIN_MS);
  };

  for (let trial = 0; trial < trials; trial++) {
    const random = createDraws('D1', seed, trial);
    try {
      await send(1, 2);
      fill(filler, 'w', random.int(0, 300_000));
      await send(5, 5, 5); // what was kept in reserve serves, the first time
      await expectAlert('sensor_stuck', 'opened');
      // … until that is gone, too, and the last hole of the log is filled.
      for (let round = 0; round < 20 && alerts.get('disk_full') !== 'opened'; round++) {
        fill(filler, 'a', random.int(0, 8000));
        for (let i = 0; i < 10; i++) await send(i, i + 0.5);
      }
      await send(7, 7, 7);
      await expectAlert('sensor_stuck', 'opened');
      await expectAlert('disk_full', 'opened');
      await send(8);
      await expectAlert('sensor_stuck', 'resolved');
      rmSync(filler);
      await send(9, 10);
      await expectAlert('disk_full', 'resolved');
      doing = 'the newest reading is stored';
      const path = join(stateDir, 'device.db');
      await until(doing, () => newestStored(path, stream)?.timeMs === startMs + (sent - 1) * minute, WITHIN_MS);
    } catch {
      failures.push(`trial ${trial}: in vain until ${doing}`);
      rmSync(filler, { force: true });
    }
  }
  if (device.ended) failures.push('the device ended');
  await client.endAsync(true);
  await device.kill();
  await broker.kill();
  return failures;
}

/** Takes the disk's room, all but so many bytes. */
export function fill(path: string, flags: 'w' | 'a', leave: number): void {
  const file = openSync(path, flags);
  const { bavail, bsize } = statfsSync(path);
  const block = Buffer.alloc(4096);
  try {
    for (let left = bavail * bsize - leave; left > 0; left -= block.length) writeSync(file, block);
  } catch {
    // full
  }
  closeSync(file);
}
