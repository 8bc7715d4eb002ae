/** The updater with a real database and slots; what answers it is made up. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { accept, refuse } from '../../src/contracts/reason.js';
import { createMetrics } from '../../src/runtime/metrics.js';
import { openSlots } from '../../src/runtime/slots.js';
import { openStore } from '../../src/runtime/store.js';
import { createUpdater } from '../../src/runtime/update.js';
import type { UpdateClient } from '../../src/transport/update-client.js';
import { fakeClock, plainUpdater } from './fakes.js';

test('what could not be fetched is not tried again once something newer was offered', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'nd-updater-'));
  const clock = fakeClock();
  const store = openStore({ path: join(dir, 'device.db'), clock });
  const told: unknown[] = [];
  let reachable = false;
  const client: UpdateClient = {
    refresh: async () => (reachable ? accept(undefined) : refuse('unreachable', 'no server')),
    readTarget: async () => refuse('bad_signature', 'no keys'),
    downloadTarget: async () => refuse('unreachable', 'never asked for'),
    downloadBundle: async () => refuse('unreachable', 'never asked for'),
  };
  const updater = createUpdater({
    ...plainUpdater,
    repositoryUrl: 'http://127.0.0.1:1',
    store,
    slots: openSlots(dir),
    clock,
    metrics: createMetrics(),
    openRepository: async () => client,
    openUpdateFile: async () => refuse('malformed', 'no archive'),
    selfTest: async () => refuse('self_test_failed', 'never asked for'),
    activate: () => Promise.resolve(),
    deactivate: () => undefined,
    tell: (_, { code }) => void told.push(code),
  });
  const stop = new AbortController();
  const ended = updater.run(stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await ended;
    store.close();
    rmSync(dir, { recursive: true });
  });

  updater.offer(Buffer.from('older'));
  await expect.poll(() => told).toEqual(['unreachable']);
  await clock.advance(5000);
  await expect.poll(() => told).toEqual(['unreachable', 'unreachable']);

  // A file is worked off between the attempts, which go on.
  expect(await updater.install('x.ndb')).toBe(false);
  await clock.advance(30_000);
  await expect.poll(() => told).toEqual(['unreachable', 'unreachable', 'malformed', 'unreachable']);

  reachable = true;
  updater.offer(Buffer.from('newer'));
  await expect.poll(() => told.at(-1)).toBe('bad_signature');
  await clock.advance(600_000);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(told).toHaveLength(5);
});
