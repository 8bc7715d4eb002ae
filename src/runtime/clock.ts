/** Time as a port: the only place of the device that asks the machine what time it is. */
import { existsSync, readFileSync } from 'node:fs';

export interface Clock {
  /** Wall time, milliseconds UTC: for labels only. Never goes back by five minutes or less. */
  now(): number;
  /** Milliseconds that never jump: for durations. They count from the start of the machine. */
  monotonicMs(): number;
  /** Names this run of the machine: what `monotonicMs` counts within. */
  readonly bootId: string;
  /** How often the wall clock was set since the process began. */
  readonly steps: number;
  /** May the wall clock be believed? */
  synced(): boolean;
  /** Resolves after `ms`, or as soon as the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** systemd-timesyncd and chrony's systemd unit leave this file once the time is set. */
const SYNCED_FILE = '/run/systemd/timesync/synchronized';
const BOOT_FILE = '/proc/sys/kernel/random/boot_id';

/** A wall clock that went by this much more or less than the monotonic one was set. */
const STEP_MS = 2000;
/** Set back by no more, labels wait until the clock has caught up; by more, it was wrong before. */
const HELD_MS = 300_000;

/**
 * Wall time for labels (EDGE.md §4). A step forward is a gap like any other; a small step back holds the label; a large one
 * is believed. `onStep` hears of each, in milliseconds.
 */
export function steady(
  wallMs: () => number,
  monotonicMs: () => number,
  onStep: (stepMs: number) => void = () => undefined,
): () => number {
  let wall = wallMs();
  let monotonic = monotonicMs();
  let label = wall;
  return () => {
    const next = { wall: wallMs(), monotonic: monotonicMs() };
    const step = next.wall - wall - (next.monotonic - monotonic);
    ({ wall, monotonic } = next);
    if (Math.abs(step) > STEP_MS) onStep(Math.round(step));
    label = step < -HELD_MS ? wall : Math.max(label, wall);
    return label;
  };
}

export interface SystemClockOptions {
  readonly onStep?: (stepMs: number) => void;
}

/** The machine's clock. `trusted` believes the wall clock at once, `system` waits for time synchronisation. */
export function createSystemClock(trust: 'system' | 'trusted', { onStep }: SystemClockOptions = {}): Clock {
  let synced = trust === 'trusted';
  let steps = 0;
  const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;
  return {
    now: steady(
      () => Date.now(),
      monotonicMs,
      (ms) => {
        steps++;
        onStep?.(ms);
      },
    ),
    monotonicMs,
    get steps() {
      return steps;
    },
    bootId: existsSync(BOOT_FILE) ? readFileSync(BOOT_FILE, 'utf8').trim() : '',
    synced: () => (synced ||= existsSync(SYNCED_FILE)),
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve();
        const done = (): void => {
          clearTimeout(timer);
          signal.removeEventListener('abort', done);
          resolve();
        };
        const timer = setTimeout(done, ms);
        signal.addEventListener('abort', done);
      }),
  };
}
