/** Time as a port: the only place of the device that asks the machine what time it is. */
import { existsSync } from 'node:fs';

export interface Clock {
  /** Wall time, milliseconds UTC: for labels only. */
  now(): number;
  /** Milliseconds that never jump: for durations. */
  monotonicMs(): number;
  /** May the wall clock be believed? */
  synced(): boolean;
  /** Resolves after `ms`, or as soon as the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** systemd-timesyncd and chrony's systemd unit leave this file once the time is set. */
const SYNCED_FILE = '/run/systemd/timesync/synchronized';

/** The machine's clock. `trusted` believes the wall clock at once, `system` waits for time synchronisation. */
export function createSystemClock(trust: 'system' | 'trusted'): Clock {
  let synced = trust === 'trusted';
  return {
    now: () => Date.now(),
    monotonicMs: () => performance.now(),
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
