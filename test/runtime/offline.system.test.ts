import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { inboxOf, watchOffline } from '../../src/runtime/offline.js';
import { openStore } from '../../src/runtime/store.js';
import type { Store } from '../../src/runtime/store.js';
import { fakeClock } from './fakes.js';

let dir: string;
let stick: string;
let clock: ReturnType<typeof fakeClock>;
let store: Store;
let stop: () => Promise<void>;
let taken: string[];
/** Names of files that are to be tried again. */
let unready: Set<string>;
/** Times it has looked to the end. */
let asleep = 0;

const answer = (path: string): Promise<boolean> => {
  taken.push(basename(path));
  return Promise.resolve(unready.has(basename(path)));
};

/** Begins, and has looked once. */
async function start(install = answer): Promise<void> {
  const stopping = new AbortController();
  const watched = { ...clock, sleep: (ms: number, signal: AbortSignal) => (asleep++, clock.sleep(ms, signal)) };
  const before = asleep;
  const ended = watchOffline({ stateDir: dir, offlineDir: stick, clock: watched, store, install }, stopping.signal);
  stop = async () => {
    stopping.abort();
    await ended;
  };
  await expect.poll(() => asleep, { interval: 5 }).toBe(before + 1);
}

/** Lets it look once more, and finish what it found. */
async function look(times = 1, ms = 10_000): Promise<void> {
  for (let i = 0; i < times; i++) {
    const before = asleep;
    await clock.advance(ms);
    await expect.poll(() => asleep, { interval: 5 }).toBe(before + 1);
  }
}

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'nd-offline-'));
  stick = join(dir, 'stick');
  clock = fakeClock();
  store = openStore({ path: join(dir, 'device.db'), clock });
  taken = [];
  unready = new Set();
  await start();
});
afterEach(async () => {
  await stop();
  store.close();
  rmSync(dir, { recursive: true });
});

test('a file is taken when it has come to rest, in the order of names, and once', async () => {
  mkdirSync(stick);
  writeFileSync(join(stick, 'b.ndb'), '1');
  writeFileSync(join(stick, 'a.ndb'), '1');
  writeFileSync(join(stick, 'notes.txt'), '1');
  await look();
  expect(taken).toEqual([]);
  writeFileSync(join(stick, 'b.ndb'), 'more of it');
  await look();
  expect(taken).toEqual(['a.ndb']);
  await look(3);
  expect(taken).toEqual(['a.ndb', 'b.ndb']);
  expect(readdirSync(stick)).toEqual(['a.ndb', 'b.ndb', 'notes.txt']);

  await stop();
  await start();
  await look(3);
  expect(taken).toHaveLength(2);
  writeFileSync(join(stick, 'a.ndb'), 'another');
  await look(2);
  expect(taken).toEqual(['a.ndb', 'b.ndb', 'a.ndb']);
});

test('the device’s own folder is emptied', async () => {
  writeFileSync(join(inboxOf(dir), 'x.ndb'), '1');
  await look(2);
  expect(taken).toEqual(['x.ndb']);
  expect(readdirSync(inboxOf(dir))).toEqual([]);
  writeFileSync(join(inboxOf(dir), 'x.ndb'), '1');
  await look(2);
  expect(taken).toEqual(['x.ndb', 'x.ndb']);
});

test('what may be mended by time is tried again after five minutes, and at once when the stick is back', async () => {
  mkdirSync(stick);
  writeFileSync(join(stick, 'a.ndb'), '1');
  unready.add('a.ndb');
  await look(5);
  expect(taken).toHaveLength(1);
  await look(1, 300_000);
  expect(taken).toHaveLength(2);
  renameSync(stick, `${stick}.out`);
  await look();
  renameSync(`${stick}.out`, stick);
  unready.clear();
  await look(4);
  expect(taken).toHaveLength(3);
});

test('a folder that cannot be read, and a link in it, hold nobody up', async () => {
  writeFileSync(stick, 'no folder');
  await look(2);
  rmSync(stick);
  mkdirSync(stick);
  symlinkSync('/dev/zero', join(stick, 'endless.ndb'));
  await look(2);
  expect(taken).toEqual(['endless.ndb']); // which the archive refuses
});

test('a disk without room keeps a file for later', async () => {
  await stop();
  await start(() => {
    taken.push('tried');
    return Promise.reject(Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' }));
  });
  writeFileSync(join(inboxOf(dir), 'x.ndb'), '1');
  await look(3);
  expect(taken).toEqual(['tried']);
  await look(1, 300_000);
  expect(taken).toEqual(['tried', 'tried']);
  expect(readdirSync(inboxOf(dir))).toEqual(['x.ndb']);
});
