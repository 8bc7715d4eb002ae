/** Readings of one stream as three columns, and as bytes: times as differences, so that regular ones take a byte or two. */
import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib';

/** A reading is the same index in each. */
export interface Columns {
  /** Milliseconds UTC. */
  readonly times: number[];
  /** NaN for a missing value. */
  readonly values: number[];
  readonly flags: number[];
}

export const newColumns = (): Columns => ({ times: [], values: [], flags: [] });

/** Where in some bytes the next is written or read. */
export interface Cursor {
  readonly bytes: Buffer;
  at: number;
}

/** A whole number of either sign takes no more than these. */
export const VARINT_BYTES = 8;

export function putVarint(to: Cursor, value: number): void {
  let rest = value < 0 ? -2 * value - 1 : 2 * value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) to.bytes[to.at++] = 128 | (rest % 128);
  to.bytes[to.at++] = rest;
}

/** Throws a `RangeError` behind the end. */
export function takeVarint(from: Cursor): number {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = from.bytes.readUInt8(from.at++);
    value += (byte & 127) * scale;
    if (byte < 128) return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
  }
}

/** The bytes carry their checksum, since SQLite has none for its pages. */
export function packColumns({ times, values, flags }: Columns): Buffer {
  const to: Cursor = { bytes: Buffer.alloc(VARINT_BYTES + (VARINT_BYTES + 1 + 8) * times.length), at: 0 };
  putVarint(to, times.length);
  times.forEach((time, i) => putVarint(to, time - (times[i - 1] ?? 0)));
  to.bytes.set(flags, to.at);
  to.at += flags.length;
  for (const value of values) to.at = to.bytes.writeDoubleLE(value, to.at);
  const packed = deflateRawSync(to.bytes.subarray(0, to.at));
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32LE(crc32(packed));
  return Buffer.concat([checksum, packed]);
}

/** Undefined for bytes that are not what was packed. */
export function unpackColumns(bytes: Buffer): Columns | undefined {
  if (bytes.length < 4 || crc32(bytes.subarray(4)) !== bytes.readUInt32LE(0)) return undefined;
  const from: Cursor = { bytes: inflateRawSync(bytes.subarray(4)), at: 0 };
  const count = takeVarint(from);
  const columns = newColumns();
  for (let i = 0, time = 0; i < count; i++) columns.times.push((time += takeVarint(from)));
  for (let i = 0; i < count; i++) columns.flags.push(from.bytes.readUInt8(from.at + i));
  for (let i = 0; i < count; i++) columns.values.push(from.bytes.readDoubleLE(from.at + count + 8 * i));
  return columns;
}
