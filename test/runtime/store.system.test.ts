import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openStore, replaceFile } from '../../src/runtime/store.js';
import type { Store } from '../../src/runtime/store.js';
import { fakeClock } from './fakes.js';

let dir: string;
let opened: Store[];
const clock = fakeClock();
const open = (): Store => {
  const store = openStore({ path: join(dir, 'device.db'), clock, maxBytes: 8 * 1024 * 1024 });
  opened.push(store);
  return store;
};
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'nd-store-'));
  opened = [];
});
afterEach(() => {
  for (const store of opened) if (store.sql.open) store.close();
  rmSync(dir, { recursive: true });
});

test('a new file has the settings of its format, and is clean when opened again', () => {
  const store = open();
  const pragma = (name: string): unknown => store.sql.pragma(name, { simple: true });
  expect(store.start).toBe('new');
  expect([
    pragma('journal_mode'),
    pragma('auto_vacuum'),
    pragma('user_version'),
    pragma('application_id'),
    pragma('synchronous'),
  ]).toEqual(['wal', 2, 2, 0x6e640001, 1]);
  expect(store.sizeBytes()).toBeGreaterThan(0);
  store.close();
  expect(open()).toMatchObject({ start: 'clean', setAside: undefined });
});

test('readings come back in the order they were stored, per stream, without the late ones; the newest with them', () => {
  const store = open();
  const [a, b] = [store.stream('a', '°C'), store.stream('b', null)];
  store.write(() => {
    store.append({ stream: a, timeMs: 2, value: 20, flags: 0 });
    store.append({ stream: a, timeMs: 1, value: null, flags: 2 });
    store.append({ stream: a, timeMs: 3, value: 30, flags: 1 });
    store.append({ stream: b, timeMs: 4, value: 40, flags: 0 });
  });
  expect(store.stream('a', '°C')).toBe(a);
  expect([...store.readings(a, 0)]).toEqual([
    { timeMs: 2, value: 20 },
    { timeMs: 1, value: null },
  ]);
  expect([...store.readings(a, 2)]).toEqual([{ timeMs: 2, value: 20 }]);
  expect(store.newest('a', 2)).toEqual([
    { timeMs: 1, value: null },
    { timeMs: 3, value: 30 },
  ]);
  expect(store.newest('c', 2)).toEqual([]);
});

test('old readings are pruned slice by slice', () => {
  const store = open();
  const stream = store.stream('a', null);
  store.write(() => {
    for (let i = 0; i < 1200; i++) store.append({ stream, timeMs: i, value: i, flags: 0 });
  });
  expect(store.prune(1100)).toBe(1100);
  expect([...store.readings(stream, 0)]).toHaveLength(100);
});

test('a transaction that fails leaves nothing behind, whatever its durability', async () => {
  const store = open();
  await clock.advance(6000);
  for (const durability of ['normal', 'full', 'normal'] as const) {
    expect(() =>
      store.write(() => {
        store.put('k', 'v');
        throw new Error('no');
      }, durability),
    ).toThrow('no');
  }
  expect(store.get('k')).toBeUndefined();
  expect(store.sql.pragma('synchronous', { simple: true })).toBe(1);
});

test('a file that may not grow gives up its oldest readings for new ones', () => {
  const store = open();
  const ends: string[] = [];
  store.onEnd((end) => ends.push(end));
  const stream = store.write(() => store.stream('a', null));
  const rows = 500_000;
  for (let i = 0; i < rows; i += 1000)
    store.write(() => {
      for (let j = i; j < i + 1000; j++) store.append({ stream, timeMs: j, value: j, flags: 0 });
    });
  expect(store.sizeBytes()).toBeLessThanOrEqual(8 * 1024 * 1024);
  expect(ends.filter((end) => end === 'undone').length).toBeGreaterThan(0);
  expect(ends).not.toContain('lost');
  const kept = store.newest('a', rows);
  expect(kept.at(-1)).toEqual({ timeMs: rows - 1, value: rows - 1 });
  expect(kept.length).toBeGreaterThan(100_000);
  expect(kept[0]!.timeMs).toBe(rows - kept.length);
});

