/** Store and forward (EDGE.md §10): what the device has to say waits in SQLite until the broker has taken it. */
import { setImmediate } from 'node:timers/promises';
import type { MqttLink } from '../transport/mqtt.js';
import type { Clock } from './clock.js';
import { isDamage } from './store.js';
import type { Store } from './store.js';

/** Highest first: what is sent first and dropped last, and how many rows each class may hold. */
export const outboxClasses = ['alert', 'model', 'forecast', 'health'] as const;
export type OutboxClass = (typeof outboxClasses)[number];

export interface OutboxCaps {
  readonly rows: Readonly<Record<OutboxClass, number>>;
  /** Payload bytes of all classes together. */
  readonly bytes: number;
}

const defaultCaps: OutboxCaps = {
  rows: { alert: 10_000, model: 1000, forecast: 20_000, health: 1000 },
  bytes: 64 * 1024 * 1024,
};

export interface OutboxMessage {
  readonly topic: string;
  readonly payload: string;
  /** 1 when not given. */
  readonly qos?: 0 | 1;
  readonly retain?: boolean;
  /** Not worth sending after that. */
  readonly expiresInMs?: number;
}

export type OutboxLink = Pick<MqttLink, 'publish' | 'online'>;

export interface Outbox {
  /** Alerts of the transaction that comes: should it be lost, they go out from memory. */
  hold(messages: readonly OutboxMessage[]): void;
  /** Adds a row; call it inside `store.write`, with what caused it. */
  put(kind: OutboxClass, message: OutboxMessage): void;
  /** Sends rows, highest class and oldest first, until the signal aborts. A row is deleted only after its PUBACK. */
  drain(link: OutboxLink, signal: AbortSignal): Promise<void>;
  /** The link is up (again): try. */
  resume(): void;
  depth(): { messages: number; bytes: number };
  /** Rows of each class, and when the oldest of all was put in (null when none waits). */
  waiting(): { rows: Readonly<Record<OutboxClass, number>>; oldestMs: number | null };
  /** Alerts that could not be stored and go out from memory. */
  readonly stranded: number;
  /** Rows dropped over a cap, and rows that outlived their use. */
  readonly dropped: Readonly<Record<OutboxClass | 'expired', number>>;
}

const IN_FLIGHT = 32;
/** Alerts that are held in memory while the disk takes none. */
const STRANDED = 1000;

interface Row {
  readonly id: number;
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1;
  readonly retain: 0 | 1;
  readonly expires: number | null;
  readonly created: number;
}

