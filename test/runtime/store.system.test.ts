import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readStored } from '../../src/runtime/readings.js';
import { openStore } from '../../src/runtime/store.js';
import type { Store } from '../../src/runtime/store.js';
import { fakeClock } from './fakes.js';

function seeded(): () => number {
  let state = 1;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

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
  ]).toEqual(['wal', 2, 3, 0x6e640001, 1]);
  expect(store.sizeBytes()).toBeGreaterThan(0);
  store.close();
  expect(open()).toMatchObject({ start: 'clean', setAside: undefined });
});

test('readings come back in the order they were stored, per stream, without the late ones; the newest with them', () => {
  const store = open();
  const readings = [
    { stream: 'a', timeMs: 2, value: 20, flags: 0 },
    { stream: 'a', timeMs: 1, value: null, flags: 2 },
    { stream: 'a', timeMs: 3, value: 30, flags: 1 },
    { stream: 'b', timeMs: 4, value: 40, flags: 0 },
    { stream: 'a', timeMs: 5, value: 50, flags: 0 },
  ];
  const check = (from: Pick<Store, 'readings' | 'newest'>): void => {
    expect(from.readings('a', 0)).toEqual([
      { timeMs: 2, value: 20 },
      { timeMs: 1, value: null },
      { timeMs: 5, value: 50 },
    ]);
    expect(from.readings('a', 2)).toEqual([
      { timeMs: 2, value: 20 },
      { timeMs: 5, value: 50 },
    ]);
    expect(from.newest('a', 2)).toEqual([
      { timeMs: 3, value: 30 },
      { timeMs: 5, value: 50 },
    ]);
    expect(from.newest('a', 9)).toHaveLength(4);
    expect(from.newest('b', 2)).toEqual([{ timeMs: 4, value: 40 }]);
    expect(from.newest('c', 2)).toEqual([]);
  };
  store.append(readings.slice(0, 4));
  store.seal();
  store.append(readings.slice(4)); // one part of them is packed, the other not yet
  check(store);
  const other = readStored(join(dir, 'device.db'));
  check(other);
  store.seal();
  check(store);
  check(other); // as they were
  other.close();
  store.close();
  check(open());
});

test('what is not packed yet is there after a kill', () => {
  open().append([{ stream: 'a', timeMs: 1, value: 1, flags: 0 }]);
  const again = open();
  expect(again.start).toBe('unclean');
  expect(again.newest('a', 9)).toEqual([{ timeMs: 1, value: 1 }]);
});

test('is not packed twice, when it was killed before the file was begun anew', () => {
  const store = open();
  store.append([{ stream: 'a', timeMs: 1, value: 1, flags: 0 }]);
  const intake = readFileSync(join(dir, 'device.db.intake'));
  store.seal();
  store.close();
  writeFileSync(join(dir, 'device.db.intake'), intake);
  const again = open();
  expect(again.newest('a', 9)).toEqual([{ timeMs: 1, value: 1 }]);
  again.append([{ stream: 'a', timeMs: 2, value: 2, flags: 0 }]);
  again.seal();
  expect(again.newest('a', 9).map(({ timeMs }) => timeMs)).toEqual([1, 2]);
});

test('is packed every five minutes', async () => {
  const store = open();
  const packed = (): unknown => store.sql.prepare('SELECT total(rows) FROM segment').pluck().get();
  store.append([{ stream: 'a', timeMs: 1, value: 1, flags: 0 }]);
  store.sync();
  expect(packed()).toBe(0);
  await clock.advance(300_000);
  store.sync();
  expect(packed()).toBe(1);
});

test('a part that is damaged is left out', () => {
  const store = open();
  store.append([
    { stream: 'a', timeMs: 1, value: 1, flags: 0 },
    { stream: 'b', timeMs: 1, value: 2, flags: 0 },
  ]);
  store.seal();
  const data = store.sql.prepare('SELECT data FROM segment').pluck().get() as Buffer;
  data[5]! ^= 1;
  store.sql.prepare('UPDATE segment SET data = ?').run(data);
  expect(store.readings('a', 0)).toEqual([]);
  expect(store.readings('b', 0)).toEqual([{ timeMs: 1, value: 2 }]);
});

