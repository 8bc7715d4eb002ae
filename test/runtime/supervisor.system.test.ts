import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createSupervisor } from '../../src/runtime/supervisor.js';

test('systemd is told in its own words, and half as seldom as it would lose patience', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'nd-supervisor-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const [program, heard] = [join(dir, 'notify'), join(dir, 'heard')];
  writeFileSync(program, `#!/bin/sh\necho "$NOTIFY_SOCKET $1" >> ${heard}\n`, { mode: 0o755 });
  writeFileSync(heard, '');
  process.env['NOTIFY_SOCKET'] = '/run/notify';
  onTestFinished(() => void delete process.env['NOTIFY_SOCKET']);
  const failures: string[] = [];
  const supervisor = createSupervisor({ NOTIFY_SOCKET: '/run/notify', WATCHDOG_USEC: '60000000' }, (detail) => failures.push(detail), program); // prettier-ignore
  expect(supervisor.aliveEveryMs).toBe(30_000);
  for (const what of ['ready', 'alive', 'stopping'] as const) {
    supervisor.say(what);
    await expect.poll(() => readFileSync(heard, 'utf8').trim().split('\n').at(-1)).toMatch(new RegExp(`^/run/notify ${{ ready: 'READY', alive: 'WATCHDOG', stopping: 'STOPPING' }[what]}=1$`)); // prettier-ignore
  }
  expect(failures).toEqual([]);
});

test('where there is no systemd nothing is said, and where its program is missing, so once', async () => {
  const failures: string[] = [];
  const none = createSupervisor({}, (detail) => failures.push(detail), '/no/such/program');
  none.say('ready');
  expect(none.aliveEveryMs).toBeUndefined();
  const other = createSupervisor({ NOTIFY_SOCKET: 'x', WATCHDOG_USEC: '1', WATCHDOG_PID: '1' }, () => undefined);
  expect(other.aliveEveryMs).toBeUndefined();
  const mute = createSupervisor({ NOTIFY_SOCKET: 'x' }, (detail) => failures.push(detail), '/no/such/program');
  mute.say('ready');
  mute.say('alive');
  await expect.poll(() => failures).toHaveLength(1);
  expect(failures[0]).toMatch(/ENOENT/);
});
