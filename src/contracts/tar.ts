/**
 * Headers of tar archives that hold regular files and nothing else: the ustar format of POSIX, read strictly. Links, folders, devices,
 * sparse files, records of long names, and numbers in base 256 are refused; none of them is needed to carry files.
 * https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13_06
 */
import type { Outcome } from './reason.js';
import { accept, refuse } from './reason.js';

/** Bytes: an entry is a header of one block, then its content, filled up with zeros to whole blocks. */
export const tarBlock = 512;
/** Two blocks of zeros. */
export const tarEnd = Buffer.alloc(2 * tarBlock);

export interface TarEntry {
  readonly path: string;
  /** Bytes of the content. */
  readonly length: number;
}

/** Bytes of zeros that follow a content. */
export const tarPadding = (length: number): number => (tarBlock - (length % tarBlock)) % tarBlock;

/** Where each field stands: [first byte, length]. */
const fields = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  magic: [257, 8],
  prefix: [345, 155],
} as const;
type Field = keyof typeof fields;

/** `ustar`, zero, version 00. GNU's own format has spaces there. */
const magic = 'ustar\x0000';
const regularFile = '0';
const kinds: Readonly<Record<string, string>> = {
  '1': 'a hard link',
  '2': 'a symbolic link',
  '3': 'a character device',
  '4': 'a block device',
  '5': 'a folder',
  '6': 'a pipe',
  S: 'a sparse file',
};

/** The header of a file. Refuses a path that does not fit: 100 bytes, after a folder of at most 155. */
export function writeTarHeader({ path, length }: TarEntry): Outcome<Buffer> {
  const cut = path.length <= fields.name[1] ? -1 : path.indexOf('/', path.length - fields.name[1] - 1);
  const prefix = path.slice(0, Math.max(cut, 0));
  const name = path.slice(cut + 1);
  if (name.length > fields.name[1] || prefix.length > fields.prefix[1] || name.length === 0)
    return refuse('unsafe_path', `${path} is too long for a tar archive`);
  const digits = length.toString(8).padStart(fields.size[1] - 1, '0');
  if (digits.length >= fields.size[1]) return refuse('too_large', `${path} has ${length} bytes`);
  const block = Buffer.alloc(tarBlock);
  const put = (field: Field, text: string): void => void block.write(text, fields[field][0], 'latin1');
  put('name', name);
  put('prefix', prefix);
  put('mode', '0000644');
  put('uid', '0000000');
  put('gid', '0000000');
  put('size', digits);
  put('mtime', '00000000000');
  put('type', regularFile);
  put('magic', magic);
  put('checksum', `${checksumOf(block).toString(8).padStart(6, '0')}\0 `);
  return accept(block);
}

/** What a header says; undefined for a block of zeros, which ends the archive. Never throws. */
export function readTarHeader(block: Buffer): Outcome<TarEntry | undefined> {
  if (block.length !== tarBlock) return refuse('malformed', 'the archive ends in the middle of a header');
  if (block.every((byte) => byte === 0)) return accept(undefined);
  const text = (field: Field): string => {
    const [from, length] = fields[field];
    return block.toString('latin1', from, from + length);
  };
  const untilZero = (field: Field): string => text(field).split('\0')[0]!;
  /** Undefined for what is no octal number, such as one in base 256. */
  const octal = (field: Field): number | undefined =>
    /^[0-7]+[\0 ]*$/.test(text(field)) ? Number.parseInt(text(field), 8) : undefined;

  if (octal('checksum') !== checksumOf(block)) return refuse('malformed', 'the checksum of a header is wrong');
  if (text('magic') !== magic) return refuse('malformed', 'a header is not of the ustar format');
  const path = [untilZero('prefix'), untilZero('name')].filter((part) => part !== '').join('/');
  const type = text('type');
  if (type !== regularFile) {
    const kind = kinds[type] ?? `an entry of type ${JSON.stringify(type)}`;
    return refuse('unsafe_path', `${JSON.stringify(path)} is ${kind}, not a regular file`);
  }
  const length = octal('size');
  if (length === undefined) return refuse('malformed', `the size of ${JSON.stringify(path)} is no number`);
  return accept({ path, length });
}

/** Sum of all bytes, with spaces where the sum will stand. */
function checksumOf(block: Buffer): number {
  const [from, length] = fields.checksum;
  return block.reduce((sum, byte, i) => sum + (i >= from && i < from + length ? 0x20 : byte), 0);
}
