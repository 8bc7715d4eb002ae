/** What a device says over MQTT (EDGE.md §1, §5, §6 and §12). Encode with `wireText`, read with `parseWire`. */
import * as z from 'zod/mini';
import { limits } from './limit.js';
import { updateReasons } from './reason.js';
import { wireObject } from './wire.js';

const v = z.literal(1);
const ms = z.int();
const finite = z.number();
const gap = z.nullable(finite);
const counters = z.record(z.string(), z.int());

export const statusPayload = wireObject({
  v,
  state: z.enum(['online', 'offline']),
  since: z.optional(ms),
  /** A new one at each start; an `offline` of another boot is old news. */
  boot: z.string(),
  clock: z.optional(z.enum(['synced', 'unsynced'])),
});

export const infoPayload = wireObject({
  v,
  runtime: z.string(),
  node: z.string(),
  arch: z.string(),
  cpu: z.string(),
  provider: z.string(),
  streams: z.array(z.string()),
  models: z.array(
    wireObject({
      line: z.string(),
      release: z.int(),
      slot: z.string(),
      provider: z.optional(z.string()),
      precision: z.string(),
    }),
  ),
  limits: counters,
  capabilities: z.array(z.string()),
});
export type InfoPayload = z.output<typeof infoPayload>;

export const healthPayload = wireObject({
  v,
  ts: ms,
  rssMb: finite,
  loopLagMs: finite,
  outbox: wireObject({ messages: z.int(), bytes: z.int() }),
  /** Dropped outbox messages by class. */
  dropped: counters,
  /** Rejected readings by reason. */
  rejected: counters,
  samples: z.int(),
  /** Stored too, but after their bucket had closed; and readings that came again, which are not stored. */
  late: z.optional(z.int()),
  duplicates: z.optional(z.int()),
  forecasts: z.int(),
  diskFreeMb: gap,
  temperatureC: gap,
  /** Milliseconds from start of the process to its first forecast. */
  coldStartMs: z.optional(gap),
  /** Inference, and message in to forecast in the outbox. */
  latencyMs: z.optional(wireObject({ p50: finite, p99: finite, count: z.int() })),
});
export type HealthPayload = z.output<typeof healthPayload>;

const series = z.array(gap).check(z.maxLength(limits.forecastPoints));

export const forecastPayload = wireObject({
  v,
  id: z.string(),
  stream: z.string(),
  issued: ms,
  /** Label of the first forecast bucket. */
  start: ms,
  stepMs: z.int(),
  unit: z.nullable(z.string()),
  p50: series,
  lo: series,
  hi: series,
  coverage: gap,
  calibrated: z.boolean(),
  model: z.string(),
  slot: z.string(),
  arm: z.nullable(z.string()),
  quality: wireObject({
    imputed: finite,
    /** Share of the window without a report, of a stream that reports when its value changes. */
    held: z.optional(finite),
    late: z.int(),
    reason: z.optional(z.string()),
  }),
  /** Inference time. */
  ms: finite,
  /** The last step of the horizon, small enough for Home Assistant's attributes. */
  ha: z.optional(wireObject({ v: gap, lo: gap, hi: gap, at: z.string() })),
});
export type ForecastPayload = z.output<typeof forecastPayload>;

export const scorePayload = wireObject({ v, ts: ms, score: finite, p: finite, model: z.string() });

export const alertStates = ['warming', 'normal', 'pending', 'firing'] as const;
export const alertEvents = ['opened', 'updated', 'resolved', 'superseded', 'stale', 'suppressed'] as const;
export const severities = ['info', 'warning', 'critical'] as const;
export type AlertState = (typeof alertStates)[number];
export type AlertEvent = (typeof alertEvents)[number];
export type Severity = (typeof severities)[number];

/** One body for `alert/…` (the current state, retained) and `event/…` (each transition). */
export const alertPayload = wireObject({
  v,
  id: z.string(),
  /** `device/stream/kind`. */
  key: z.string(),
  detector: z.string(),
  state: z.enum(alertStates),
  event: z.enum(alertEvents),
  seq: z.int(),
  severity: z.enum(severities),
  started: ms,
  ended: z.nullable(ms),
  value: gap,
  expected: gap,
  lo: gap,
  hi: gap,
  score: gap,
  p: gap,
  threshold: gap,
  channel: z.string(),
  reason: z.string(),
  model: z.string(),
  /** It opened often lately, and asks for more than usual before it opens again. */
  flapping: z.optional(z.boolean()),
  /** Alerts that this one stands for, which were not told one by one. */
  suppressed: z.int(),
});
export type AlertPayload = z.output<typeof alertPayload>;

export const updateStates = [
  'idle',
  'offered',
  'downloading',
  'verifying',
  'staged',
  'testing',
  'shadow',
  'activating',
  'probation',
  'committed',
  'failed',
  'rolling_back',
  'rolled_back',
] as const;
export type UpdateState = (typeof updateStates)[number];

export const reportedPayload = wireObject({
  v,
  /** Sequence number of the newest desired state that was accepted. */
  seqSeen: z.int(),
  models: z.array(
    wireObject({
      line: z.string(),
      state: z.enum(updateStates),
      release: z.nullable(z.int()),
      slot: z.nullable(z.string()),
      previous: z.nullable(z.int()),
      arm: z.nullable(z.string()),
      since: ms,
      code: z.nullable(z.enum(updateReasons)),
      detail: z.nullable(z.string().check(z.maxLength(500))),
      metrics: z.record(z.string(), finite),
      /** Of a model that the device has tuned: the manifest of the release it was made from. */
      tunedFrom: z.optional(z.string()),
      attack: z.optional(z.boolean()),
    }),
  ),
  /** Why the newest desired state itself was refused, if it was. */
  refused: z.optional(z.nullable(wireObject({ code: z.enum(updateReasons), detail: z.string() }))),
});
export type ReportedPayload = z.output<typeof reportedPayload>;
