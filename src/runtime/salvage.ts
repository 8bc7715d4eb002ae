/** What can still be read of a damaged database goes into the fresh one (EDGE.md §10): readings, and what was to be told. */
import Database from 'better-sqlite3';
import type { Clock } from './clock.js';

const WITHIN_MS = 30_000;
const ROWS = 500;

/** Only rows of the right types: what is read from a damaged page may be anything. */
const tables = [
  {
    read: "SELECT id, name FROM stream WHERE typeof(name) = 'text'",
    write: 'INSERT OR IGNORE INTO stream(id, name) VALUES (?, ?)',
  },
  {
    read: `SELECT id, newest, rows, streams, data FROM segment
           WHERE typeof(newest) = 'integer' AND typeof(rows) = 'integer' AND typeof(streams) = 'blob' AND typeof(data) = 'blob'`,
    write: 'INSERT OR IGNORE INTO segment(id, newest, rows, streams, data) VALUES (?, ?, ?, ?, ?)',
  },
  {
    read: `SELECT id, class, topic, payload, qos, retain, expires, created FROM outbox
           WHERE class BETWEEN 0 AND 3 AND typeof(topic) = 'text' AND typeof(payload) = 'blob' AND qos IN (0, 1) AND retain IN (0, 1)
             AND typeof(expires) IN ('integer', 'null') AND typeof(created) = 'integer'`,
    write:
      'INSERT OR IGNORE INTO outbox(id, class, topic, payload, qos, retain, expires, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
  },
] as const;

/** Returns how many rows were saved. Never throws for what the damaged file holds; ends after half a minute. */
export function salvage(from: string, to: Database.Database, clock: Clock): number {
  const endMs = clock.monotonicMs() + WITHIN_MS;
  let saved = 0;
  let damaged: Database.Database | undefined;
  try {
    damaged = new Database(from, { readonly: true });
    for (const { read, write } of tables)
      saved += copy(damaged, read, to.prepare(write), to, () => clock.monotonicMs() > endMs);
  } catch {
    // not a database any more
  } finally {
    damaged?.close();
  }
  return saved;
}

/** Reads on until the damage: pages behind it are reached through pages that are broken. */
function copy(
  from: Database.Database,
  read: string,
  write: Database.Statement,
  to: Database.Database,
  late: () => boolean,
): number {
  let rows: unknown[][] = [];
  let saved = 0;
  const flush = (): void => {
    to.transaction(() => rows.forEach((row) => write.run(...row)))();
    saved += rows.length;
    rows = [];
  };
  try {
    for (const row of from.prepare<[], unknown[]>(read).raw().iterate()) {
      rows.push(row);
      if (rows.length < ROWS) continue;
      flush();
      if (late()) break;
    }
  } catch {
    // the damage: what came before it is saved
  }
  flush();
  return saved;
}
