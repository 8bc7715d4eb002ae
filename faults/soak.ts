/**
 * The soak: one device, mosquitto, and sensors that never stop, and every half minute something happens to them. At the end nothing that was
 * acknowledged is lost or doubled, nothing has leaked, and what the broker shows of alerts is what the device knows.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { readCsv } from '../src/data/csv.js';
import { parseFaults } from '../src/simulate/fault.js';
import { shapes } from '../src/simulate/message.js';
import { play } from '../src/simulate/play.js';
import { createRecording } from '../src/simulate/recording.js';
import { simulate } from '../src/simulate/sensors.js';
import { connectMqtt } from '../src/transport/mqtt.js';
import { inFolder, installModel, minute, prefix, settings, stream, writeSettings } from './device.js';
import { createFleet } from './fleet.js';
import { createLedger } from './ledger.js';
import { createMosquitto, pause, startDevice, until } from './process.js';
import { createProxy } from './proxy.js';
import { createDraws } from './row.js';
import type { Random } from './row.js';
import { clockFile, rubbish, soakFaults } from './soak-fault.js';
import type { Scene, SoakFault } from './soak-fault.js';
import {
  compare,
  compareAlerts,
  HOUR_MS,
  judgeMemory,
  look,
  passed,
  restingHandles,
  SAMPLE_MS,
  seconds,
} from './soak-verdict.js';
import type { Life, SoakReport } from './soak-verdict.js';
import { createTap } from './tap.js';

const FAULT_EVERY_MS = 30_000;
/** A short soak tries each fault once, too. */
const LEAST_FAULTS = 12;
const SENSORS = 8;
/** Each sensor speaks so often; its recording has a reading a minute. */
const SPEAK_EVERY_MS = 200;
/** The process is not killed in the rest of the time, so that it lives long enough for its memory to be judged. */
const KILLS_UNTIL = 1 / 3;
const INTERRUPTED = 130;
const DRAIN_MS = 180_000;
const DISK_MB = 80;
const DISK_MB_PER_HOUR = 20;
const device = { site: 'plant1', device: 'pi7', base: 'neuro-divergent' };
/** As device packages set them. */
const nodeOptions = ['--max-semi-space-size=1', '--max-old-space-size=64'];
const streams = [stream, ...Array.from({ length: SENSORS - 1 }, (_, i) => `sensor${i + 1}`)];

