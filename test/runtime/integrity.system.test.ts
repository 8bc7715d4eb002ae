import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { findDamage } from '../../src/runtime/integrity.js';
import { openStore } from '../../src/runtime/store.js';
import { fakeClock } from './fakes.js';
import { buildDevice } from './built.js';

test('a sound database is sound, also while it is in use; a damaged page is found', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'nd-integrity-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const path = join(dir, 'device.db');
  const store = openStore({ path, clock: fakeClock() });
  for (let i = 0; i < 200; i++) store.write(() => store.put(`k${i}`, 'x'.repeat(500)));
  const program = buildDevice()('runtime/integrity.js');
  expect(await findDamage(path, program)).toBeUndefined();
  store.close();
  const bytes = readFileSync(path);
  bytes.fill(0x55, 4096 * 12, 4096 * 13);
  writeFileSync(path, bytes);
  expect(await findDamage(path, program)).toMatch(/\w/);
  writeFileSync(path, 'rubbish'.repeat(1000));
  expect(await findDamage(path, program)).toMatch(/not a database/);
});

test('what cannot be checked is not called damaged', async () => {
  expect(await findDamage('/no/such', '/no/such/program.js')).toBeUndefined();
});
