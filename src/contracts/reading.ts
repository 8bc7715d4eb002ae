/** Sensor payloads (EDGE.md §3): bytes in, readings and counted reasons out. Nothing here throws. */
import { limits } from './limit.js';
import type { Mapping, TimeFormat } from './mapping.js';
import { accept, refuse } from './reason.js';
import type { Outcome, RejectionReason } from './reason.js';
import { parseJson } from './wire.js';

/** One sample. `value` undefined is a missing value, said so by the sensor. */
export interface Reading {
  /** Column of a multi-valued message (`{"values":{"temp":…}}`); undefined for the stream itself. */
  readonly channel?: string;
  /** Milliseconds UTC. */
  readonly timeMs: number;
  readonly timeSource: 'payload' | 'arrival';
  readonly value: number | undefined;
  /** The number came as a JSON string or as plain text. */
  readonly fromText?: true;
  /** As sent; the stream's unit applies when undefined. */
  readonly unit?: string;
  readonly seq?: number;
}

export interface Rejected {
  readonly reason: RejectionReason;
  readonly detail: string;
}

/** The good readings of a message, and what was refused of it: bad rows do not hide their neighbours. */
export interface ReadResult {
  readonly readings: readonly Reading[];
  readonly rejected: readonly Rejected[];
}

export interface ReadingOptions {
  /** Arrival, for messages without a time. Milliseconds UTC. */
  readonly nowMs: number;
  /** The broker kept this message (retain flag): an old value. */
  readonly retained?: boolean;
  readonly acceptRetained?: boolean;
  /** `future` is judged only with a synced clock. */
  readonly clockSynced?: boolean;
  /** How a message of another maker is to be read; ours when undefined. */
  readonly shape?: Shape | undefined;
  /** What the payload says, where that is known already. */
  readonly decoded?: unknown;
  /** Handed in, since it is large and seldom needed. */
  readonly decodeCbor?: Decode | undefined;
}

export type Decode = (payload: Uint8Array) => Outcome<unknown, RejectionReason>;

/** The part of a mapping that says how its messages are read. */
export type Shape = Partial<
  Pick<Mapping, 'format' | 'path' | 'tsPath' | 'tsFormat' | 'unit' | 'scale' | 'offset' | 'onOff'>
>;

const oldestMs = Date.UTC(2020, 0, 1);
const futureMs = 5 * 60_000;
const missingWords = new Set(['', 'nan', 'null', 'unknown', 'unavailable', 'none']);
/** A whole number in text: no spaces inside, no hexadecimal, no decimal comma. */
const numberText = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?$/i;
/** A calendar time with an offset; without one the instant is unknown. */
const isoText = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})$/;

/**
 * Reads one message: `{"ts","value"}`, `{"ts","values":{…}}`, `{"samples":[[ts,v]…]}`, or a bare number as text; in the
 * shape of a mapping, the value at its path.
 */
export function parseReading(payload: Uint8Array, options: ReadingOptions): ReadResult {
  const { format = null, path = null, tsPath = null, unit = null } = options.shape ?? {};
  if (options.retained && !options.acceptRetained) return reject('retained', 'the broker had kept this message');
  if (payload.byteLength > limits.messageBytes) return reject('too_large', `${payload.byteLength} bytes`);
  const message =
    options.decoded === undefined ? decodeMessage(payload, format, options.decodeCbor) : accept(options.decoded);
  if (!message.ok) return reject(message.reason, message.detail);
  if (path !== null) {
    const value = at(message.value, path);
    if (value === undefined) return reject('undecodable', `nothing at ${path}`);
    const time = tsPath === null ? undefined : (at(message.value, tsPath) ?? undefined);
    return collect([{ time, value, ...(unit !== null && { unit }) }], options);
  }
  if (isRecord(message.value)) return readObject(message.value, options);
  if (message.value === undefined || Array.isArray(message.value)) return reject('undecodable', 'a list');
  return collect([{ value: message.value, ...(unit !== null && { unit }) }], options);
}

