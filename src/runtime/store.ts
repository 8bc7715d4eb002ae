/** The device's one SQLite file (EDGE.md §10): opening, mending, durability, readings and the key-value table. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import type { Clock } from './clock.js';
import { salvage } from './salvage.js';

/** "nd" and the number of the file format. */
const APPLICATION_ID = 0x6e640001;

/** One step per version, forward only; `user_version` counts the steps a file has taken. */
const migrations: readonly string[] = [
  `CREATE TABLE stream(id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, unit TEXT, cadence_ms INTEGER NOT NULL);
   CREATE TABLE tail(stream INTEGER NOT NULL, ts INTEGER NOT NULL, v REAL, flags INTEGER NOT NULL DEFAULT 0);
   CREATE TABLE outbox(id INTEGER PRIMARY KEY, class INTEGER NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL,
                       qos INTEGER NOT NULL, retain INTEGER NOT NULL, expires INTEGER, created INTEGER NOT NULL);
   CREATE TABLE alert(id TEXT PRIMARY KEY, key TEXT NOT NULL, state TEXT NOT NULL, seq INTEGER NOT NULL, body TEXT NOT NULL, updated INTEGER NOT NULL);
   CREATE TABLE kv(k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID;`,
  `CREATE TABLE held(boot TEXT NOT NULL, monotonic REAL NOT NULL, stream INTEGER NOT NULL, v REAL);`,
];

/** Bits of `tail.flags`. */
export const readingFlag = { late: 1, arrivalTime: 2 } as const;

export interface StoredReading {
  readonly stream: number;
  readonly timeMs: number;
  /** Null for a missing value. */
  readonly value: number | null;
  readonly flags: number;
}

export interface HeldReading {
  readonly stream: string;
  readonly monotonicMs: number;
  readonly value: number | null;
}

export type PastReading = Pick<StoredReading, 'timeMs' | 'value'>;

export interface StoreOptions {
  readonly path: string;
  readonly clock: Clock;
  /** Size cap of the file. */
  readonly maxBytes?: number;
  /** The file has shown to be damaged while it was in use: it is set aside unseen. */
  readonly distrusted?: boolean;
}

/**
 * What was found on opening: `unclean` after a kill, `damaged` and `newer` files were set aside and a fresh one begun;
 * where the disk is `full` nothing can be opened, and it runs from memory until it is started again.
 */
export type StoreStart = 'new' | 'clean' | 'unclean' | 'damaged' | 'newer' | 'full';

export interface Store {
  /** For the parts that own a table. */
  readonly sql: Database.Database;
  readonly start: StoreStart;
  /** Where a damaged or newer file went. */
  readonly setAside: string | undefined;
  /** Rows that were saved from a damaged file. */
  readonly salvaged: number;
  /**
   * One transaction. `full` survives power loss; `normal` survives the death of the process, and power loss up to the
   * last full commit, which is at most 5 s old while data flows.
   */
  write<T>(work: () => T, durability?: 'normal' | 'full'): T;
  /** Row of a stream, made when it is new. */
  stream(name: string, unit: string | null): number;
  append(reading: StoredReading): void;
  /** Keeps a reading whose time is not known yet, with the monotonic time of its arrival. */
  hold(stream: number, monotonicMs: number, value: number | null): void;
  /** The readings that were held in this run of the machine, in the order they came, and how many of earlier runs nobody can place. */
  held(): { readonly readings: readonly HeldReading[]; readonly lost: number };
  readonly release: () => void;
  /** Readings of a stream from `sinceMs` on, in the order they were stored, without the late ones. */
  readings(stream: number, sinceMs: number): IterableIterator<PastReading>;
  /** The newest readings of a stream, the late ones too, oldest first. */
  newest(streamName: string, count: number): PastReading[];
  /** Deletes readings older than `beforeMs`, a slice at a time. Returns how many. */
  prune(beforeMs: number): number;
  get(key: string): Buffer | undefined;
  put(key: string, value: string | Buffer): void;
  sizeBytes(): number;
  /** Hears of the end of each transaction: what was changed in memory with it must follow. */
  onEnd(listener: (end: TransactionEnd) => void): void;
  /** Keeps some room on the disk for bad times. Call it now and then. */
  readonly reserve: () => void;
  close(): void;
}