export function createOutbox(store: Store, clock: Clock, caps: OutboxCaps = defaultCaps): Outbox {
  const { sql } = store;
  const statement = {
    put: sql.prepare(
      'INSERT INTO outbox(id, class, topic, payload, qos, retain, expires, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
    ),
    // In the order of the key, so that a long backlog is neither sorted nor read twice.
    next: sql.prepare<[number, number, number], Row>(
      'SELECT id, topic, payload, qos, retain, expires, created FROM outbox WHERE class = ? AND id > ? ORDER BY id LIMIT ?',
    ),
    remove: sql.prepare<[number], { class: number; bytes: number }>(
      'DELETE FROM outbox WHERE id = ? RETURNING class, length(payload) AS bytes',
    ),
    oldest: sql.prepare<[number], { id: number }>('SELECT id FROM outbox WHERE class = ? ORDER BY id LIMIT 1'),
    // Of an alert, the opening and the end must arrive; what happened between is the first to go.
    oldestUpdate: sql.prepare<[number], { id: number }>(
      `SELECT id FROM outbox WHERE class = ? AND instr(payload, '"event":"updated"') ORDER BY id LIMIT 1`,
    ),
    first: sql.prepare<[], { created: number }>('SELECT created FROM outbox ORDER BY id LIMIT 1'),
    totals: sql.prepare<[], { class: number; rows: number; bytes: number; newest: number }>(
      'SELECT class, count(*) AS rows, total(length(payload)) AS bytes, max(id) AS newest FROM outbox GROUP BY class',
    ),
  };
  const rows = outboxClasses.map(() => 0);
  /** By class: the newest row, and the newest that was handed to the link. */
  const newest = outboxClasses.map(() => 0);
  const sent = outboxClasses.map(() => 0);
  let bytes = 0;
  let held: readonly OutboxMessage[] = [];
  let stranded: OutboxMessage[] = [];

  function recount(): void {
    rows.fill(0);
    newest.fill(0);
    bytes = 0;
    for (const total of statement.totals.all()) {
      rows[total.class] = total.rows;
      newest[total.class] = total.newest;
      bytes += total.bytes;
    }
  }
  recount();
  store.onEnd((end) => {
    const alerts = held;
    if (end !== 'undone') held = [];
    if (end === 'committed') return;
    recount();
    if (end === 'undone' || alerts.length === 0) return;
    stranded = [...stranded, ...alerts].slice(-STRANDED);
    ring();
  });
  let lastId = Math.max(...newest); // SQLite would give the number of a deleted row again, while its PUBACK is on the way
  const dropped = { alert: 0, model: 0, forecast: 0, health: 0, expired: 0 };
  const inFlight = new Set<number>();
  let taken: number[] = [];
  let paused = true;
  let draining = false;
  let wake = (): void => undefined;
  let changed = new Promise<void>((resolve) => (wake = resolve));

  function ring(): void {
    wake();
    changed = new Promise<void>((resolve) => (wake = resolve));
  }

  function remove(id: number): void {
    const gone = statement.remove.get(id);
    if (gone === undefined) return; // dropped over a cap while it was in flight
    rows[gone.class]!--;
    bytes -= gone.bytes;
  }

  function drop(rank: number): boolean {
    const victim = (rank === 0 ? statement.oldestUpdate.get(rank) : undefined) ?? statement.oldest.get(rank);
    if (victim === undefined) return false;
    remove(victim.id);
    dropped[outboxClasses[rank]!]++;
    return true;
  }

  function send(link: OutboxLink, rank: number, row: Row): void {
    inFlight.add(row.id);
    const expiry =
      row.expires === null ? {} : { expirySeconds: Math.max(1, Math.ceil((row.expires - clock.now()) / 1000)) };
    const options = { qos: row.qos, retain: row.retain === 1, ...expiry };
    void link.publish(row.topic, row.payload, options).then((accepted) => {
      inFlight.delete(row.id);
      if (accepted) taken.push(row.id);
      else {
        paused = !link.online; // PUBACKs come in order, so what was not taken is sent again in order
        sent[rank] = Math.min(sent[rank]!, row.id - 1);
      }
      if (draining) ring();
      else removeTaken();
    });
  }

  function removeTaken(): void {
    if (taken.length === 0) return;
    const gone = taken;
    taken = [];
    try {
      store.write(() => gone.forEach(remove));
    } catch (error) {
      if (isDamage(error)) throw error;
      taken = [...gone, ...taken]; // the disk is full: later
    }
  }

  function sendStranded(link: OutboxLink): void {
    const messages = stranded;
    stranded = [];
    for (const message of messages)
      void link
        .publish(message.topic, message.payload, { qos: message.qos ?? 1, retain: message.retain ?? false })
        .then((accepted) => {
          if (!accepted) stranded.push(message);
        });
  }

  /** Fills the link up to its limit, highest class first. */
  function sendNext(link: OutboxLink): void {
    for (const rank of outboxClasses.keys()) {
      const room = IN_FLIGHT - inFlight.size;
      if (room <= 0 || sent[rank]! >= newest[rank]!) continue;
      const found = statement.next.all(rank, sent[rank]!, room);
      sent[rank] = found.length < room ? newest[rank]! : found.at(-1)!.id;
      for (const row of found) {
        if (inFlight.has(row.id)) continue;
        if (row.expires === null || row.expires > clock.now()) send(link, rank, row);
        else {
          taken.push(row.id);
          dropped.expired++;
          ring();
        }
      }
    }
  }

  return {
    hold: (messages) => void (held = messages),
    put(kind, { topic, payload, qos = 1, retain = false, expiresInMs }) {
      const rank = outboxClasses.indexOf(kind);
      const body = Buffer.from(payload);
      const now = clock.now();
      const id = ++lastId;
      if (sent[rank]! >= newest[rank]!) sent[rank] = id - 1; // no need to search among the rows before
      newest[rank] = id;
      statement.put.run(
        id,
        rank,
        topic,
        body,
        qos,
        retain ? 1 : 0,
        expiresInMs === undefined ? null : now + expiresInMs,
        now,
      );
      rows[rank]!++;
      bytes += body.length;
      while (rows[rank]! > caps.rows[kind] && drop(rank));
      while (bytes > caps.bytes && [3, 2, 1, 0].some(drop));
      ring();
    },
    async drain(link, signal) {
      draining = true;
      signal.addEventListener('abort', ring, { once: true });
      while (!signal.aborted) {
        const next = changed;
        removeTaken();
        if (!paused && stranded.length > 0) sendStranded(link);
        if (!paused && inFlight.size <= IN_FLIGHT / 2) sendNext(link); // refilled by halves: one query per 16 rows
        await next;
        await setImmediate(); // one transaction for all PUBACKs of a turn of the event loop
      }
      draining = false;
      removeTaken();
    },
    resume() {
      paused = false;
      ring();
    },
    get stranded() {
      return stranded.length;
    },
    depth: () => ({ messages: rows.reduce((sum, count) => sum + count, 0), bytes }),
    waiting: () => ({
      rows: Object.fromEntries(outboxClasses.map((kind, rank) => [kind, rows[rank]!])) as Record<OutboxClass, number>,
      oldestMs: statement.first.get()?.created ?? null,
    }),
    dropped,
  };
}
