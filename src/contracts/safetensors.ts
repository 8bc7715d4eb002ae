/** The safetensors format, https://github.com/huggingface/safetensors: an 8-byte header length, a JSON header, raw tensors. */
import { NeuroDivergentError } from '../errors.js';
import { parseJson } from './wire.js';

/** Element type -> the array that holds it. F16, BF16 keep raw bits; BOOL is 0 or 1. */
const arrayTypes = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
  I32: Int32Array,
  U32: Uint32Array,
  I16: Int16Array,
  U16: Uint16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const;

export type TensorDtype = keyof typeof arrayTypes;
export type TensorData = InstanceType<(typeof arrayTypes)[TensorDtype]>;

export interface StoredTensor {
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  /** Row-major. */
  readonly data: TensorData;
}

export interface SafetensorsFile {
  readonly tensors: Readonly<Record<string, StoredTensor>>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The length field before the header. */
export const safetensorsPrefix = 8;
/** The limit of the reference reader. */
const headerBytesMax = 100_000_000;
const reserved = '__metadata__';

/** Where a tensor lies, in bytes from the end of the header. */
export interface StoredEntry {
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  readonly from: number;
  readonly to: number;
}

/** Reads a whole file. Throws `ND_FILE_CORRUPT` for a header, offset, length or overlap that does not add up. */
export function readSafetensors(bytes: Uint8Array, where = 'safetensors'): SafetensorsFile {
  const { start, entries, metadata } = indexSafetensors(bytes, bytes.byteLength, where);
  const tensors = Object.entries(entries).map(
    ([name, { dtype, shape, from, to }]) =>
      [name, { dtype, shape, data: copyOut(bytes, start + from, start + to, dtype) }] as const,
  );
  return { tensors: Object.fromEntries(tensors), metadata };
}

/** Reads the header alone: `bytes` begin a file of `fileBytes`. Throws as `readSafetensors` does. */
export function indexSafetensors(bytes: Uint8Array, fileBytes: number, where = 'safetensors') {
  const need = (condition: boolean, what: string): void => {
    if (!condition) throw corrupt(where, what);
  };
  need(bytes.byteLength >= safetensorsPrefix, `The file has ${bytes.byteLength} bytes, less than the length field.`);
  const headerBytes = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  need(headerBytes <= headerBytesMax, `The header claims ${headerBytes} bytes.`);
  const start = safetensorsPrefix + headerBytes;
  need(start <= bytes.byteLength, `The header claims ${headerBytes} bytes, the file has ${fileBytes}.`);

  const header = parseJson(bytes.subarray(safetensorsPrefix, start));
  if (!header.ok || !isRecord(header.value))
    throw corrupt(where, `The header is not a JSON object${header.ok ? '' : ` (${header.detail})`}.`);
  const { [reserved]: metadata = {}, ...entries } = header.value;
  if (!isRecord(metadata) || !Object.values(metadata).every((text) => typeof text === 'string'))
    throw corrupt(where, 'The metadata is not a map of strings.');

  let end = 0; // data must follow one another without gap or overlap, as the format asks
  const found: [string, StoredEntry][] = [];
  for (const [name, entry] of Object.entries(entries).sort(([, a], [, b]) => byOffsets(a, b))) {
    if (!isEntry(entry)) throw corrupt(where, `The entry of "${name}" has no known dtype, shape and offsets.`);
    const {
      dtype,
      shape,
      data_offsets: [from, to],
    } = entry;
    const length = shape.reduce((product, size) => product * size, 1) * arrayTypes[dtype].BYTES_PER_ELEMENT;
    need(from === end, `"${name}" starts at ${from}, the tensor before it ends at ${end}.`);
    need(to - from === length, `"${name}" ${dtype}[${shape}] takes ${length} bytes, its offsets say ${to - from}.`);
    need(start + to <= fileBytes, `"${name}" ends after the end of the file.`);
    found.push([name, { dtype, shape, from, to }]);
    end = to;
  }
  need(start + end === fileBytes, `${fileBytes - start - end} bytes follow the last tensor.`);
  return { start, entries: Object.fromEntries(found), metadata: metadata as Record<string, string> };
}

/** Writes tensors, widest elements first and then by name; the same input gives the same bytes. */
export function writeSafetensors(
  tensors: Readonly<Record<string, StoredTensor>>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  // The widest elements first: then every tensor is aligned without a gap, which the format does not allow.
  const width = ({ dtype }: StoredTensor): number => arrayTypes[dtype].BYTES_PER_ELEMENT;
  const ordered = Object.entries(tensors).sort(([a, x], [b, y]) => width(y) - width(x) || (a < b ? -1 : 1));
  const header = Object.create(null) as Record<string, unknown>; // so that no tensor name is special
  if (Object.keys(metadata).length > 0) header[reserved] = metadata;
  let end = 0;
  for (const [name, { dtype, shape, data }] of ordered) {
    const size = shape.reduce((product, axis) => product * axis, 1);
    if (name === reserved || size !== data.length)
      throw corrupt('safetensors', `"${name}" ${dtype}[${shape}] cannot hold ${data.length} numbers under that name.`);
    header[name] = { dtype, shape, data_offsets: [end, end + data.byteLength] };
    end += data.byteLength;
  }
  const text = Buffer.from(JSON.stringify(header));
  const headerBytes = Math.ceil(text.byteLength / 8) * 8; // padded with spaces, so that data starts aligned
  const file = Buffer.alloc(safetensorsPrefix + headerBytes + end, ' ');
  file.writeBigUInt64LE(BigInt(headerBytes));
  file.set(text, safetensorsPrefix);
  let at = safetensorsPrefix + headerBytes;
  for (const [, { data }] of ordered) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return file;
}

interface Entry {
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function isEntry(value: unknown): value is Entry {
  if (!isRecord(value)) return false;
  const { dtype, shape, data_offsets: offsets } = value;
  return (
    typeof dtype === 'string' &&
    Object.hasOwn(arrayTypes, dtype) &&
    Array.isArray(shape) &&
    shape.every(isSize) &&
    Array.isArray(offsets) &&
    offsets.length === 2 &&
    offsets.every(isSize)
  );
}

/** By start, then by end: an empty tensor stands before the one that starts where it does. */
function byOffsets(a: unknown, b: unknown): number {
  if (!isEntry(a) || !isEntry(b)) return 0; // refused when its turn comes
  return a.data_offsets[0] - b.data_offsets[0] || a.data_offsets[1] - b.data_offsets[1];
}

/** A copy, because a typed array needs an aligned start and the file gives none. */
function copyOut(bytes: Uint8Array, from: number, to: number, dtype: TensorDtype): TensorData {
  return new arrayTypes[dtype](new Uint8Array(bytes.subarray(from, to)).buffer);
}

const corrupt = (where: string, what: string): NeuroDivergentError =>
  new NeuroDivergentError('ND_FILE_CORRUPT', { where, what, mend: 'Write or download the file again.' });