/** `undone`: room was made and it is tried again at once; `lost`: it was thrown out of `write`. */
export type TransactionEnd = 'committed' | 'undone' | 'lost';

/** Given back when the disk is full: enough for the log of the transactions that then make room. */
const BALLAST_BYTES = 8 * 1024 * 1024;
/** Readings that are given up for new ones when the file may not grow. */
const GIVEN_UP_ROWS = 5000;

const FULL_EVERY_MS = 5000;
const PRUNE_ROWS = 500;

/** Opens or begins the file. Never refuses to start because of what a file holds: it is set aside. */
export function openStore({ path, clock, maxBytes = 256 * 1024 * 1024, distrusted = false }: StoreOptions): Store {
  mkdirSync(dirname(path), { recursive: true });
  const marker = `${path}.running`;
  const ballast = `${path}.ballast`;
  if (freeBytes(path) < OPENING_BYTES) rmSync(ballast, { force: true });
  const existed = existsSync(path);
  let start: StoreStart = existed ? (existsSync(marker) ? 'unclean' : 'clean') : 'new';
  let setAside: string | undefined;
  let salvaged = 0;
  let sql: Database.Database;
  try {
    if (distrusted) throw new Error('the file is damaged');
    sql = openFile(path, maxBytes, start === 'unclean');
  } catch (cause) {
    const full = freeBytes(path) < OPENING_BYTES && !isDamage(cause);
    if (!existed && !full) throw cause; // nothing to set aside: the folder itself is the trouble
    start = full ? 'full' : cause instanceof NewerFile ? 'newer' : 'damaged';
    if (!full) setAside = moveAside(path, `${start === 'newer' ? 'newer' : 'corrupt'}-${clock.now()}`);
    sql = openFile(full ? ':memory:' : path, maxBytes, false);
    if (start === 'damaged') salvaged = salvage(setAside!, sql, clock);
  }
  mark(marker);

  const statement = {
    findStream: sql.prepare<[string], { id: number }>('SELECT id FROM stream WHERE name = ?'),
    addStream: sql.prepare('INSERT INTO stream(name, unit, cadence_ms) VALUES (?, ?, 0)'),
    append: sql.prepare('INSERT INTO tail(stream, ts, v, flags) VALUES (?, ?, ?, ?)'),
    hold: sql.prepare('INSERT INTO held(boot, monotonic, stream, v) VALUES (?, ?, ?, ?)'),
    held: sql.prepare<[string], HeldReading>(
      'SELECT name AS stream, monotonic AS monotonicMs, v AS value FROM held JOIN stream ON stream.id = held.stream WHERE boot = ? ORDER BY held.rowid',
    ),
    lost: sql.prepare<[string], { lost: number }>('SELECT count(*) AS lost FROM held WHERE boot <> ?'),
    release: sql.prepare('DELETE FROM held'),
    readings: sql.prepare<[number, number], PastReading>(
      `SELECT ts AS timeMs, v AS value FROM tail WHERE stream = ? AND ts >= ? AND flags & ${readingFlag.late} = 0 ORDER BY rowid`,
    ),
    newest: sql.prepare<[number, number], PastReading>(
      'SELECT ts AS timeMs, v AS value FROM tail WHERE stream = ? ORDER BY rowid DESC LIMIT ?',
    ),
    prune: sql.prepare(
      `DELETE FROM tail WHERE rowid IN (SELECT rowid FROM tail WHERE ts < ? ORDER BY rowid LIMIT ${PRUNE_ROWS})`,
    ),
    giveUp: sql.prepare(
      `DELETE FROM tail WHERE rowid IN (SELECT rowid FROM tail ORDER BY rowid LIMIT ${GIVEN_UP_ROWS})`,
    ),
    get: sql.prepare<[string], { v: Buffer }>('SELECT v FROM kv WHERE k = ?'),
    put: sql.prepare('INSERT INTO kv(k, v) VALUES (?, ?) ON CONFLICT(k) DO UPDATE SET v = excluded.v'),
  };
  const around = sql.transaction((work: () => unknown) => work());
  const transaction = <T>(work: () => T): T => around.immediate(work) as T;
  const streams = new Map<string, number>();
  let lastFullMs = -Infinity;
  const listeners: ((end: TransactionEnd) => void)[] = [];
  const tell = (end: TransactionEnd): void => {
    if (end !== 'committed') streams.clear(); // some may have been undone
    for (const listener of listeners) listener(end);
  };

  function attempt<T>(work: () => T, durability: 'normal' | 'full'): T {
    const full = durability === 'full' || clock.monotonicMs() - lastFullMs >= FULL_EVERY_MS;
    if (!full) return transaction(work);
    sql.pragma('synchronous = FULL'); // only possible outside a transaction
    try {
      return transaction(work);
    } finally {
      sql.pragma('synchronous = NORMAL');
      lastFullMs = clock.monotonicMs();
    }
  }

  /** At the file's own limit the oldest readings go; on a full disk the ballast, once. True when it is worth another try. */
  function makeRoom(): boolean {
    if (freeBytes(path) < OPENING_BYTES) {
      const hadBallast = existsSync(ballast);
      rmSync(ballast, { force: true });
      return hadBallast;
    }
    try {
      return transaction(() => statement.giveUp.run().changes) > 0;
    } catch {
      return false;
    }
  }

  return {
    sql,
    start,
    setAside,
    salvaged,
    write(work, durability = 'normal') {
      try {
        const result = attempt(work, durability);
        tell('committed');
        return result;
      } catch (error) {
        const again = isFull(error) && makeRoom();
        tell(again ? 'undone' : 'lost');
        if (!again) throw error;
      }
      try {
        const result = attempt(work, durability);
        tell('committed');
        return result;
      } catch (error) {
        tell('lost');
        throw error;
      }
    },
    stream(name, unit) {
      const known = streams.get(name);
      if (known !== undefined) return known;
      const row = statement.findStream.get(name)?.id ?? Number(statement.addStream.run(name, unit).lastInsertRowid);
      streams.set(name, row);
      return row;
    },
    append: ({ stream, timeMs, value, flags }) => void statement.append.run(stream, timeMs, value, flags),
    hold: (stream, monotonicMs, value) => void statement.hold.run(clock.bootId, monotonicMs, stream, value),
    held: () => ({ readings: statement.held.all(clock.bootId), lost: statement.lost.get(clock.bootId)!.lost }),
    release: () => void statement.release.run(),
    readings: (stream, sinceMs) => statement.readings.iterate(stream, sinceMs),
    newest(streamName, count) {
      const id = statement.findStream.get(streamName)?.id;
      return id === undefined ? [] : statement.newest.all(id, count).reverse();
    },
    prune(beforeMs) {
      let deleted = 0;
      for (let changes = PRUNE_ROWS; changes === PRUNE_ROWS; deleted += changes)
        changes = statement.prune.run(beforeMs).changes;
      if (deleted > 0) sql.pragma('incremental_vacuum(64)');
      return deleted;
    },
    get: (key) => statement.get.get(key)?.v,
    put: (key, value) => void statement.put.run(key, Buffer.from(value)),
    sizeBytes: () =>
      Number(sql.pragma('page_count', { simple: true })) * Number(sql.pragma('page_size', { simple: true })),
    onEnd: (listener) => void listeners.push(listener),
    reserve: () => {
      if (existsSync(ballast) || freeBytes(path) < 4 * BALLAST_BYTES) return;
      writeFileSync(ballast, Buffer.alloc(BALLAST_BYTES));
    },
    close() {
      sql.close();
      rmSync(marker, { force: true });
    },
  };
}

