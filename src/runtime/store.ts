/** The device's one SQLite file (EDGE.md §10): opening, mending, durability, readings and the key-value table. */
import { existsSync, mkdirSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import type { Clock } from './clock.js';
import type { Columns } from './columns.js';
import { INTAKE_BYTES, openIntake } from './intake.js';
import type { Intake, StoredReading } from './intake.js';
import { lastSegment, openReadings, packTail, putSegment, segmentSchema } from './readings.js';
import type { Readings } from './readings.js';
import { salvage } from './salvage.js';

/** "nd" and the number of the file format. */
const APPLICATION_ID = 0x6e640001;

/** One step per version, forward only; `user_version` counts the steps a file has taken. */
const migrations: readonly (string | ((sql: Database.Database) => void))[] = [
  `CREATE TABLE stream(id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, unit TEXT, cadence_ms INTEGER NOT NULL);
   CREATE TABLE tail(stream INTEGER NOT NULL, ts INTEGER NOT NULL, v REAL, flags INTEGER NOT NULL DEFAULT 0);
   CREATE TABLE outbox(id INTEGER PRIMARY KEY, class INTEGER NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL,
                       qos INTEGER NOT NULL, retain INTEGER NOT NULL, expires INTEGER, created INTEGER NOT NULL);
   CREATE TABLE alert(id TEXT PRIMARY KEY, key TEXT NOT NULL, state TEXT NOT NULL, seq INTEGER NOT NULL, body TEXT NOT NULL, updated INTEGER NOT NULL);
   CREATE TABLE kv(k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID;`,
  `CREATE TABLE held(boot TEXT NOT NULL, monotonic REAL NOT NULL, stream INTEGER NOT NULL, v REAL);`,
  (sql) => {
    sql.exec(segmentSchema);
    packTail(sql);
    sql.exec('ALTER TABLE stream DROP COLUMN unit; ALTER TABLE stream DROP COLUMN cadence_ms');
  },
];

export interface HeldReading {
  readonly stream: string;
  readonly monotonicMs: number;
  readonly value: number | null;
}

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

export interface Store extends Readings {
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
  /** Stores readings: on return they survive the death of the process, and the loss of power from the next `sync` on. */
  append(readings: readonly StoredReading[]): void;
  /** Call it every few seconds: the readings until now survive the loss of power, and old ones of the intake are packed. */
  readonly sync: () => void;
  /** Packs the readings of the intake into the database. */
  readonly seal: () => void;
  /** Keeps a reading whose time is not known yet, with the monotonic time of its arrival. */
  hold(stream: string, monotonicMs: number, value: number | null): void;
  /** The readings that were held in this run of the machine, in the order they came, and how many of earlier runs nobody can place. */
  held(): { readonly readings: readonly HeldReading[]; readonly lost: number };
  readonly release: () => void;
  /** Deletes packed readings that are all older than `beforeMs`, a segment at a time. Returns how many. */
  prune(beforeMs: number): number;
  get(key: string): Buffer | undefined;
  put(key: string, value: string | Buffer): void;
  sizeBytes(): number;
  /** Looks through the whole file, without holding anybody up; what is wrong, or undefined. */
  findDamage(): Promise<string | undefined>;
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
/** So much of the oldest readings is given up for new ones when the file may not grow. */
const GIVEN_UP_BYTES = 2 * INTAKE_BYTES;

const FULL_EVERY_MS = 5000;
const SEAL_EVERY_MS = 300_000;
/** Written together, when so many come together. */
const APPENDED_ROWS = 5000;

/** Opens or begins the file. Never refuses to start because of what a file holds: it is set aside. */
export function openStore({ path, clock, maxBytes = 256 * 1024 * 1024, distrusted = false }: StoreOptions): Store {
  mkdirSync(dirname(path), { recursive: true });
  const marker = `${path}.running`;
  const ballast = `${path}.ballast`;
  const intakePath = `${path}.intake`;
  if (freeBytes(path) < ROOM_BYTES) rmSync(ballast, { force: true });
  const existed = existsSync(path);
  let start: StoreStart = existed ? (existsSync(marker) ? 'unclean' : 'clean') : 'new';
  let setAside: string | undefined;
  let salvaged = 0;
  let sql: Database.Database;
  try {
    if (distrusted) throw new Error('the file is damaged');
    if (freeBytes(path) < ROOM_BYTES) throw new Error('the disk is full');
    sql = openFile(path, maxBytes, start === 'unclean');
  } catch (cause) {
    const full = freeBytes(path) < ROOM_BYTES && !isDamage(cause);
    if (!existed && !full) throw cause; // nothing to set aside: the folder itself is the trouble
    start = full ? 'full' : cause instanceof NewerFile ? 'newer' : 'damaged';
    if (!full) setAside = moveAside(path, `${start === 'newer' ? 'newer' : 'corrupt'}-${clock.now()}`);
    sql = openFile(full ? ':memory:' : path, maxBytes, false);
    if (start === 'damaged') salvaged = salvage(setAside!, sql, clock);
  }
  mark(marker);
  const intake: Intake = openIntake(start === 'full' ? undefined : intakePath, lastSegment(sql) + 1);
  const stored = openReadings(sql, () => intake.content);

  const statement = {
    findStream: sql.prepare<[string], { id: number }>('SELECT id FROM stream WHERE name = ?'),
    addStream: sql.prepare('INSERT INTO stream(name) VALUES (?)'),
    hold: sql.prepare('INSERT INTO held(boot, monotonic, stream, v) VALUES (?, ?, ?, ?)'),
    held: sql.prepare<[string], HeldReading>(
      'SELECT name AS stream, monotonic AS monotonicMs, v AS value FROM held JOIN stream ON stream.id = held.stream WHERE boot = ? ORDER BY held.rowid',
    ),
    lost: sql.prepare<[string], { lost: number }>('SELECT count(*) AS lost FROM held WHERE boot <> ?'),
    release: sql.prepare('DELETE FROM held'),
    old: sql.prepare<[number], { id: number; rows: number }>(
      'SELECT id, rows FROM segment WHERE newest < ? ORDER BY newest LIMIT 1',
    ),
    sizes: sql.prepare<[], { id: number; bytes: number }>('SELECT id, length(data) AS bytes FROM segment ORDER BY id'),
    remove: sql.prepare<[number]>('DELETE FROM segment WHERE id = ?'),
    get: sql.prepare<[string], { v: Buffer }>('SELECT v FROM kv WHERE k = ?'),
    put: sql.prepare('INSERT INTO kv(k, v) VALUES (?, ?) ON CONFLICT(k) DO UPDATE SET v = excluded.v'),
  };
  const around = sql.transaction((work: () => unknown) => work());
  const transaction = <T>(work: () => T): T => around.immediate(work) as T;
  const streams = new Map<string, number>();
  let lastFullMs = -Infinity;
  let sealedMs = clock.monotonicMs();
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
    if (freeBytes(path) < ROOM_BYTES) {
      const hadBallast = existsSync(ballast);
      rmSync(ballast, { force: true });
      return hadBallast;
    }
    try {
      return transaction(giveUp) > 0;
    } catch {
      return false;
    }
  }

  /** Returns how many bytes of the oldest readings went. */
  function giveUp(): number {
    let gone = 0;
    for (const { id, bytes } of statement.sizes.all()) {
      if (gone >= GIVEN_UP_BYTES) break;
      statement.remove.run(id);
      gone += bytes;
    }
    return gone;
  }

  function streamOf(name: string): number {
    const known = streams.get(name);
    if (known !== undefined) return known;
    const row = statement.findStream.get(name)?.id ?? Number(statement.addStream.run(name).lastInsertRowid);
    streams.set(name, row);
    return row;
  }

  function write<T>(work: () => T, durability: 'normal' | 'full' = 'normal'): T {
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
  }

  function seal(): void {
    const { number, rows, streams: columns } = intake.content;
    sealedMs = clock.monotonicMs();
    if (rows === 0) return;
    write(() => putSegment(sql, number, byRow(columns)), 'full');
    intake.begin(number + 1);
  }

  const byRow = (columns: ReadonlyMap<string, Columns>): Map<number, Columns> =>
    new Map([...columns].map(([name, content]) => [streamOf(name), content]));

  return {
    sql,
    start,
    setAside,
    salvaged,
    ...stored,
    write,
    append(readings) {
      for (let rest = readings; rest.length > 0; rest = rest.slice(APPENDED_ROWS)) {
        const part = rest.slice(0, APPENDED_ROWS);
        if (!intake.fits(part.length)) seal();
        intake.append(part);
      }
    },
    sync() {
      intake.sync();
      if (clock.monotonicMs() - sealedMs >= SEAL_EVERY_MS) seal();
    },
    seal,
    hold: (stream, monotonicMs, value) => void statement.hold.run(clock.bootId, monotonicMs, streamOf(stream), value),
    held: () => ({ readings: statement.held.all(clock.bootId), lost: statement.lost.get(clock.bootId)!.lost }),
    release: () => void statement.release.run(),
    prune(beforeMs) {
      let deleted = 0;
      for (let old = statement.old.get(beforeMs); old !== undefined; old = statement.old.get(beforeMs)) {
        statement.remove.run(old.id);
        deleted += old.rows;
      }
      if (deleted > 0) sql.pragma('incremental_vacuum(64)');
      return deleted;
    },
    get: (key) => statement.get.get(key)?.v,
    put: (key, value) => void statement.put.run(key, Buffer.from(value)),
    sizeBytes: () =>
      Number(sql.pragma('page_count', { simple: true })) * Number(sql.pragma('page_size', { simple: true })),
    findDamage: async () => (start === 'full' ? undefined : (await import('./integrity.js')).findDamage(path)),
    onEnd: (listener) => void listeners.push(listener),
    reserve: () => {
      if (existsSync(ballast) || freeBytes(path) < 4 * BALLAST_BYTES) return;
      writeFileSync(ballast, Buffer.alloc(BALLAST_BYTES));
    },
    close() {
      intake.sync();
      intake.close();
      sql.close();
      rmSync(marker, { force: true });
    },
  };
}

/** Does this error say that the file is damaged? It will not get better: start again, and the file is set aside. */
export const isDamage = (error: unknown): boolean =>
  /^SQLITE_(?:CORRUPT|NOTADB)/.test((error as { code?: string } | undefined)?.code ?? '');

/** The error that says so. */
export const damaged = (detail: string): Error => Object.assign(new Error(detail), { code: 'SQLITE_CORRUPT' });

/** Does this error say that the disk, or the file, takes no more? */
export const isFull = (error: unknown): boolean =>
  /^(?:SQLITE_(?:FULL|IOERR)|ENOSPC|EDQUOT|EIO)/.test((error as { code?: string } | undefined)?.code ?? '');

/** Less than this on the disk, and there may be no room for the intake, or for the log of packing it. */
const ROOM_BYTES = INTAKE_BYTES + 256 * 1024;

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
          const step = migrations[next]!;
          if (typeof step === 'string') sql.exec(step);
          else step(sql);
          sql.pragma(`application_id = ${APPLICATION_ID}`);
          sql.pragma(`user_version = ${next + 1}`);
        })
        .exclusive();
    }
    lastSegment(sql); // shows whether the table can be read at all
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
