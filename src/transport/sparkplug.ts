/**
 * Sparkplug B on the wire (Eclipse Sparkplug 3.0, §4 topics and §6.4 payloads): protobuf to plain objects and back. Fields that no
 * reading and no alert needs (properties, data sets, templates, files) are passed over. Decoding never throws.
 */
import { accept, refuse } from '../contracts/reason.js';
import type { Outcome, RejectionReason } from '../contracts/reason.js';

/** Of 64 bits without a sign: a bigint where a number would not be exact. */
export type Integer = number | bigint;

/** One value. Of the fields ending in `Value` one is set, or none when `isNull`. */
export interface SparkplugMetric {
  readonly name?: string;
  /** Stands for the name in data, after the BIRTH that gave both. */
  readonly alias?: Integer;
  /** Milliseconds UTC. */
  readonly timestamp?: Integer;
  readonly datatype?: Integer;
  /** It was kept back while there was no connection. */
  readonly isHistorical?: boolean;
  readonly isNull?: boolean;
  /** Up to 32 bits; a negative one as its two's complement. */
  readonly intValue?: Integer;
  readonly longValue?: Integer;
  readonly floatValue?: number;
  readonly doubleValue?: number;
  readonly booleanValue?: boolean;
  readonly stringValue?: string;
}

export interface SparkplugPayload {
  /** Milliseconds UTC. */
  readonly timestamp?: Integer;
  readonly metrics: readonly SparkplugMetric[];
  /** 0 to 255, one more with each message of a node. */
  readonly seq?: Integer;
}

/** Numbers of the types that we write. */
export const datatype = { int64: 4, double: 10, boolean: 11, string: 12 } as const;

/** The metric that asks a node for its BIRTH. */
export const REBIRTH = 'Node Control/Rebirth';
/** The metric that tells which connection of a node a death is of. */
export const BD_SEQ = 'bdSeq';
export const NAMESPACE = 'spBv1.0';

const messageTypes = ['NBIRTH', 'NDATA', 'NDEATH', 'NCMD', 'DBIRTH', 'DDATA', 'DDEATH', 'DCMD'] as const;
export type MessageType = (typeof messageTypes)[number];

export interface SparkplugTopic {
  readonly group: string;
  readonly type: MessageType;
  readonly node: string;
  /** Undefined for the node itself. */
  readonly device: string | undefined;
}

/** Takes a topic apart; undefined when it is none of a node or a device. */
export function parseSparkplugTopic(topic: string): SparkplugTopic | undefined {
  const [namespace, group = '', named = '', node = '', device, ...rest] = topic.split('/');
  const type = messageTypes.find((one) => one === named);
  if (namespace !== NAMESPACE || type === undefined || group === '' || node === '' || rest.length > 0) return undefined;
  return type.startsWith('D') === (device !== undefined) && device !== '' ? { group, type, node, device } : undefined;
}

export const sparkplugTopic = (group: string, type: MessageType, node: string): string =>
  `${NAMESPACE}/${group}/${type}/${node}`;

type Kind = 'integer' | 'boolean' | 'float' | 'double' | 'text' | 'metric';
type Fields = ReadonlyMap<number, readonly [name: string, kind: Kind]>;

/** How the format frames each kind: 0 a number of 7 bits a byte, 1 and 5 eight and four bytes, 2 a length and so many bytes. */
const framing = { integer: 0, boolean: 0, float: 5, double: 1, text: 2, metric: 2 } as const;
const fixedBytes = new Map([
  [1, 8],
  [5, 4],
]);

const payloadFields: Fields = new Map([
  [1, ['timestamp', 'integer']],
  [2, ['metrics', 'metric']],
  [3, ['seq', 'integer']],
  [4, ['uuid', 'text']],
]);
const metricFields: Fields = new Map([
  [1, ['name', 'text']],
  [2, ['alias', 'integer']],
  [3, ['timestamp', 'integer']],
  [4, ['datatype', 'integer']],
  [5, ['isHistorical', 'boolean']],
  [7, ['isNull', 'boolean']],
  [10, ['intValue', 'integer']],
  [11, ['longValue', 'integer']],
  [12, ['floatValue', 'float']],
  [13, ['doubleValue', 'double']],
  [14, ['booleanValue', 'boolean']],
  [15, ['stringValue', 'text']],
]);
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** The payload is packed into another one, which hardly any node does. */
const COMPRESSED = 'SPBV1.0_COMPRESSED';

export function decodeSparkplug(bytes: Uint8Array): Outcome<SparkplugPayload, RejectionReason> {
  try {
    const { uuid, ...payload } = readFields(payloadFields, bytes);
    if (uuid === COMPRESSED) return refuse('undecodable', 'a compressed payload');
    return accept({ metrics: [], ...payload });
  } catch (error) {
    return refuse('undecodable', (error as Error).message);
  }
}

