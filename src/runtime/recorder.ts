/**
 * Everything a device writes goes through here: one transaction for what belongs together, alerts with their messages. A
 * full disk costs the record, never the service; a damaged file ends the run, and is begun anew.
 */
import type { DeviceConfig } from '../contracts/config.js';
import { alertPayload } from '../contracts/payload.js';
import type { AlertPayload } from '../contracts/payload.js';
import { createTopics } from '../contracts/topic.js';
import { wireText } from '../contracts/wire.js';
import type { AlertCap } from './alert-cap.js';
import type { Conditions } from './conditions.js';
import { count, sqliteWord } from './metrics.js';
import type { Metrics } from './metrics.js';
import type { Outbox, OutboxMessage } from './outbox.js';
import type { Ports } from './ports.js';
import { damaged, isDamage, isFull } from './store.js';

export interface StreamAlert {
  readonly stream: string;
  readonly alert: AlertPayload;
  readonly kind: string;
}

export interface RecorderOptions extends Pick<Ports, 'store' | 'clock' | 'machine' | 'tell'> {
  readonly config: DeviceConfig;
  readonly metrics: Metrics;
  readonly outbox: Outbox;
  readonly conditions: Conditions;
  readonly cap: AlertCap;
  /** The file is damaged: this run is over. */
  readonly onDamage: (error: unknown) => void;
}

export interface Recorder {
  /** One transaction, on disk for good when there are alerts in it; these leave from memory when it fails. */
  readonly commit: (work: () => void, alerts?: readonly StreamAlert[]) => void;
  /** True when it was stored. Throws only for a damaged file. */
  readonly attempt: (storing: () => void) => boolean;
  /** Tells of an error of the database that is nobody's to handle. */
  readonly complain: (error: unknown) => void;
  /** What conditions have found since it was last asked. */
  readonly raiseFacts: () => void;
  /** One message for the alerts that were too many. */
  tellFolded(): void;
  /** Readings survive the loss of power from now on; and a disk that was full is tried again. Call it every few seconds. */
  readonly sync: () => void;
  /** Deletes what is old, and has the whole file looked through once a week. Call it every hour. */
  readonly tidy: () => void;
  noteFull(): void;
  readonly diskFull: boolean;
  /** Monotonic, of the newest success. */
  readonly storedMs: number;
}

const DISK_FULL = 'nothing can be stored: the disk is full';
const CHECK_MS = 7 * 86_400_000;
const DAY_MS = 86_400_000;

export function createRecorder(options: RecorderOptions): Recorder {
  const { config, store, clock, machine, metrics, outbox, conditions, cap, tell, onDamage } = options;
  const topics = createTopics(config);
  const putAlert = store.sql.prepare(
    'INSERT INTO alert(id, key, state, seq, body, updated) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET state = excluded.state, seq = excluded.seq, body = excluded.body, updated = excluded.updated',
  );
  let diskFull = false;
  let storedMs = clock.monotonicMs();

  function alertMessages({ stream, alert, kind }: StreamAlert): OutboxMessage[] {
    const payload = wireText(alertPayload, alert);
    const silence = JSON.parse(store.get(`silence/${alert.key}`)?.toString() ?? '{"untilMs":0}') as { untilMs: number };
    return [
      { topic: topics.alert(stream, kind), payload, retain: true },
      ...(clock.now() < silence.untilMs || !cap.tells(alert)
        ? []
        : [{ topic: topics.event(stream), payload, expiresInMs: DAY_MS }]),
    ];
  }

  function storeAlert({ alert }: StreamAlert): void {
    putAlert.run(alert.id, alert.key, alert.state, alert.seq, wireText(alertPayload, alert), clock.now());
  }

  function commit(work: () => void, alerts: readonly StreamAlert[] = []): void {
    const messages = alerts.flatMap(alertMessages);
    outbox.hold(messages);
    const transaction = (): void => {
      alerts.forEach(storeAlert);
      for (const message of messages) outbox.put('alert', message);
      if (alerts.length > 0) cap.remember();
      work();
    };
    if (attempt(() => store.write(transaction, alerts.length > 0 ? 'full' : 'normal')) && store.start !== 'full')
      noteDisk(undefined);
    for (const { stream, alert, kind } of alerts) {
      const { event: change, severity, started, ended, reason } = alert;
      count(metrics.alerts, `${kind} ${severity} ${change}`);
      tell('alert', { stream, change, severity, started, ended, reason });
    }
  }

  function attempt(storing: () => void): boolean {
    try {
      storing();
      storedMs = clock.monotonicMs();
      return true;
    } catch (error) {
      count(metrics.databaseErrors, sqliteWord(error));
      if (isDamage(error)) {
        onDamage(error);
        throw error;
      }
      tell('database-error', { detail: (error as Error).message });
      if (isFull(error)) noteDisk(DISK_FULL);
      return false;
    }
  }

  function noteDisk(trouble: string | undefined): void {
    if ((trouble === undefined) !== diskFull) return;
    diskFull = !diskFull;
    conditions.disk(clock.now(), machine.diskFreeBytes() ?? 0, trouble);
    raiseFacts();
  }

  function raiseFacts(): void {
    const facts = conditions.take();
    if (facts.length > 0) commit(() => facts.forEach(conditions.remember), facts);
  }

  function checkWeekly(): void {
    if (!clock.synced()) return;
    const checkedMs = Number(store.get('checked')?.toString() ?? 0);
    if (clock.now() - checkedMs < CHECK_MS) return;
    commit(() => store.put('checked', String(clock.now())));
    if (checkedMs > 0) void store.findDamage().then((damage) => damage !== undefined && onDamage(damaged(damage)));
  }

  return {
    commit,
    attempt,
    complain(error) {
      if (isDamage(error)) onDamage(error);
      tell('database-error', { detail: (error as Error).message });
    },
    raiseFacts,
    tellFolded() {
      const alert = cap.summary();
      if (alert === undefined) return;
      const payload = wireText(alertPayload, alert);
      commit(() => {
        outbox.put('alert', { topic: topics.event('device'), payload, expiresInMs: DAY_MS });
        cap.remember();
      });
    },
    sync() {
      attempt(store.sync);
      if (diskFull && attempt(store.seal) && store.start !== 'full') noteDisk(undefined);
    },
    tidy() {
      commit(() => void store.prune(clock.now() - config.retentionDays * DAY_MS));
      checkWeekly();
    },
    noteFull: () => noteDisk(DISK_FULL),
    get diskFull() {
      return diskFull;
    },
    get storedMs() {
      return storedMs;
    },
  };
}