/** The decoded message. Without a format it is JSON, or plain text: a number, or a word for "missing". */
function decodeMessage(
  payload: Uint8Array,
  format: Shape['format'],
  decodeCbor: Decode | undefined,
): Outcome<unknown, RejectionReason> {
  if (format === 'cbor') return decodeCbor?.(payload) ?? refuse('undecodable', 'CBOR, for which there is no decoder');
  const tooDeep = format !== 'text' && nestsTooDeep(payload);
  if (tooDeep) return refuse('too_large', `nested deeper than ${limits.jsonDepth}`);
  const json = format === 'text' ? undefined : parseJson(payload);
  if (json?.ok === true) return json;
  const text = decode(payload);
  if (format === 'json' || text === undefined || /^\s*[{[]/.test(text))
    return refuse('undecodable', json?.detail ?? 'not UTF-8');
  return accept(text);
}

/** What a JSON pointer (RFC 6901) points to; undefined for nothing. */
export function at(value: unknown, path: string): unknown {
  let here = value;
  for (const part of path.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, key)) return undefined;
    here = (here as Record<string, unknown>)[key];
  }
  return here;
}

interface Row {
  readonly channel?: string;
  readonly time?: unknown;
  readonly value: unknown;
  readonly unit?: string;
  readonly seq?: number;
}

function readObject(message: Record<string, unknown>, options: ReadingOptions): ReadResult {
  const { v, ts: time, value, values, samples, unit, seq } = message;
  if (v !== undefined && v !== 1) return reject('unsupported_version', `v is ${JSON.stringify(v)}`);
  const theirs = typeof unit === 'string' ? unit : options.shape?.unit;
  const common = {
    ...(typeof theirs === 'string' && { unit: theirs }),
    ...(Number.isSafeInteger(seq) && { seq: seq as number }),
  };
  if (Array.isArray(samples)) {
    if (samples.length > limits.batchRows) return reject('too_large', `${samples.length} rows`);
    const rows = samples.map((row: unknown): Row =>
      Array.isArray(row) ? { time: row[0] ?? null, value: row[1], ...common } : { time: null, value: undefined },
    );
    return collect(rows, options);
  }
  if (isRecord(values))
    return collect(
      Object.entries(values).map(([channel, each]): Row => ({ channel, time, value: each, ...common })),
      options,
    );
  if ('value' in message) return collect([{ time, value, ...common }], options);
  return reject('undecodable', 'none of value, values and samples');
}

/** Judges each row alone. */
function collect(rows: readonly Row[], { nowMs, clockSynced = true, shape = {} }: ReadingOptions): ReadResult {
  const { tsFormat = 'auto', scale = 1, offset = 0, onOff = false } = shape;
  const readings: Reading[] = [];
  const rejected: Rejected[] = [];
  for (const { time, value: raw, ...rest } of rows) {
    const timeMs = time === undefined ? nowMs : readTime(time, tsFormat);
    const read = readValue(onOff ? (switchWords.get(String(raw).toLowerCase()) ?? raw) : raw);
    const value = typeof read === 'number' ? read * scale + offset : read;
    if (timeMs === undefined) rejected.push({ reason: 'bad_time', detail: show(time) });
    else if (value === notANumber) rejected.push({ reason: 'not_a_number', detail: show(raw) });
    else if (time !== undefined && timeMs < oldestMs) rejected.push({ reason: 'too_old', detail: show(time) });
    else if (clockSynced && timeMs > nowMs + futureMs) rejected.push({ reason: 'future', detail: show(time) });
    else
      readings.push({
        timeMs,
        timeSource: time === undefined ? 'arrival' : 'payload',
        value,
        ...(typeof raw === 'string' && { fromText: true as const }),
        ...rest,
      });
  }
  return { readings, rejected };
}

const notANumber = Symbol('not a number');
const switchWords = new Map([
  ...['true', 'on', 'open'].map((word) => [word, 1] as const),
  ...['false', 'off', 'closed'].map((word) => [word, 0] as const),
]);

