/** Messages to readings of known streams: what is taken, what is a duplicate, what is refused and why (EDGE.md §3, §17). */
import type { DeviceConfig } from '../contracts/config.js';
import { convertUnit, parseReading } from '../contracts/reading.js';
import type { Decode, Reading, Shape } from '../contracts/reading.js';
import type { RejectionReason } from '../contracts/reason.js';
import { isSegment } from '../contracts/topic.js';
import type { MqttMessage } from '../transport/mqtt.js';
import type { Clock } from './clock.js';
import { count } from './metrics.js';
import { createRemembered } from './remembered.js';
import type { Remembered } from './remembered.js';
import type { Metrics } from './metrics.js';
import type { PastReading } from './readings.js';
import { createRules } from './reporting.js';
import type { StreamRules } from './reporting.js';

/** Enough to know a redelivered message by. */
export const REMEMBERED = 2048;
/** A clock that is behind by more was set back, and is believed. */
const WAIT_MS = 300_000;

export interface IngestStream {
  readonly name: string;
  readonly settings: StreamRules;
  readonly seen: Remembered;
}

export interface NewReading {
  readonly stream: IngestStream;
  readonly timeMs: number;
  readonly value: number | undefined;
  /** `held`: it came before the clock could be believed, and `timeMs` is monotonic until it is stamped. */
  readonly timeSource: Reading['timeSource'] | 'held';
}

/** A message, and what it says where another codec has read it. */
export interface Said extends Pick<MqttMessage, 'payload' | 'retain' | 'contentType'> {
  readonly topic?: string;
  readonly decoded?: unknown;
}

export interface Ingest {
  /** The good and new readings of a message, in our shapes or in that of a mapping. Never throws. */
  read(streamName: string, message: Said, shape?: Shape): NewReading[];
  /** A held reading, when its time is known. */
  stamp(streamName: string, timeMs: number, value: number | undefined): NewReading;
  /** A stream that may send: configured, bound to a model, or created on the fly; otherwise why not. */
  stream(name: string): IngestStream | RejectionReason;
  /** A model serves this stream: it is known from now on. */
  admit(name: string): IngestStream;
}

/** The newest stored readings of a stream, oldest first: what a broker sends again after a kill is known by them. */
export type Recall = (streamName: string, count: number) => readonly PastReading[];

const cborShape: Shape = { format: 'cbor' };
export interface IngestHooks {
  readonly recall: Recall;
  /** Hears of the readings that were refused for leaving their stream's range. */
  readonly outOfRange?: (stream: IngestStream, timeMs: number, value: number) => void;
  /** Hears of every refusal, with the message. */
  readonly refused?: (reason: RejectionReason, topic: string, payload: Uint8Array) => void;
  readonly decodeCbor?: Decode;
}

export function createIngest(
  config: DeviceConfig,
  clock: Clock,
  metrics: Metrics,
  { recall, outOfRange, refused, decodeCbor }: IngestHooks,
): Ingest {
  const streams = new Map<string, IngestStream>();
  const lastArrival = new WeakMap<IngestStream, number>();
  const configured = new Map(Object.entries(config.streams)); // names come from outside, and `constructor` is one too
  const rulesOf = createRules(config);

  function admit(name: string): IngestStream {
    const known = streams.get(name);
    if (known !== undefined) return known;
    const seen = createRemembered(REMEMBERED);
    for (const { timeMs, value } of recall(name, REMEMBERED)) seen.put(timeMs, value ?? undefined);
    const stream = { name, settings: rulesOf(name), seen };
    streams.set(name, stream);
    return stream;
  }

  function find(name: string): IngestStream | RejectionReason {
    const known = streams.get(name);
    if (known !== undefined) return known;
    if (configured.has(name)) return admit(name);
    if (!config.autoStreams || !isSegment(name)) return 'unknown_stream';
    return streams.size < config.maxStreams ? admit(name) : 'stream_limit';
  }

  /** Times of arrival are times of different readings: they rise, whatever the clock does. */
  function arrival(stream: IngestStream, timeMs: number): number {
    const label = Math.max(Math.round(timeMs), (lastArrival.get(stream) ?? -Infinity) + 1);
    lastArrival.set(stream, label > timeMs + WAIT_MS ? Math.round(timeMs) : label);
    return lastArrival.get(stream)!;
  }

  /** A new reading in the stream's unit, a reason, or undefined for a duplicate. */
  function check(stream: IngestStream, reading: Reading): NewReading | RejectionReason | undefined {
    const { unit, min, max } = stream.settings;
    const { timeSource } = reading;
    const value =
      reading.value === undefined || unit === null || reading.unit === undefined
        ? reading.value
        : convertUnit(reading.value, reading.unit, unit);
    if (value === undefined && reading.value !== undefined) return 'unit_mismatch';
    if (value !== undefined && ((min !== null && value < min) || (max !== null && value > max))) return 'out_of_range';
    if (timeSource === 'arrival' && !clock.synced())
      return { stream, timeMs: clock.monotonicMs(), value, timeSource: 'held' };
    const timeMs = timeSource === 'arrival' ? arrival(stream, reading.timeMs) : reading.timeMs;
    if (clock.synced() && timeMs < clock.now() - config.retentionDays * 86_400_000) return 'too_old';
    if (Object.is(stream.seen.find(timeMs), value)) return undefined;
    return { stream, timeMs, value, timeSource };
  }

  return {
    stream: find,
    admit,
    stamp(streamName, timeMs, value) {
      const stream = admit(streamName);
      const reading = { stream, timeMs: arrival(stream, timeMs), value, timeSource: 'arrival' as const };
      stream.seen.put(reading.timeMs, value);
      return reading;
    },
    read(streamName, message, shape) {
      const { topic = streamName, payload, retain, contentType, decoded } = message;
      const refuse = (reason: RejectionReason): void => {
        count(metrics.rejected, reason);
        refused?.(reason, topic, payload);
      };
      const { readings, rejected } = parseReading(payload, {
        nowMs: clock.now(),
        retained: retain,
        acceptRetained: configured.get(streamName)?.acceptRetained ?? false,
        clockSynced: clock.synced(),
        shape: shape ?? (contentType === 'application/cbor' ? cborShape : undefined),
        decoded,
        decodeCbor,
      });
      for (const { reason } of rejected) refuse(reason);

      const taken: NewReading[] = [];
      for (const reading of readings) {
        const stream = find(reading.channel === undefined ? streamName : `${streamName}_${reading.channel}`);
        const checked = typeof stream === 'string' ? stream : check(stream, reading);
        if (checked === undefined) metrics.samples.duplicate++;
        else if (typeof checked === 'string') {
          refuse(checked);
          if (checked === 'out_of_range') outOfRange?.(stream as IngestStream, reading.timeMs, reading.value!);
        } else {
          if (checked.timeSource !== 'held') checked.stream.seen.put(checked.timeMs, checked.value);
          taken.push(checked);
        }
      }
      return taken;
    },
  };
}
