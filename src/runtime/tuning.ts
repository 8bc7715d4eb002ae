/** Tuning inside a device: starts it when it is due, and hands over what waits to be taken up. */
import type { DeviceConfig, TuningSettings } from '../contracts/config.js';
import type { Clock } from './clock.js';
import type { Ports } from './ports.js';
import { tunedWaits } from './slots.js';
import type { Slots } from './slots.js';
import { isFull } from './store.js';
import type { Store } from './store.js';

export interface TuningOptions {
  readonly config: DeviceConfig;
  readonly store: Store;
  readonly clock: Clock;
  readonly slots: Slots;
  readonly tune: Ports['tune'];
  readonly tell: Ports['tell'];
  /** Takes up what waits for this line. */
  readonly adopt: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Call the result now and then; it returns at once. One line is tuned at a time. */
export function createTuning({ config, store, clock, slots, tune, tell, adopt, signal }: TuningOptions): () => void {
  let running = false;
  let ended: string | undefined;

  /** Milliseconds UTC of the end of the last one, or of the first look at the line. */
  function lastMs(line: string): number {
    const stored = store.get(`tuning/${line}`)?.toString();
    if (stored === undefined) remember(line);
    return Number(stored ?? clock.now());
  }

  function remember(line: string): void {
    try {
      store.write(() => store.put(`tuning/${line}`, String(clock.now())));
    } catch (error) {
      if (!isFull(error)) throw error;
      tell('database-error', { detail: (error as Error).message });
    }
  }

  async function run(line: string, { steps, minutes, memoryMb }: TuningSettings): Promise<void> {
    running = true;
    tell('tuning', { line, steps });
    const outcome = await tune({ config, line, stream: null, steps, dryRun: false }, { minutes, memoryMb, signal });
    running = false;
    if (signal.aborted) return; // it is due again after the start
    ended = line;
    if (outcome.ok) tell('tuned', { ...outcome.value });
    else tell('tuning-failed', { line, code: outcome.reason, detail: outcome.detail });
  }

  return () => {
    const lines = slots.lines().filter((line) => slots.pointer(line) !== undefined);
    for (const line of lines) if (tunedWaits(slots, line)) adopt(line);
    if (ended !== undefined) remember(ended);
    ended = undefined;
    const { tuning } = config;
    if (tuning === null || running || signal.aborted || !clock.synced()) return;
    const due = lines.find((line) => clock.now() - lastMs(line) >= tuning.everyMs);
    if (due !== undefined) void run(due, tuning);
  };
}
