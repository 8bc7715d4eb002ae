/** The part of a device that takes updates, with real metadata, slots and database; what it runs is only noted. */
import { join } from 'node:path';
import { accept } from '../src/contracts/reason.js';
import type { UpdateReason } from '../src/contracts/reason.js';
import { createMetrics } from '../src/runtime/metrics.js';
import { openSlots } from '../src/runtime/slots.js';
import { openStore } from '../src/runtime/store.js';
import { createUpdater } from '../src/runtime/update.js';
import { createUpdateClient } from '../src/transport/update-client.js';
import { openUpdateFile } from '../src/transport/update-file.js';
import type { FakeClock } from '../test/runtime/fakes.js';
import { plainUpdater } from '../test/runtime/fakes.js';
import { stream } from './device.js';
import { until } from './process.js';

export interface AttackedDevice {
  /** Resolves with what came of it. */
  offer(desired: Uint8Array): Promise<UpdateReason | 'taken'>;
  /** The same for an update file. */
  install(path: string): Promise<UpdateReason | 'taken'>;
  /** Ends probation. */
  prove(): void;
  /** The release that runs, when its slot holds it whole. */
  running(): number | undefined;
  close(): Promise<void>;
}

export async function openAttackedDevice(
  stateDir: string,
  url: string,
  pinnedRoot: Uint8Array,
  clock: FakeClock,
): Promise<AttackedDevice> {
  const store = openStore({ path: join(stateDir, 'device.db'), clock });
  const slots = openSlots(stateDir);
  const stop = new AbortController();
  let release: number | undefined;
  let outcome: UpdateReason | 'taken' | undefined;
  const trust = {
    trustDir: join(stateDir, 'trust'),
    pinnedRoot,
    now: () => clock.now(),
    clockSynced: () => clock.synced(),
    transfer: { attempts: 2, retryMs: 1, idleMs: 200, slowWindowMs: 100 },
  };
  const updater = createUpdater({
    ...plainUpdater,
    repositoryUrl: url,
    store,
    slots,
    clock,
    metrics: createMetrics(),
    openRepository: async () => createUpdateClient({ ...trust, url }),
    openUpdateFile: (path) => openUpdateFile(path, trust),
    selfTest: () => Promise.resolve(accept({ deviation: 0, p95Ms: 1 })),
    activate: ({ pointer }) => Promise.resolve(void (release = pointer.release)),
    deactivate: () => (release = undefined),
    tell: (event, { code }) => {
      if (event === 'model-active') outcome = 'taken';
      if (event === 'update-refused') outcome = code as UpdateReason;
    },
  });
  await updater.start();
  const ended = updater.run(stop.signal);
  return {
    async offer(desired) {
      outcome = undefined;
      updater.offer(desired);
      await until('the offer is decided', () => outcome !== undefined);
      return outcome!;
    },
    async install(path) {
      outcome = undefined;
      await updater.install(path);
      return outcome ?? 'taken';
    },
    prove: () => updater.observe(stream, release!, { forecasts: 1 }),
    running() {
      const pointer = slots.pointer(stream);
      return pointer?.release === release && slots.read(stream, pointer!) !== undefined ? release : undefined;
    },
    async close() {
      stop.abort();
      await ended;
      store.close();
    },
  };
}
