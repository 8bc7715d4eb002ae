/**
 * The file that readings are appended to before they are packed into the database (EDGE.md §10): a commit for each of them
 * would write a page of four kilobytes for a dozen bytes. A write survives the death of the process, a sync the loss of power.
 *
 * The file has one size from the beginning, so that a full disk does not stop it, and is written over in generations: a head
 * (magic, generation, checksum), then batches (length, checksum, records). A checksum begins with the one before it: what an
 * earlier generation left behind does not fit, and ends what is read.
 */
import { closeSync, existsSync, fdatasyncSync, fstatSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'; // prettier-ignore
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { newColumns, putVarint, takeVarint } from './columns.js';
import type { Columns, Cursor } from './columns.js';
import { syncPath } from './files.js';

export interface StoredReading {
  readonly stream: string;
  /** Milliseconds UTC, whole. */
  readonly timeMs: number;
  /** Null for a missing value. */
  readonly value: number | null;
  readonly flags: number;
}

/** What a generation holds. */
export interface Generation {
  readonly number: number;
  /** By stream, in the order they came. */
  readonly streams: ReadonlyMap<string, Columns>;
  readonly rows: number;
}

export interface Intake {
  readonly content: Generation;
  /** False when there may be no room for so many more: then another generation must begin. */
  fits(rows: number): boolean;
  /** On return it survives the death of the process. */
  append(readings: readonly StoredReading[]): void;
  /** What was appended survives the loss of power from now on. */
  sync(): void;
  /** Forgets what was appended, which is in the database. */
  begin(generation: number): void;
  close(): void;
}

const MAGIC = 0x6e646931;
const HEAD_BYTES = 12;
const BATCH_HEAD_BYTES = 8;
export const INTAKE_BYTES = 1024 * 1024;
const PAGE_BYTES = 4096;
/** More than a record takes, with the name of a new stream. */
const RECORD_BYTES = 96;

/** Kinds of records; a stream is named before its first reading, and has the number of its turn. */
const kinds = { value: 0, missing: 1, stream: 2 } as const;

interface Writing extends Generation {
  readonly streams: Map<string, Columns>;
  readonly numbers: Map<string, number>;
  rows: number;
  /** Of the newest reading: times are written as differences. */
  timeMs: number;
  checksum: number;
  end: number;
}

/** Opens or makes the file; without a path it only remembers. A generation before `first` is in the database already. */
export function openIntake(path: string | undefined, first: number): Intake {
  if (path !== undefined) fill(path);
  const found = path === undefined ? undefined : parse(readFileSync(path));
  const file = path === undefined ? undefined : openSync(path, 'r+');
  let dirty = false;
  let now = found !== undefined && found.number >= first ? found : begin(first);

  function write(bytes: Buffer, at: number): void {
    dirty = true;
    if (file !== undefined && writeSync(file, bytes, 0, bytes.length, at) < bytes.length)
      throw Object.assign(new Error('the disk takes no more'), { code: 'ENOSPC' });
  }

  function begin(number: number): Writing {
    const head = headOf(number);
    write(head, 0);
    return newGeneration(number, head);
  }

  return {
    get content() {
      return now;
    },
    fits: (rows) => now.end + BATCH_HEAD_BYTES + rows * RECORD_BYTES <= INTAKE_BYTES,
    append(readings) {
      const numbers = new Map<string, number>();
      const to: Cursor = { bytes: Buffer.allocUnsafe(BATCH_HEAD_BYTES + readings.length * RECORD_BYTES), at: BATCH_HEAD_BYTES }; // prettier-ignore
      let { timeMs } = now;
      for (const reading of readings) {
        const { stream, value, flags } = reading;
        let number = now.numbers.get(stream) ?? numbers.get(stream);
        if (number === undefined) {
          number = now.numbers.size + numbers.size;
          numbers.set(stream, number);
          to.bytes[to.at++] = kinds.stream;
          to.bytes[to.at++] = Buffer.byteLength(stream);
          to.at += to.bytes.write(stream, to.at);
        }
        to.bytes[to.at++] = value === null ? kinds.missing : kinds.value;
        to.bytes[to.at++] = flags;
        putVarint(to, number);
        putVarint(to, reading.timeMs - timeMs);
        if (value !== null) to.at = to.bytes.writeDoubleLE(value, to.at);
        timeMs = reading.timeMs;
      }
      const records = to.bytes.subarray(BATCH_HEAD_BYTES, to.at);
      const checksum = crc32(records, now.checksum);
      to.bytes.writeUInt32LE(records.length, 0);
      to.bytes.writeUInt32LE(checksum, 4);
      write(to.bytes.subarray(0, to.at), now.end);

      now.end += to.at;
      now.checksum = checksum;
      for (const [stream, number] of numbers) now.numbers.set(stream, number);
      for (const reading of readings) remember(now, reading);
    },
    sync() {
      if (!dirty || file === undefined) return;
      fdatasyncSync(file);
      dirty = false;
    },
    begin: (number) => void (now = begin(number)),
    close() {
      if (file !== undefined) closeSync(file);
    },
  };
}

/** Gives the file its size; what it holds stays. */
function fill(path: string): void {
  const file = openSync(path, 'a');
  try {
    const { size } = fstatSync(file);
    if (size === INTAKE_BYTES) return;
    // By pages: newer kernels keep what is written at once in large pieces, and then write these for every few bytes.
    for (let at = size; at < INTAKE_BYTES; at += PAGE_BYTES)
      writeSync(file, Buffer.alloc(PAGE_BYTES), 0, PAGE_BYTES, at);
    ftruncateSync(file, INTAKE_BYTES);
  } finally {
    closeSync(file);
  }
  syncPath(dirname(path));
}

/** Looks at the file of a device that may be running; undefined when there is none, or its head is being written over. */
export function followIntake(path: string): () => Generation | undefined {
  let known: Writing | undefined;
  return () => (known = existsSync(path) ? parse(readFileSync(path), known) : undefined);
}

function headOf(number: number): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32LE(MAGIC, 0);
  head.writeUInt32LE(number, 4);
  head.writeUInt32LE(crc32(head.subarray(0, 8)), 8);
  return head;
}