/** Readings of a stream as `Store.readings` gives them, for a process beside the one that writes. Throws what SQLite throws. */
export function* storedReadings(path: string, streamName: string): Generator<PastReading> {
  const sql = new Database(path, { readonly: true, fileMustExist: true });
  try {
    const select = sql.prepare<[string], PastReading>(
      `SELECT ts AS timeMs, v AS value FROM tail WHERE stream = (SELECT id FROM stream WHERE name = ?) AND flags & ${readingFlag.late} = 0 ORDER BY rowid`,
    );
    yield* select.iterate(streamName);
  } finally {
    sql.close();
  }
}

/** Does this error say that the file is damaged? It will not get better: start again, and the file is set aside. */
export const isDamage = (error: unknown): boolean =>
  /^SQLITE_(?:CORRUPT|NOTADB)/.test((error as { code?: string } | undefined)?.code ?? '');

/** Does this error say that the disk, or the file, takes no more? */
export const isFull = (error: unknown): boolean =>
  /^SQLITE_(?:FULL|IOERR)/.test((error as { code?: string } | undefined)?.code ?? '');

/** Less than this on the disk, and not even an empty log can be begun. */
const OPENING_BYTES = 256 * 1024;

function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(dirname(path));
  return bavail * bsize;
}

/** It stays behind when the process is killed. On a full disk there is none, and the next start believes in a clean end. */
function mark(marker: string): void {
  try {
    writeFileSync(marker, '');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
}

/** A file written by a later version of this code. */
class NewerFile extends Error {}

function openFile(path: string, maxBytes: number, check: boolean): Database.Database {
  const sql = new Database(path);
  try {
    sql.pragma('page_size = 4096');
    sql.pragma('auto_vacuum = INCREMENTAL'); // both act only on a file without tables
    sql.pragma('journal_mode = WAL');
    sql.pragma('synchronous = NORMAL');
    sql.pragma('busy_timeout = 5000');
    sql.pragma('foreign_keys = ON');
    sql.pragma('wal_autocheckpoint = 1000');
    sql.pragma('journal_size_limit = 4194304');
    sql.pragma('cache_size = -2000'); // kB; the tables are written at their ends, so more would only hold memory
    sql.pragma('temp_store = MEMORY');
    sql.pragma(`max_page_count = ${Math.floor(maxBytes / 4096)}`);
    sql.pragma('trusted_schema = OFF');

    const version = Number(sql.pragma('user_version', { simple: true }));
    const application = Number(sql.pragma('application_id', { simple: true }));
    if (version > 0 && application !== APPLICATION_ID) throw new Error('the file belongs to another program');
    if (version > migrations.length) throw new NewerFile();
    if (check && sql.pragma('quick_check(1)', { simple: true }) !== 'ok') throw new Error('quick_check found damage');

    for (let next = version; next < migrations.length; next++) {
      sql
        .transaction(() => {
          sql.exec(migrations[next]!);
          sql.pragma(`application_id = ${APPLICATION_ID}`);
          sql.pragma(`user_version = ${next + 1}`);
        })
        .exclusive();
    }
    return sql;
  } catch (error) {
    sql.close();
    throw error;
  }
}

/** Renames the database with its -wal and -shm. Returns where it went. */
function moveAside(path: string, suffix: string): string {
  for (const part of ['', '-wal', '-shm'])
    if (existsSync(path + part)) renameSync(path + part, `${path}.${suffix}${part}`);
  return `${path}.${suffix}`;
}

/** Writes a small file so that it is either the old or the new one, whatever happens. */
export function replaceFile(path: string, content: string): void {
  const next = `${path}.next`;
  writeFileSync(next, content);
  syncPath(next);
  renameSync(next, path);
  syncPath(dirname(path));
}

/** Makes every file below a folder, and the folder itself, survive a loss of power. */
export function syncTree(dir: string): void {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (entry.isDirectory()) syncTree(join(dir, entry.name));
    else syncPath(join(dir, entry.name));
  }
  syncPath(dir);
}

function syncPath(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
