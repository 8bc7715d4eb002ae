/**
 * An update file (`.ndb`, EDGE.md §11): the part of a repository that an update needs, as a tar archive for a USB stick. It stands in
 * the place of a web server: files are looked up by name and streamed, and nothing is ever unpacked to a path of the archive's choice.
 */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import { limits } from '../contracts/limit.js';
import { plainPath } from '../contracts/manifest.js';
import type { Outcome } from '../contracts/reason.js';
import { accept, refuse } from '../contracts/reason.js';
import { readTarHeader, tarBlock, tarEnd, tarPadding } from '../contracts/tar.js';
import { HttpStatusError, refuseBroken } from './download.js';
import type { Get } from './download.js';

export interface Archive {
  /** In the place of a repository's base URL. */
  readonly url: string;
  /** `metadata/…`, `targets/…`, `desired.json`. */
  readonly entries: ReadonlySet<string>;
  /** Answers with an entry, or 404. */
  readonly get: Get;
  readonly close: () => Promise<void>;
}

export const desiredEntry = 'desired.json';
/** Where an entry may stand; whether signed metadata names it is judged by the update client. */
const layout = /^(?:desired\.json|metadata\/[^/]+\.json|targets\/.+)$/;

/** Programs fill an archive up with zeros to such records; GNU tar does to 10,240 bytes. */
const recordBytes = 64 * 1024;

interface Span {
  readonly from: number;
  readonly length: number;
}

/** Reads all headers. Refuses whatever is not a whole archive of regular files, each named once, where an update has its files. */
export async function openArchive(path: string): Promise<Outcome<Archive>> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK); // a pipe must not hold us
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ELOOP' ? refuse('unsafe_path', 'it is a link') : refuseBroken(error);
  }
  const index = await readIndex(file).catch((error: unknown) => refuseBroken(error));
  if (!index.ok) {
    await file.close();
    return index;
  }
  const spans = index.value;
  return accept({
    url: `ndb://${encodeURIComponent(basename(path))}`,
    entries: new Set(spans.keys()),
    close: () => file.close(),
    get(url) {
      const span = spans.get(decodeURIComponent(new URL(url).pathname.slice(1)));
      if (span === undefined) return Promise.reject(new HttpStatusError(404, url, 'malformed', 'is not in the file'));
      const { from, length } = span;
      const content =
        length === 0
          ? Readable.from([])
          : file.createReadStream({ start: from, end: from + length - 1, autoClose: false });
      return Promise.resolve(Object.assign(content, { statusCode: 200, headers: {} }));
    },
  });
}

async function readIndex(file: FileHandle): Promise<Outcome<ReadonlyMap<string, Span>>> {
  const stat = await file.stat();
  if (!stat.isFile()) return refuse('unsafe_path', 'it is no regular file');
  if (stat.size > limits.archiveBytes)
    return refuse('too_large', `it has ${stat.size} bytes, at most ${limits.archiveBytes} are taken`);
  const spans = new Map<string, Span>();
  for (let at = 0; ;) {
    const header = readTarHeader(await readAt(file, at, tarBlock));
    if (!header.ok) return header;
    if (header.value === undefined) {
      const rest = stat.size - at;
      const ended = rest >= tarEnd.length && rest <= tarEnd.length + recordBytes;
      return ended && (await readAt(file, at, rest)).every((byte) => byte === 0)
        ? accept(spans)
        : refuse('malformed', 'it does not end as an archive does');
    }
    const { path, length } = header.value;
    const quoted = JSON.stringify(path);
    const from = at + tarBlock;
    if (!plainPath.test(path)) return refuse('unsafe_path', `${quoted} is no plain relative path`);
    if (!layout.test(path)) return refuse('unsafe_path', `${quoted} is no part of an update`);
    if (spans.has(path)) return refuse('unsafe_path', `${quoted} is there twice`);
    if (spans.size >= limits.archiveEntries) return refuse('too_large', `it has more than ${spans.size} entries`);
    if (from + length > stat.size) return refuse('malformed', `${quoted} is cut short`);
    spans.set(path, { from, length });
    at = from + length + tarPadding(length);
  }
}

/** Shorter where the file ends. */
async function readAt(file: FileHandle, at: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, at);
  return buffer.subarray(0, bytesRead);
}