/** Needs mosquitto; a full disk is tried where a small one can be mounted. `say` hears a line of each fault. */
export const soak = (durationMs: number, seed: number, say: (line: string) => void): Promise<SoakReport> =>
  inFolder(async (dir) => {
    const stateDir = join(dir, 'state');
    mkdirSync(stateDir);
    const size = Math.ceil(DISK_MB + (DISK_MB_PER_HOUR * durationMs) / HOUR_MS);
    const smallDisk = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}m`, 'none', stateDir]).status === 0;
    if (!smallDisk) say('without a full disk: a small one can only be mounted by root');
    const tidy = (): void => {
      if (smallDisk) spawnSync('umount', ['-l', stateDir]); // whoever still writes there may end first
      rmSync(dir, { recursive: true, force: true });
    };
    const leave = (): void => process.exit(INTERRUPTED); // Ctrl-C reaches device and broker, too
    process.once('exit', tidy).once('SIGINT', leave);
    try {
      return await onStage(dir, stateDir, smallDisk, durationMs, seed, say);
    } finally {
      process.off('exit', tidy).off('SIGINT', leave);
      tidy();
    }
  });

async function onStage(
  dir: string,
  stateDir: string,
  smallDisk: boolean,
  durationMs: number,
  seed: number,
  say: (line: string) => void,
): Promise<SoakReport> {
  const findings: string[] = [];
  const ledger = createLedger();
  const tap = createTap((topic, payload) => {
    const name = topic.slice(topic.lastIndexOf('/') + 1);
    if (topic.startsWith(`${prefix}/in/`) && name !== rubbish)
      ledger.acknowledged(name, (JSON.parse(payload.toString()) as { ts: number }).ts);
  });
  await installModel(stateDir);
  const memoryDir = join(dir, 'broker');
  const rules = ['listener', 'allow_anonymous true', 'max_queued_messages 0', 'persistence true', `persistence_location ${memoryDir}/`, 'autosave_interval 0']; // prettier-ignore
  const broker = await createMosquitto(memoryDir, rules);
  await broker.start();
  const proxy = await createProxy(broker.port, tap);
  const fleet = await createFleet(dir, 5);
  writeFileSync(clockFile(dir), '0');
  const config = writeSettings(
    dir,
    settings(stateDir, `mqtt://127.0.0.1:${proxy.port}`, {
      retention_days: 10_000,
      repository: fleet.settings,
      streams: Object.fromEntries([...streams, rubbish].map((name) => [name, { stuck_count: 5 }])),
    }),
  );
  const lives: Life[] = [];
  const start = (): void => {
    const process = startDevice(config, [...nodeOptions, '--import', new URL('clock-shift.js', import.meta.url).href], {
      MALLOC_ARENA_MAX: '1',
      ND_CLOCK_FILE: clockFile(dir),
    });
    lives.push({ device: process, bornMs: performance.now(), samples: [] });
  };
  start();
  process.once('exit', () => void Promise.all([lives.at(-1)!.device.kill(), broker.kill()])); // also when it is interrupted

  const stop = new AbortController();
  const sensors = connectMqtt({
    url: broker.url,
    clientId: 'nd-soak-sensors',
    subscriptions: [],
    onMessage: () => undefined,
    onLink: () => undefined,
    backoffMs: { first: 50, last: 500 },
  });
  let speaking = Promise.resolve();
  let disturbed = false;
  const scene: Scene = {
    dir, stateDir, broker, brokerMemory: join(memoryDir, 'mosquitto.db'), proxy, tap, ledger, fleet, sensors, smallDisk, release: 1,
    async silence(work) {
      let resume: () => void;
      speaking = new Promise((resolve) => (resume = resolve));
      await work().finally(() => resume());
    },
    async restartDevice() {
      await lives.at(-1)!.device.kill();
      start();
    },
    signalDevice: (signal) => void process.kill(lives.at(-1)!.device.pid, signal),
  }; // prettier-ignore
  await until('the device has subscribed', () => tap.subscriptions > 0);

  const shapeOf = streams.map((name) => shapes['native']!({ ...device, stream: name }));
  const playing = play(simulate({ recordings: [minutes()], devices: 1, sensors: SENSORS, rates: parseFaults('all'), seed, startMs: Date.UTC(2021, 0, 1), durationMs: Infinity }), {
    speed: minute / SPEAK_EVERY_MS,
    signal: stop.signal,
    async send(reading) {
      if (reading.lost) return;
      const { topic, payload } = shapeOf[reading.sensor]!;
      for (let taken = false; !taken && !stop.signal.aborted;) {
        await speaking;
        taken = await sensors.publish(topic, payload(reading));
        if (taken) ledger.taken(streams[reading.sensor]!, reading.timeMs);
        else await pause(20);
      }
    },
  }); // prettier-ignore

  const began = performance.now();
  const elapsedMs = (): number => performance.now() - began;
  const watching = setInterval(() => {
    const life = lives.at(-1)!;
    if (life.device.ended) {
      findings.push(`the device ended by itself after ${seconds(elapsedMs())} s`);
      start();
    } else life.samples.push({ ...look(life.device.pid), ageMs: performance.now() - life.bornMs, atRest: !disturbed && ledger.waiting < SENSORS }); // prettier-ignore
  }, SAMPLE_MS);

  const counts: Record<string, number> = {};
  const everyMs = Math.min(FAULT_EVERY_MS, durationMs / LEAST_FAULTS);
  const turns = inTurns(createDraws('soak', seed));
  for (let turn = 1; turn * everyMs <= durationMs - everyMs; turn++) {
    await pause(turn * everyMs - elapsedMs());
    const early = elapsedMs() < durationMs * KILLS_UNTIL;
    const [name, fault] = turns.next((each) => (smallDisk || !each.needsDisk) && (early || !each.kills));
    say(`${String(seconds(elapsedMs())).padStart(6)} s  ${name}: ${fault.what}`);
    disturbed = true;
    try {
      await fault.run(scene, createDraws('soak', seed, turn));
    } catch (error) {
      findings.push(`${name} after ${seconds(elapsedMs())} s: ${(error as Error).message}`);
      proxy.release();
    }
    disturbed = false;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  await pause(durationMs - elapsedMs());

  stop.abort();
  await playing;
  await until('all has arrived', () => ledger.waiting === 0, DRAIN_MS).catch((error: Error) => findings.push(error.message)); // prettier-ignore
  await until('all has left', () => outboxOf(stateDir) === 0, DRAIN_MS).catch((error: Error) => findings.push(error.message)); // prettier-ignore
  clearInterval(watching);
  const { alerts, differing } = await compareAlerts(broker.url, stateDir);
  findings.push(...differing);
  const last = lives.at(-1)!;
  const handles = { first: restingHandles(lives)[0] ?? NaN, last: look(last.device.pid).handles };
  await last.device.kill('SIGTERM');
  const stored = compare(ledger, stateDir);
  await sensors.close();
  await proxy.close();
  await broker.kill();
  await fleet.close();
  const report = { seconds: seconds(elapsedMs()), alerts, faults: counts, ...stored, handles, ...judgeMemory(lives, durationMs), findings, seed }; // prettier-ignore
  return { ...report, pass: passed(report) };
}

/** Every fault once, in random order, then again in another. */
function inTurns(random: Random) {
  let left: [string, SoakFault][] = [];
  return {
    next(possible: (fault: SoakFault) => boolean): [string, SoakFault] {
      for (;;) {
        if (left.length === 0) left = Object.entries(soakFaults);
        const [chosen] = left.splice(random.int(0, left.length - 1), 1);
        if (possible(chosen![1])) return chosen!;
      }
    },
  };
}

/** The shipped machine, as if it had been read once a minute: the step of the model. */
function minutes() {
  const { frame } = readCsv('examples/data/machine_temperature_system_failure.csv', {
    sort: true,
    onDuplicate: 'mean',
  });
  const value = Array.from(frame.columns.target);
  return createRecording(
    value.map((_, i) => i * minute),
    value,
  );
}

function outboxOf(stateDir: string): number {
  const sql = new Database(join(stateDir, 'device.db'), { readonly: true });
  try {
    return sql.prepare<[], { n: number }>('SELECT count(*) AS n FROM outbox').get()!.n;
  } finally {
    sql.close();
  }
}
