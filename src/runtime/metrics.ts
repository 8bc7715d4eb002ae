/** Counters and timings of the device: plain numbers that health messages and the metrics page read. */
import type { RejectionReason } from '../contracts/reason.js';

export interface Latency {
  /** Milliseconds over the newest measurements. */
  readonly p50: number;
  readonly p99: number;
  /** Measurements ever made. */
  readonly count: number;
}

export interface Stopwatch {
  add(ms: number): void;
  read(): Latency;
}

const KEPT = 4096;

/** Keeps the newest measurements and answers with their median and 99th percentile. */
export function createStopwatch(): Stopwatch {
  const kept = new Float64Array(KEPT);
  let count = 0;
  return {
    add: (ms) => void (kept[count++ % KEPT] = ms),
    read() {
      const ascending = kept.slice(0, Math.min(count, KEPT)).sort();
      const at = (share: number): number => ascending[Math.ceil(share * ascending.length) - 1] ?? 0;
      return { p50: at(0.5), p99: at(0.99), count };
    },
  };
}

export interface Metrics {
  readonly samples: { stored: number; duplicate: number; late: number; missing: number };
  readonly rejected: Partial<Record<RejectionReason, number>>;
  readonly forecasts: { issued: number; failed: number };
  /** By event of the alert. */
  readonly alerts: Record<string, number>;
  readonly updates: { failed: Record<string, number> };
  databaseErrors: number;
  reconnects: number;
  /** Inference alone. */
  readonly inference: Stopwatch;
  /** Message in to forecast in the outbox. */
  readonly ingest: Stopwatch;
  coldStartMs: number | null;
  loopLagMs: number;
}

export function createMetrics(): Metrics {
  return {
    samples: { stored: 0, duplicate: 0, late: 0, missing: 0 },
    rejected: {},
    forecasts: { issued: 0, failed: 0 },
    alerts: {},
    updates: { failed: {} },
    databaseErrors: 0,
    reconnects: 0,
    inference: createStopwatch(),
    ingest: createStopwatch(),
    coldStartMs: null,
    loopLagMs: 0,
  };
}

export function count<K extends string>(counters: Partial<Record<K, number>>, key: K): void {
  counters[key] = (counters[key] ?? 0) + 1;
}
