/** T1: the wall clock is set forward and back, is unknown at first, and the machine restarts, while readings without a time arrive. */
import { join } from 'node:path';
import { steady } from '../src/runtime/clock.js';
import type { Clock } from '../src/runtime/clock.js';
import type { PastReading } from '../src/runtime/readings.js';
import { openStore } from '../src/runtime/store.js';
import { inFolder, minute, prefix, stream } from './device.js';
import { runInside } from './inside.js';
import { createDraws } from './row.js';
import type { FaultRow, Random } from './row.js';

const STEPS = 300;
const HELD_MS = 5 * minute;
const second = 1000;

export const clockScripts: FaultRow = {
  id: 'T1',
  what: 'clocks that are set forward and back, or unknown at first, and restarts, while readings without a time arrive',
  counts: 'readings lost, doubled, out of order or with a time that is not the one of their arrival',
  trials: { C: 30, N: 200 },
  async run(trials, seed) {
    const failures: string[] = [];
    for (let trial = 0; trial < trials; trial++) {
      const wrong = await inFolder((dir) => script(dir, createDraws('T1', seed, trial)));
      if (wrong !== undefined) failures.push(`trial ${trial}: ${wrong}`);
    }
    return failures;
  },
};

/** A machine: its wall clock may be set, its monotonic one begins anew with it. */
interface World {
  wallMs: number;
  monotonicMs: number;
  boot: number;
  synced: boolean;
}

interface Sent {
  readonly value: number;
  /** When it came, on the clock that was believed then; undefined until that is known, null when nobody can know. */
  timeMs: number | undefined | null;
  readonly monotonicMs: number;
  readonly boot: number;
  /** The clock was set back by more than it is waited for, since the reading before. */
  readonly backwards: boolean;
}

async function script(dir: string, random: Random): Promise<string | undefined> {
  const world: World = { wallMs: Date.UTC(2026, 0, 1), monotonicMs: 0, boot: 0, synced: random.chance(0.5) };
  const sent: Sent[] = [];
  let backwards = false;
  let device = await start(dir, world);

  const advance = (ms: number): void => {
    world.wallMs += ms;
    world.monotonicMs += ms;
  };
  /** Readings of this run of the machine that had to wait get their time. */
  const settle = (): void => {
    for (const reading of sent)
      if (reading.timeMs === undefined && reading.boot === world.boot)
        reading.timeMs = world.wallMs - (world.monotonicMs - reading.monotonicMs);
  };
  const events: readonly (() => void | Promise<void>)[] = [
    () => void (world.wallMs += random.int(3 * second, 10 * minute)), // set forward
    () => void (world.wallMs -= random.int(3 * second, HELD_MS / 10)), // set back a little: labels wait
    () => {
      world.wallMs -= random.int(2 * HELD_MS, 10 * HELD_MS);
      backwards = true;
    },
    async () => {
      await device.stop();
      device = await start(dir, world);
      backwards = true; // what the clock said before is not known any more
    },
    async () => {
      await device.stop();
      for (const reading of sent) reading.timeMs ??= null;
      Object.assign(world, { monotonicMs: random.int(0, 5000), boot: world.boot + 1, synced: random.chance(0.3) });
      world.wallMs += random.int(0, 20 * minute);
      device = await start(dir, world);
      backwards = true;
    },
    () => {
      if (world.synced) return;
      world.wallMs += random.int(0, 3 * 86_400_000); // it was far behind
      world.synced = true;
    },
  ];

  for (let i = 0; i < STEPS; i++) {
    advance(random.int(1, 3 * second));
    if (random.chance(0.05)) await random.pick(events)();
    if (world.synced) settle();
    const value = i + 0.5;
    sent.push({ value, timeMs: world.synced ? world.wallMs : undefined, monotonicMs: world.monotonicMs, boot: world.boot, backwards }); // prettier-ignore
    backwards = false;
    await device.send(value);
  }
  world.synced = true;
  settle();
  advance(second);
  await device.send(-1);
  const stored = device.stored();
  await device.stop();
  return verdict(sent, stored);
}

function verdict(sent: readonly Sent[], stored: readonly PastReading[]): string | undefined {
  const labels = new Map(stored.map(({ timeMs, value }) => [value!, timeMs]));
  if (labels.size !== stored.length) return 'a reading is stored twice';
  const placed = sent.filter(({ timeMs }) => timeMs !== null);
  const missing = placed.filter(({ value }) => !labels.has(value));
  if (missing.length > 0) return `${missing.length} of ${placed.length} readings are lost`;
  const invented = sent.filter(({ timeMs, value }) => timeMs === null && labels.has(value));
  if (invented.length > 0) return `${invented.length} readings got a time that nobody can know`;
  let before = -Infinity;
  for (const { value, timeMs, backwards } of placed) {
    const label = labels.get(value)!;
    if (!backwards && label <= before) return `reading ${value} goes back in time`;
    // Labels wait for a clock that was set back, and then rise by milliseconds.
    if (label < timeMs! - 2 || label > timeMs! + HELD_MS + STEPS)
      return `reading ${value} is ${label - timeMs!} ms off`;
    before = label;
  }
  return undefined;
}

async function start(dir: string, world: World) {
  const monotonicMs = (): number => world.monotonicMs;
  const clock: Clock = {
    now: steady(() => world.wallMs, monotonicMs),
    monotonicMs,
    bootId: `boot ${world.boot}`,
    steps: 0, // nobody asks
    synced: () => world.synced,
    sleep: (_ms, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true })),
  };
  const store = openStore({ path: join(dir, 'device.db'), clock });
  const device = await runInside(dir, { retention_days: 10_000 }, { clock, store });
  return {
    send: (value: number) => device.say(`${prefix}/in/${stream}`, Buffer.from(String(value))),
    stored: () => store.newest(stream, Infinity),
    stop: () => device.stop(),
  };
}
