/** K4: the broker is killed and comes back with nothing in its memory. What the device had left with it must be there again. */
import { join } from 'node:path';
import mqtt from 'mqtt';
import { inFolder, installModel, minute, prefix, settings, stream, writeSettings } from './device.js';
import { createMosquitto, pause, startDevice, until } from './process.js';
import type { RunningDevice } from './process.js';
import { createDraws } from './row.js';
import type { FaultRow, Failures } from './row.js';

const BACK_WITHIN_MS = 10_000;
/** What a console reads when it comes: retained, all of it. */
const kept = ['status', 'info', 'model/reported', `alert/${stream}/sensor_stuck`];

export const brokerForgets: FaultRow = {
  id: 'K4',
  what: 'the broker is killed and restarted empty',
  counts: 'retained state not back within 10 s',
  trials: { C: 3, N: 50 },
  run: (trials, seed) => inFolder((dir) => forgetAndLook(dir, trials, seed)),
};

async function forgetAndLook(dir: string, trials: number, seed: number): Promise<Failures> {
  const failures: string[] = [];
  const stateDir = join(dir, 'state');
  await installModel(stateDir);
  const broker = await createMosquitto(join(dir, 'broker'));
  await broker.start();
  const streams = { [stream]: { lateness: 0, stuck_count: 3 } };
  const config = writeSettings(dir, settings(stateDir, broker.url, { retention_days: 10_000, streams }));
  const online = async (): Promise<RunningDevice> => {
    const device = startDevice(config);
    await device.told('link', ({ state }) => state === 'online');
    return device;
  };
  let device = await online();
  const sender = await mqtt.connectAsync(broker.url, { protocolVersion: 5 });
  const startMs = Date.UTC(2021, 0, 1);
  for (let i = 0; i < 4; i++)
    await sender.publishAsync(`${prefix}/in/${stream}`, `{"ts":${startMs + i * minute},"value":7}`, { qos: 1 });
  await device.told('alert');
  await sender.endAsync(true);

  for (let trial = 0; trial < trials; trial++) {
    // A link that broke moments before waits longer each time, which is not what is looked at here.
    if (trial > 0) device = await online();
    await broker.kill();
    await pause(createDraws('K4', seed, trial).int(0, 1500));
    await broker.start();
    const seen = new Set<string>();
    const console = await mqtt.connectAsync(broker.url, { protocolVersion: 5 });
    console.on('message', (topic) => seen.add(topic.slice(prefix.length + 1)));
    await console.subscribeAsync(`${prefix}/#`, { qos: 1 });
    await until('all is back', () => kept.every((topic) => seen.has(topic)), BACK_WITHIN_MS).catch(() =>
      failures.push(`trial ${trial}: ${kept.filter((topic) => !seen.has(topic)).join(', ')} is missing`),
    );
    await console.endAsync(true);
    await device.kill('SIGTERM');
  }
  await broker.kill();
  return failures;
}