test('the rows of the format before are packed', () => {
  const path = join(dir, 'device.db');
  const before = new Database(path);
  before.exec(`
    CREATE TABLE stream(id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, unit TEXT, cadence_ms INTEGER NOT NULL);
    CREATE TABLE tail(stream INTEGER NOT NULL, ts INTEGER NOT NULL, v REAL, flags INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE kv(k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID;
    INSERT INTO stream VALUES (1, 'a', '°C', 0), (2, 'b', NULL, 0);
    INSERT INTO tail VALUES (1, 10, 1.5, 0), (2, 11, NULL, 0), (1, 9, 2, 1), (1, 12, 3, 0);
    PRAGMA user_version = 1; PRAGMA application_id = 0x6e640001`);
  before.close();
  const store = open();
  expect(store.start).toBe('clean');
  expect(store.readings('a', 0)).toEqual([
    { timeMs: 10, value: 1.5 },
    { timeMs: 12, value: 3 },
  ]);
  expect(store.newest('a', 9)).toHaveLength(3);
  expect(store.readings('b', 0)).toEqual([{ timeMs: 11, value: null }]);
  store.append([{ stream: 'b', timeMs: 13, value: 4, flags: 0 }]);
  expect(store.readings('b', 12)).toEqual([{ timeMs: 13, value: 4 }]);
});

test('old readings are pruned segment by segment', () => {
  const store = open();
  for (let i = 0; i < 1200; i += 100) {
    store.append(Array.from({ length: 100 }, (_, j) => ({ stream: 'a', timeMs: i + j, value: j, flags: 0 })));
    store.seal();
  }
  expect(store.prune(1150)).toBe(1100);
  expect(store.readings('a', 0)).toHaveLength(100);
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
  const rows = 1_200_000;
  const random = seeded();
  for (let i = 0; i < rows; i += 5000)
    store.append(Array.from({ length: 5000 }, (_, j) => ({ stream: 'a', timeMs: i + j, value: random(), flags: 0 })));
  expect(store.sizeBytes()).toBeLessThanOrEqual(8 * 1024 * 1024);
  expect(ends.filter((end) => end === 'undone').length).toBeGreaterThan(0);
  expect(ends).not.toContain('lost');
  const kept = store.readings('a', 0);
  expect(kept.at(-1)!.timeMs).toBe(rows - 1);
  expect(kept.length).toBeGreaterThan(400_000);
  expect(kept[0]!.timeMs).toBe(rows - kept.length);
});

test('readings whose time is not known are held, those of an earlier run of the machine for nothing', () => {
  const store = open();
  store.write(() => {
    store.hold('a', 10.5, 1);
    store.hold('a', 11.5, null);
    store.sql.exec("INSERT INTO held VALUES ('another boot', 1, 1, 3)");
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
    for (let i = 0; i < 5000; i += 100) {
      store.append(Array.from({ length: 100 }, (_, j) => ({ stream: 'a', timeMs: i + j, value: i + j, flags: 0 })));
      store.seal();
    }
    store.close();
    writeFileSync(`${path()}.running`, '');
    const bytes = readFileSync(path());
    bytes.fill(0x55, 4096 * 12, 4096 * 14);
    writeFileSync(path(), bytes);
    const mended = open();
    expect(mended.start).toBe('damaged');
    // What could be read is there again, from the oldest reading to the damage.
    const saved = mended.readings('a', 0).map(({ value }) => value);
    expect(mended.salvaged).toBe(saved.length / 100 + 1);
    expect(saved.length).toBeGreaterThan(500);
    expect(saved).toEqual(saved.map((_, i) => i));
  });

  test('one that has shown itself to be damaged, though it opens', () => {
    const store = open();
    store.append([{ stream: 'a', timeMs: 1, value: 1, flags: 0 }]);
    store.seal();
    store.append([{ stream: 'a', timeMs: 2, value: 2, flags: 0 }]);
    store.close();
    const mended = openStore({ path: path(), clock, distrusted: true });
    opened.push(mended);
    expect(mended).toMatchObject({ start: 'damaged', salvaged: 2 });
    expect(mended.newest('a', 9).map(({ value }) => value)).toEqual([1, 2]); // the intake is a file of its own
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
