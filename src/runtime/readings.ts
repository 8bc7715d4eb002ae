/**
 * The readings of a device: those of the newest minutes in the intake's file, the others packed into segments, rows of the
 * database that each hold all that came in the time of a generation. Rows are only added at the end and are as large as
 * their readings: a row for each reading, committed alone, wrote sixty times as much.
 */
import Database from 'better-sqlite3';
import { newColumns, packColumns, putVarint, takeVarint, unpackColumns, VARINT_BYTES } from './columns.js';
import type { Columns, Cursor } from './columns.js';
import { followIntake } from './intake.js';
import type { Generation, StoredReading } from './intake.js';

/** Bits of `flags`. */
export const readingFlag = { late: 1, arrivalTime: 2 } as const;

export type PastReading = Pick<StoredReading, 'timeMs' | 'value'>;

export interface Readings {
  /** Readings of a stream from `sinceMs` on, in the order they were stored, without the late ones if not asked for. */
  readings(stream: string, sinceMs: number, lateToo?: boolean): PastReading[];
  /** The newest readings of a stream, the late ones too, oldest first. It looks back over some hours at most. */
  newest(stream: string, count: number): PastReading[];
}

export const segmentSchema = `
  CREATE TABLE segment(id INTEGER PRIMARY KEY, newest INTEGER NOT NULL, rows INTEGER NOT NULL, streams BLOB NOT NULL, data BLOB NOT NULL);
  CREATE INDEX segment_newest ON segment(newest);`;

interface Segment {
  readonly id: number;
  /** Stream and bytes of its part of the data, by turns. */
  readonly streams: Buffer;
}

/** Segments that are searched for the newest readings. */
const LOOK_BACK = 64;

/** `unsealed` is what the intake holds. */
export function openReadings(sql: Database.Database, unsealed: () => Generation | undefined): Readings {
  const statement = {
    stream: sql.prepare<[string], { id: number }>('SELECT id FROM stream WHERE name = ?'),
    since: sql.prepare<[number], Segment>('SELECT id, streams FROM segment WHERE newest >= ? ORDER BY id'),
    last: sql.prepare<[], Segment>(`SELECT id, streams FROM segment ORDER BY id DESC LIMIT ${LOOK_BACK}`),
    part: sql.prepare<[number, number, number], { part: Buffer }>(
      'SELECT substr(data, ?, ?) AS part FROM segment WHERE id = ?',
    ),
  };

  function partOf({ id, streams }: Segment, stream: number): Columns | undefined {
    const from: Cursor = { bytes: streams, at: 0 };
    for (let begin = 1; from.at < streams.length;) {
      const [owner, bytes] = [takeVarint(from), takeVarint(from)];
      if (owner === stream) return unpackColumns(statement.part.get(begin, bytes, id)!.part);
      begin += bytes;
    }
    return undefined;
  }

  return {
    readings(name, sinceMs, lateToo = false) {
      const stream = statement.stream.get(name)?.id;
      const parts = stream === undefined ? [] : statement.since.all(sinceMs).map((segment) => partOf(segment, stream));
      return [...parts, unsealed()?.streams.get(name)].flatMap((columns) =>
        rowsOf(columns, (timeMs, flags) => timeMs >= sinceMs && (lateToo || (flags & readingFlag.late) === 0)),
      );
    },
    newest(name, count) {
      const stream = statement.stream.get(name)?.id;
      const parts = [rowsOf(unsealed()?.streams.get(name))];
      let found = parts[0]!.length;
      for (const segment of stream === undefined || found >= count ? [] : statement.last.all()) {
        parts.push(rowsOf(partOf(segment, stream!)));
        found += parts.at(-1)!.length;
        if (found >= count) break;
      }
      return parts.reverse().flat().slice(-count);
    },
  };
}

/** The readings of a device that may be running, at one moment, for another process. */
export function readStored(path: string): Readings & { streams(): readonly string[]; close(): void } {
  const unsealed = followIntake(`${path}.intake`)(); // first: what is packed meanwhile is found in the database
  const sql = new Database(path, { readonly: true });
  sql.exec('BEGIN');
  const current = unsealed !== undefined && unsealed.number > lastSegment(sql) ? unsealed : undefined;
  return {
    ...openReadings(sql, () => current),
    streams: () => [
      ...new Set([
        ...sql.prepare<[], string>('SELECT name FROM stream').pluck().all(),
        ...(current?.streams.keys() ?? []),
      ]),
    ],
    close: () => void sql.close(),
  };
}

/** The number of the newest segment, which is that of its generation; 0 when there is none. */
export const lastSegment = (sql: Database.Database): number =>
  sql.prepare<[], { id: number | null }>('SELECT max(id) AS id FROM segment').get()!.id ?? 0;

/** Puts a generation in place; what a try before left of it is replaced. Call it inside a transaction. */
export function putSegment(sql: Database.Database, number: number, streams: ReadonlyMap<number, Columns>): void {
  const index: Cursor = { bytes: Buffer.alloc(2 * VARINT_BYTES * streams.size), at: 0 };
  const parts: Buffer[] = [];
  let newest = -Infinity;
  let rows = 0;
  for (const [stream, columns] of streams) {
    parts.push(packColumns(columns));
    putVarint(index, stream);
    putVarint(index, parts.at(-1)!.length);
    newest = columns.times.reduce((a, b) => Math.max(a, b), newest);
    rows += columns.times.length;
  }
  sql
    .prepare('INSERT OR REPLACE INTO segment(id, newest, rows, streams, data) VALUES (?, ?, ?, ?, ?)')
    .run(number, newest, rows, index.bytes.subarray(0, index.at), Buffer.concat(parts));
}

const SEGMENT_ROWS = 20_000;

/** Packs the rows of the format before, which had one for each reading. */
export function packTail(sql: Database.Database): void {
  const slice = sql.prepare<[number], { row: number; stream: number; ts: number; v: number | null; flags: number }>(
    `SELECT rowid AS row, stream, ts, v, flags FROM tail WHERE rowid > ? ORDER BY rowid LIMIT ${SEGMENT_ROWS}`,
  );
  for (let number = 1, rows = slice.all(0); rows.length > 0; rows = slice.all(rows.at(-1)!.row)) {
    const streams = new Map<number, Columns>();
    for (const { stream, ts, v, flags } of rows) {
      const columns = streams.get(stream) ?? newColumns();
      streams.set(stream, columns);
      columns.times.push(ts);
      columns.values.push(v ?? NaN);
      columns.flags.push(flags);
    }
    putSegment(sql, number++, streams);
  }
  sql.exec('DROP TABLE tail');
}

/** Nothing for a part that is damaged. */
function rowsOf(
  { times, values, flags }: Columns = newColumns(),
  wanted: (timeMs: number, flags: number) => boolean = () => true,
): PastReading[] {
  const rows: PastReading[] = [];
  times.forEach((timeMs, i) => {
    if (wanted(timeMs, flags[i]!)) rows.push({ timeMs, value: Number.isNaN(values[i]) ? null : values[i]! });
  });
  return rows;
}