/** A finite number, undefined for a missing value, or the mark of neither. */
function readValue(raw: unknown): number | undefined | typeof notANumber {
  if (raw === null) return undefined;
  if (typeof raw === 'number') return Number.isFinite(raw) ? raw : notANumber; // 1e999 parses to Infinity
  if (typeof raw !== 'string') return notANumber;
  const text = raw.trim();
  if (missingWords.has(text.toLowerCase())) return undefined;
  if (!numberText.test(text)) return notANumber;
  const value = Number(text);
  return Number.isFinite(value) ? value : notANumber;
}

const unitMs = { s: 1e3, ms: 1, us: 1e-3, ns: 1e-6 } as const;

/** ISO 8601 with an offset, or a number in a unit; `auto` goes by its size (EDGE.md §4). */
function readTime(raw: unknown, format: TimeFormat): number | undefined {
  const number = typeof raw === 'string' && numberText.test(raw) && format in unitMs ? Number(raw) : raw;
  if (typeof number === 'number' && format !== 'iso') {
    if (!Number.isFinite(number) || number < 0 || number >= 1e20) return undefined;
    const unit =
      format === 'auto' ? (number < 1e11 ? 's' : number < 1e14 ? 'ms' : number < 1e17 ? 'us' : 'ns') : format;
    return Math.round(number * unitMs[unit]);
  }
  if (typeof raw !== 'string' || format in unitMs || !isoText.test(raw)) return undefined;
  const timeMs = Date.parse(raw);
  return Number.isNaN(timeMs) ? undefined : timeMs;
}

/** `from -> to`: [factor, offset] of value * factor + offset. A closed list: what is not here is `unit_mismatch`. */
const conversions = new Map<string, readonly [factor: number, offset: number]>([
  ['°F -> °C', [5 / 9, -160 / 9]],
  ['K -> °C', [1, -273.15]],
  ['°C -> °F', [9 / 5, 32]],
  ['°C -> K', [1, 273.15]],
  ['Pa -> hPa', [0.01, 0]],
  ['kPa -> hPa', [10, 0]],
  ['mbar -> hPa', [1, 0]],
  ['bar -> hPa', [1000, 0]],
  ['hPa -> kPa', [0.1, 0]],
  ['mbar -> kPa', [0.1, 0]],
  ['kPa -> bar', [0.01, 0]],
  ['mbar -> bar', [0.001, 0]],
  ['W -> kW', [0.001, 0]],
  ['kW -> W', [1000, 0]],
  ['Wh -> kWh', [0.001, 0]],
  ['kWh -> Wh', [1000, 0]],
]);

/** Converts to the stream's unit from a closed table; undefined when there is no such conversion. */
export function convertUnit(value: number, from: string, to: string): number | undefined {
  if (from === to) return value;
  const rule = conversions.get(`${from} -> ${to}`);
  return rule === undefined ? undefined : value * rule[0] + rule[1];
}

/** Counts open brackets outside strings, so that the parser never meets a tower of them. */
function nestsTooDeep(payload: Uint8Array): boolean {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < payload.length; i++) {
    const byte = payload[i];
    if (byte === 0x22 /* " */) inString = !inString;
    else if (byte === 0x5c /* \ */) i++;
    else if (!inString && (byte === 0x7b || byte === 0x5b) /* { [ */ && ++depth > limits.jsonDepth) return true;
    else if (!inString && (byte === 0x7d || byte === 0x5d) /* } ] */) depth--;
  }
  return false;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const reject = (reason: RejectionReason, detail: string): ReadResult => ({
  readings: [],
  rejected: [{ reason, detail }],
});

/** Short enough for a log line. */
const show = (value: unknown): string => (JSON.stringify(value) ?? String(value)).slice(0, 64);

function decode(payload: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(payload);
  } catch {
    return undefined; // not UTF-8: the caller counts it as undecodable
  }
}