const newGeneration = (number: number, head: Buffer): Writing => ({
  number,
  streams: new Map(),
  numbers: new Map(),
  rows: 0,
  timeMs: 0,
  checksum: head.readUInt32LE(8),
  end: HEAD_BYTES,
});

function remember(generation: Writing, { stream, timeMs, value, flags }: StoredReading): void {
  let columns = generation.streams.get(stream);
  if (columns === undefined) generation.streams.set(stream, (columns = newColumns()));
  columns.times.push(timeMs);
  columns.values.push(value ?? NaN);
  columns.flags.push(flags);
  generation.timeMs = timeMs;
  generation.rows++;
}

/** All batches up to the first that does not fit: the end, or where the loss of power took one. */
function parse(bytes: Buffer, known?: Writing): Writing | undefined {
  if (bytes.length < HEAD_BYTES) return undefined;
  const head = bytes.subarray(0, HEAD_BYTES);
  const number = head.readUInt32LE(4);
  if (!headOf(number).equals(head)) return undefined;
  const generation = known?.number === number ? known : newGeneration(number, head);
  while (generation.end + BATCH_HEAD_BYTES <= bytes.length) {
    const length = bytes.readUInt32LE(generation.end);
    const begin = generation.end + BATCH_HEAD_BYTES;
    if (length === 0 || begin + length > bytes.length) break;
    const records = bytes.subarray(begin, begin + length);
    const checksum = crc32(records, generation.checksum);
    if (checksum !== bytes.readUInt32LE(generation.end + 4)) break;
    readRecords(generation, records);
    generation.checksum = checksum;
    generation.end = begin + length;
  }
  return generation;
}

function readRecords(generation: Writing, bytes: Buffer): void {
  const names = [...generation.numbers.keys()];
  const from: Cursor = { bytes, at: 0 };
  while (from.at < bytes.length) {
    const kind = bytes.readUInt8(from.at++);
    if (kind === kinds.stream) {
      const length = bytes.readUInt8(from.at++);
      const name = bytes.toString('utf8', from.at, (from.at += length));
      generation.numbers.set(name, names.length);
      names.push(name);
      continue;
    }
    const flags = bytes.readUInt8(from.at++);
    const stream = names[takeVarint(from)]!;
    const timeMs = generation.timeMs + takeVarint(from);
    const value = kind === kinds.missing ? null : bytes.readDoubleLE(from.at);
    if (value !== null) from.at += 8;
    remember(generation, { stream, timeMs, value, flags });
  }
}
