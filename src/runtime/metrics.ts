/** Counters and timings of the device: plain numbers that health messages and the metrics page read. */
import type { RejectionReason } from '../contracts/reason.js';
import type { MessageClass } from '../contracts/topic.js';
import type { LinkFault, MqttLink } from '../transport/mqtt.js';

export interface Latency {
  /** Milliseconds over the newest measurements. */
  readonly p50: number;
  readonly p99: number;
  /** Measurements ever made. */
  readonly count: number;
}

/** Upper limits of the histogram's buckets, in seconds; the last bucket has none. */
export const bucketSeconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5] as const;

export interface Histogram {
  add(ms: number): void;
  /** Measurements in each bucket, not cumulated. */
  readonly counts: readonly number[];
  readonly sumSeconds: number;
}

export function createHistogram(): Histogram {
  const counts = [...bucketSeconds, Infinity].map(() => 0);
  let sumSeconds = 0;
  return {
    add(ms) {
      const at = bucketSeconds.findIndex((limit) => ms <= limit * 1000);
      counts[at < 0 ? bucketSeconds.length : at]!++;
      sumSeconds += ms / 1000;
    },
    counts,
    get sumSeconds() {
      return sumSeconds;
    },
  };
}

export interface Stopwatch extends Histogram {
  read(): Latency;
}

const KEPT = 4096;

/** A histogram that keeps the newest measurements too, and answers with their median and 99th percentile. */
export function createStopwatch(): Stopwatch {
  const kept = new Float64Array(KEPT);
  const histogram = createHistogram();
  let count = 0;
  return {
    add(ms) {
      kept[count++ % KEPT] = ms;
      histogram.add(ms);
    },
    counts: histogram.counts,
    get sumSeconds() {
      return histogram.sumSeconds;
    },
    read() {
      const ascending = kept.slice(0, Math.min(count, KEPT)).sort();
      const at = (share: number): number => ascending[Math.ceil(share * ascending.length) - 1] ?? 0;
      return { p50: at(0.5), p99: at(0.99), count };
    },
  };
}

/** Keys of several words have them divided by a space: they are the labels of a metric. */
export type Counts = Record<string, number>;

export interface Metrics {
  readonly samples: { stored: number; duplicate: number; late: number; missing: number };
  readonly rejected: Partial<Record<RejectionReason, number>>;
  readonly forecasts: { issued: number; failed: number };
  /** By kind, severity and event of the alert. */
  readonly alerts: Counts;
  readonly updates: { failed: Record<string, number> };
  /** Taken from the broker (`in`), and taken by it (`out`), by class. */
  readonly messages: Partial<Record<`${'in' | 'out'} ${MessageClass}`, number>>;
  /** Attempts to connect again, by what ended the one before. */
  readonly reconnects: Partial<Record<LinkFault, number>>;
  /** Transactions that failed, by SQLite's word for it. */
  readonly databaseErrors: Counts;
  /** Answers of the pages, by HTTP status; and why they could not be offered. */
  readonly pages: { readonly answered: Counts; readonly failed: Counts };
  /** Inference alone, of what serves as a model. */
  readonly inference: (model: object) => Histogram;
  /** Message in to forecast in the outbox. */
  readonly ingest: Stopwatch;
  coldStartMs: number | null;
  loopLagMs: number;
}

export function createMetrics(): Metrics {
  const inference = new WeakMap<object, Histogram>(); // a model that is gone takes its times with it
  return {
    samples: { stored: 0, duplicate: 0, late: 0, missing: 0 },
    rejected: {},
    forecasts: { issued: 0, failed: 0 },
    alerts: {},
    updates: { failed: {} },
    messages: {},
    reconnects: {},
    databaseErrors: {},
    pages: { answered: {}, failed: {} },
    inference(model) {
      const times = inference.get(model) ?? createHistogram();
      inference.set(model, times);
      return times;
    },
    ingest: createStopwatch(),
    coldStartMs: null,
    loopLagMs: 0,
  };
}

export function count<K extends string>(counters: Partial<Record<K, number>>, key: K): void {
  counters[key] = (counters[key] ?? 0) + 1;
}

/** `SQLITE_IOERR_WRITE` -> `ioerr`; `other` for what is no error of SQLite. */
export const sqliteWord = (error: unknown): string =>
  /^SQLITE_([A-Z]+)/.exec((error as { code?: string } | undefined)?.code ?? '')?.[1]?.toLowerCase() ?? 'other';

/** The same link; `taken` hears the topic of each message that the broker has taken. */
export function hearPublished(link: MqttLink, taken: (topic: string) => void): MqttLink {
  return {
    get online() {
      return link.online;
    },
    async publish(topic, ...rest) {
      const accepted = await link.publish(topic, ...rest);
      if (accepted) taken(topic);
      return accepted;
    },
    subscribe: (subscriptions) => link.subscribe(subscriptions),
    close: () => link.close(),
  };
}