test('readings whose time is not known are held, those of an earlier run of the machine for nothing', () => {
  const store = open();
  store.write(() => {
    const stream = store.stream('a', null);
    store.hold(stream, 10.5, 1);
    store.hold(stream, 11.5, null);
    store.sql.prepare("INSERT INTO held VALUES ('another boot', 1, ?, 3)").run(stream);
  });
  store.close();
  const again = open();
  expect(again.held()).toEqual({
    readings: [
      { stream: 'a', monotonicMs: 10.5, value: 1 },
      { stream: 'a', monotonicMs: 11.5, value: null },
    ],
    lost: 1,
  });
  again.write(again.release);
  expect(again.held()).toEqual({ readings: [], lost: 0 });
});

test('what is held in reserve on the disk is made once', () => {
  const store = open();
  store.reserve();
  store.reserve();
  expect(statSync(join(dir, 'device.db.ballast')).size).toBe(8 * 1024 * 1024);
});

describe('a file that cannot be used is set aside and the device starts', () => {
  const path = (): string => join(dir, 'device.db');

  test('rubbish', () => {
    writeFileSync(path(), 'this is no database, and it is long enough to look like a header of one'.repeat(10));
    const store = open();
    expect(store).toMatchObject({ start: 'damaged', setAside: `${path()}.corrupt-${clock.now()}` });
    expect(readFileSync(store.setAside!, 'utf8')).toMatch(/^this is no database/);
  });

  test('pages damaged under an unclean end', () => {
    const store = open();
    const stream = store.stream('a', null);
    store.write(() => {
      for (let i = 0; i < 5000; i++) store.append({ stream, timeMs: i, value: i, flags: 0 });
    });
    store.close();
    writeFileSync(`${path()}.running`, '');
    const bytes = readFileSync(path());
    bytes.fill(0x55, 4096 * 12, 4096 * 14);
    writeFileSync(path(), bytes);
    const mended = open();
    expect(mended.start).toBe('damaged');
    // What could be read is there again, from the oldest reading to the damage.
    const saved = [...mended.readings(mended.stream('a', null), 0)].map(({ value }) => value);
    expect(mended.salvaged).toBe(saved.length + 1);
    expect(saved.length).toBeGreaterThan(500);
    expect(saved).toEqual(saved.map((_, i) => i));
  });

  test('one that has shown itself to be damaged, though it opens', () => {
    const store = open();
    store.write(() => store.append({ stream: store.stream('a', null), timeMs: 1, value: 1, flags: 0 }));
    store.close();
    const mended = openStore({ path: path(), clock, distrusted: true });
    opened.push(mended);
    expect(mended).toMatchObject({ start: 'damaged', salvaged: 2 });
  });

  test('an unclean end of a sound file only costs a check', () => {
    open().close();
    writeFileSync(`${path()}.running`, '');
    expect(open().start).toBe('unclean');
  });

  test('a newer format', () => {
    open().close();
    const raw = new Database(path());
    raw.pragma('user_version = 99');
    raw.close();
    expect(open()).toMatchObject({ start: 'newer', setAside: expect.stringContaining('.newer-') as string });
  });

  test('a file of another program', () => {
    const raw = new Database(path());
    raw.pragma('user_version = 1');
    raw.close();
    expect(open().start).toBe('damaged');
  });
});

test('a folder that cannot be written is told, not hidden', () => {
  writeFileSync(join(dir, 'file'), '');
  expect(() => openStore({ path: join(dir, 'file', 'device.db'), clock })).toThrow();
  expect(() => openStore({ path: dir + '/nowhere\0/x', clock })).toThrow();
});

test('a file is replaced as a whole and leaves no half behind', () => {
  const file = join(dir, 'pointer.json');
  replaceFile(file, 'one');
  replaceFile(file, 'two');
  expect(readFileSync(file, 'utf8')).toBe('two');
  expect(readdirSync(dir)).toEqual(['pointer.json']);
});
