/** The zip files that `torch.save` writes: entries stored as they are. Others are refused, so nothing can grow on reading. */
import { crc32 } from 'node:zlib';
import { refused } from './checkpoint.js';

const endBytes = 22;
const entryBytes = 46;
const localBytes = 30;
const signature = { end: 0x06054b50, entry: 0x02014b50, local: 0x04034b50 };
/** What an end record may be followed by, and how many entries are looked at. */
const commentBytesMax = 0xffff;
const entriesMax = 20_000;

/** Entries by name, as views into the file. Throws `ND_IMPORT_REFUSED`. */
export function readZip(bytes: Uint8Array, where: string): ReadonlyMap<string, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const need = (condition: boolean, what: string): void => {
    if (!condition) throw refused(where, `It is no zip file as torch writes them: ${what}`);
  };
  const end = endOf(view);
  need(end >= 0, 'its end is missing');
  const count = view.getUint16(end + 10, true);
  need(count <= entriesMax, `it claims ${count} entries`);
  let at = view.getUint32(end + 16, true);
  const directoryEnd = at + view.getUint32(end + 12, true);
  need(directoryEnd <= end, 'its directory lies outside');

  const entries = new Map<string, Uint8Array>();
  let total = 0;
  for (let i = 0; i < count; i++) {
    need(at + entryBytes <= directoryEnd && view.getUint32(at, true) === signature.entry, 'its directory is cut short');
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((offset) => view.getUint16(at + offset, true)) as [
      number,
      number,
      number,
    ];
    need(at + entryBytes + nameBytes <= directoryEnd, 'a name lies outside');
    const name = Buffer.from(bytes.subarray(at + entryBytes, at + entryBytes + nameBytes)).toString('utf8');
    const method = view.getUint16(at + 10, true);
    need((view.getUint16(at + 8, true) & 1) === 0, `"${name}" is encrypted`);
    need(method === 0, `"${name}" is compressed (method ${method}), and only stored entries are read`);
    const size = view.getUint32(at + 24, true);
    need(view.getUint32(at + 20, true) === size, `"${name}" has two sizes`);
    const local = view.getUint32(at + 42, true);
    need(
      local + localBytes <= end && view.getUint32(local, true) === signature.local,
      `"${name}" is not where it says`,
    );
    const start = local + localBytes + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    need(start + size <= end, `"${name}" is cut short`);
    need(!entries.has(name), `"${name}" is there twice`);
    total += size;
    need(total <= bytes.byteLength, 'its entries overlap');
    const data = bytes.subarray(start, start + size);
    need(crc32(data) === view.getUint32(at + 16, true), `"${name}" is damaged`);
    entries.set(name, data);
    at += entryBytes + nameBytes + extraBytes + commentBytes;
  }
  return entries;
}

/** Where the end record starts, or -1. */
function endOf(view: DataView): number {
  const first = Math.max(0, view.byteLength - endBytes - commentBytesMax);
  for (let at = view.byteLength - endBytes; at >= first; at--)
    if (view.getUint32(at, true) === signature.end) return at;
  return -1;
}