/** Throws a RangeError where the bytes end too soon or are no protobuf, a TypeError for text that is not UTF-8. */
function readFields(fields: Fields, bytes: Uint8Array): Record<string, unknown> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: Record<string, unknown> = {};
  let at = 0;

  function integer(): Integer {
    let low = 0;
    let high = 0n;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = view.getUint8(at++);
      if (shift < 49) low += (byte & 0x7f) * 2 ** shift;
      else high |= BigInt(byte & 0x7f) << BigInt(shift);
      if (byte >= 0x80) continue;
      return high === 0n ? low : exact(BigInt.asUintN(64, high + BigInt(low)));
    }
    throw new RangeError('a number of more than ten bytes');
  }

  function content(frame: number): Uint8Array {
    const length = frame === 2 ? Number(integer()) : fixedBytes.get(frame);
    if (length === undefined) throw new RangeError(`framing ${frame}`);
    if (length > bytes.length - at) throw new RangeError('bytes are missing');
    at += length;
    return bytes.subarray(at - length, at);
  }

  const read: Readonly<Record<Kind, () => unknown>> = {
    integer,
    boolean: () => Number(integer()) !== 0,
    float: () => view.getFloat32((at += 4) - 4, true),
    double: () => view.getFloat64((at += 8) - 8, true),
    text: () => utf8.decode(content(2)),
    metric: () => readFields(metricFields, content(2)),
  };

  while (at < bytes.length) {
    const tag = Number(integer());
    const field = Math.floor(tag / 8);
    const frame = tag % 8;
    if (field === 0) throw new RangeError('a field without a number');
    const [name, kind] = fields.get(field) ?? [];
    if (name === undefined || kind === undefined || framing[kind] !== frame)
      void (frame === 0 ? integer() : content(frame)); // prettier-ignore
    else if (kind === 'metric') ((found[name] ??= []) as unknown[]).push(read[kind]());
    else found[name] = read[kind]();
  }
  return found;
}

const exact = (value: bigint): Integer =>
  value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER ? Number(value) : value;

export const encodeSparkplug = (payload: SparkplugPayload): Uint8Array => writeFields(payloadFields, payload);

function writeFields(fields: Fields, message: object): Buffer {
  const parts: Uint8Array[] = [];
  for (const [field, [name, kind]] of fields) {
    const values = [(message as Record<string, unknown>)[name]].flat();
    for (const value of values)
      if (value !== undefined) parts.push(integerBytes(field * 8 + framing[kind]), write[kind](value as never));
  }
  return Buffer.concat(parts);
}

const write: { readonly [K in Kind]: (value: never) => Uint8Array } = {
  integer: (value: Integer) => integerBytes(value),
  boolean: (value: boolean) => Uint8Array.of(value ? 1 : 0),
  float: (value: number) => new Uint8Array(new Float32Array([value]).buffer), // as on every machine that Node runs on
  double: (value: number) => new Uint8Array(new Float64Array([value]).buffer),
  text: (value: string) => counted(Buffer.from(value)),
  metric: (value: SparkplugMetric) => counted(writeFields(metricFields, value)),
};

const counted = (bytes: Uint8Array): Uint8Array => Buffer.concat([integerBytes(bytes.length), bytes]);

function integerBytes(value: Integer): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Uint8Array.of(...bytes, Number(rest));
}

/** Datatypes of whole numbers. */
const integerTypes = new Map<Integer | undefined, readonly [bits: number, signed: boolean]>([
  [1, [8, true]],
  [2, [16, true]],
  [3, [32, true]],
  [4, [64, true]],
  [5, [8, false]],
  [6, [16, false]],
  [7, [32, false]],
  [8, [64, false]],
]);
const textTypes = new Set<Integer | undefined>([12, 14]);

/**
 * What a metric says, as a JSON message would have it: null for a missing value (NaN too), undefined for what is no number, switch or text,
 * or a whole number that a number cannot hold. `type` is the datatype, which data leave to the BIRTH.
 */
export function valueOf(
  metric: SparkplugMetric,
  type: Integer | undefined,
): number | boolean | string | null | undefined {
  // prettier-ignore
  const { isNull, intValue, longValue, floatValue, doubleValue, booleanValue, stringValue } = metric;
  if (isNull === true) return null;
  const integer = integerTypes.get(type);
  const raw = intValue ?? longValue; // makers do not agree on where 32 bits go
  if (integer !== undefined && raw !== undefined) {
    const [bits, signed] = integer;
    const value = exact(signed ? BigInt.asIntN(bits, BigInt(raw)) : BigInt.asUintN(bits, BigInt(raw)));
    return typeof value === 'number' ? value : undefined;
  }
  if (type === 9 || type === 10) {
    const value = floatValue ?? doubleValue;
    return Number.isNaN(value) ? null : value;
  }
  if (type === 11) return booleanValue;
  return textTypes.has(type) ? stringValue : undefined;
}

/** What is sent to a node to ask for its BIRTH. */
export const rebirthRequest = (nowMs: number): Uint8Array =>
  encodeSparkplug({
    timestamp: nowMs,
    metrics: [{ name: REBIRTH, timestamp: nowMs, datatype: datatype.boolean, booleanValue: true }],
  });
