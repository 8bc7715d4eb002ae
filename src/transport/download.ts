/** Downloads of the update client: capped, watched, resumed, checked. Plain node:http, which is loaded anyway. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Outcome, Refusal, UpdateReason } from '../contracts/reason.js';
import { accept, refuse } from '../contracts/reason.js';

/** When a transfer is given up; the defaults are those of EDGE.md §11. */
export interface TransferLimits {
  /** No byte for so long: `timed_out`. */
  readonly idleMs: number;
  /** Fewer bytes per second than this over a whole window: `slow_retrieval`. */
  readonly slowBytesPerSecond: number;
  readonly slowWindowMs: number;
  /** Attempts at one file, each resuming where the last one broke. */
  readonly attempts: number;
  readonly retryMs: number;
}

export const transferDefaults: TransferLimits = {
  idleMs: 30_000,
  slowBytesPerSecond: 1024,
  slowWindowMs: 300_000,
  attempts: 4,
  retryMs: 500,
};

/** What a server answers, or whatever stands in its place. */
export type Answer = Readable & Pick<IncomingMessage, 'statusCode' | 'headers'>;
export type Get = (
  url: string,
  headers: Readonly<Record<string, string>>,
  limits: TransferLimits,
  signal?: AbortSignal,
) => Promise<Answer>;

export interface Transfer {
  readonly limits: TransferLimits;
  readonly signal?: AbortSignal | undefined;
  /** HTTP when not given. */
  readonly get?: Get | undefined;
}

/** A status other than the one hoped for; the update client tells 404 from the rest. */
export class HttpStatusError extends Error {
  constructor(
    readonly status: number,
    url: string,
    readonly reason: UpdateReason = 'unreachable',
    what = `answered ${status}`,
  ) {
    super(`${shown(url)} ${what}`);
  }
}

/** A URL for messages: user, path and query may hold what lets us in. */
function shown(url: string): string {
  const { host, pathname } = new URL(url);
  return `${host}/…${pathname.slice(pathname.lastIndexOf('/'))}`;
}

/** A small file in memory. Rejects with `HttpStatusError` or with what broke. */
export async function downloadBytes(
  url: string,
  maxBytes: number,
  { limits, signal, get = getOverHttp }: Transfer,
): Promise<Outcome<Buffer>> {
  const response = await get(url, {}, limits, signal);
  if (response.statusCode !== 200) {
    response.destroy();
    throw new HttpStatusError(response.statusCode ?? 0, url);
  }
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of watched(response, limits)) {
    length += chunk.byteLength;
    if (length > maxBytes) return refuse('too_large', `${shown(url)} has more than ${maxBytes} bytes`); // leaving the loop cuts the connection
    chunks.push(chunk);
  }
  return accept(Buffer.concat(chunks));
}

export interface ExpectedFile {
  readonly length: number;
  /** Hexadecimal, by algorithm; each that is known must agree, and one must be known. */
  readonly hashes: Readonly<Record<string, string>>;
}

/** The algorithms of TUF's specification that a target may be vouched for with. */
const algorithms = ['sha256', 'sha512'] as const;

/** Why these bytes are not the file; undefined when they are. */
export async function mismatch(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  { length, hashes }: ExpectedFile,
): Promise<string | undefined> {
  const known = algorithms.filter((algorithm) => Object.hasOwn(hashes, algorithm));
  if (known.length === 0) return `neither ${algorithms.join(' nor ')} is declared`;
  const running = known.map((algorithm) => ({ algorithm, hash: createHash(algorithm) }));
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.byteLength;
    for (const { hash } of running) hash.update(chunk);
  }
  if (bytes !== length) return `${bytes} bytes, declared are ${length}`;
  for (const { algorithm, hash } of running) {
    const found = hash.digest('hex');
    if (found !== hashes[algorithm]) return `the ${algorithm} is ${found}, declared is ${hashes[algorithm]}`;
  }
  return undefined;
}

/** A verified file on disk: exact length, then its hashes. Resumes `<path>.part`; nothing appears at `path` before it is whole. */
export async function downloadFile(
  url: string,
  path: string,
  expected: ExpectedFile,
  transfer: Transfer & { readonly onBytes?: ((bytes: number) => void) | undefined },
): Promise<Outcome<undefined>> {
  const { limits, signal } = transfer;
  const part = `${path}.part`;
  await mkdir(dirname(path), { recursive: true });
  let last: Refusal = refuse('unreachable', `${shown(url)} was not tried`);
  for (let attempt = 0; attempt < limits.attempts; attempt++) {
    if (attempt > 0)
      await sleep(Math.random() * limits.retryMs * 2 ** attempt, undefined, signal && { signal }).catch(
        () => undefined,
      );
    if (signal?.aborted) return refuse('unreachable', 'the download was stopped');
    const resumed = existsSync(part);
    const fetched = await fetchRest(url, part, expected, transfer).catch((error: unknown) => refuseBroken(error));
    const outcome = fetched.ok ? await finish(part, path, expected) : fetched;
    if (outcome.ok) return outcome;
    last = outcome;
    if (outcome.reason === 'hash_mismatch' && resumed) continue; // what was there before may have come from elsewhere
    if (outcome.reason === 'endless_data') await rm(part, { force: true });
    if (outcome.reason !== 'unreachable') return outcome; // trying again would only repeat it
  }
  return last;
}

/** Appends what is missing to the partial file. */
async function fetchRest(
  url: string,
  part: string,
  { length, hashes }: ExpectedFile,
  { limits, signal, get = getOverHttp, onBytes }: Parameters<typeof downloadFile>[3],
): Promise<Outcome<undefined>> {
  const kept = (await stat(part).catch(() => undefined))?.size ?? 0;
  if (kept === length && kept > 0) return accept(undefined);
  const resume = kept > 0 && kept < length;
  const response = await get(
    url,
    resume ? { range: `bytes=${kept}-`, 'if-range': `"${hashes['sha256']}"` } : {},
    limits,
    signal,
  );
  const { statusCode = 0 } = response;
  if (statusCode !== 200 && statusCode !== 206) {
    response.destroy();
    return refuse('unreachable', `${shown(url)} answered ${statusCode}`);
  }
  const appends = statusCode === 206 && response.headers['content-range']?.startsWith(`bytes ${kept}-`) === true;
  if (statusCode === 206 && !appends) {
    response.destroy();
    await rm(part, { force: true });
    return refuse('unreachable', `${shown(url)} answered with another range than asked for`);
  }
  let done = appends ? kept : 0;
  const file = await open(part, appends ? 'a' : 'w');
  try {
    for await (const chunk of watched(response, limits)) {
      done += chunk.byteLength;
      if (done > length) return refuse('endless_data', `${shown(url)} sends more than the ${length} bytes declared`);
      await file.write(chunk);
      onBytes?.(done);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return accept(undefined);
}

/** Exact length, then hashes, then the final name. */
async function finish(part: string, path: string, expected: ExpectedFile): Promise<Outcome<undefined>> {
  const wrong = await mismatch(createReadStream(part) as AsyncIterable<Buffer>, expected);
  if (wrong === undefined) {
    await rename(part, path);
    return accept(undefined);
  }
  await rm(part, { force: true }); // a wrong prefix must not be resumed
  return refuse('hash_mismatch', wrong);
}

/** Sends GET; resolves with the response once its head is there. */
const getOverHttp: Get = async (url, headers, { idleMs }, signal) => {
  // node:https costs start-up time and is needed only for such a URL.
  const request = url.startsWith('https:') ? (await import('node:https')).request : httpRequest;
  return new Promise((resolve, reject) => {
    const sent = request(url, { headers, timeout: idleMs, ...(signal && { signal }) }, resolve);
    sent.on('error', reject);
    sent.on('timeout', () => sent.destroy(new TransferError('timed_out', `${shown(url)} was silent for ${idleMs} ms`)));
    sent.end();
  });
};

/** Passes chunks on and fails a transfer that trickles. */
async function* watched(
  response: Answer,
  { slowBytesPerSecond, slowWindowMs }: TransferLimits,
): AsyncGenerator<Buffer> {
  let bytes = 0;
  const watch = setInterval(() => {
    if (bytes < (slowBytesPerSecond * slowWindowMs) / 1000) {
      response.destroy(new TransferError('slow_retrieval', `${bytes} bytes in ${slowWindowMs} ms`));
    }
    bytes = 0;
  }, slowWindowMs);
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.byteLength;
      yield chunk;
    }
  } finally {
    clearInterval(watch);
  }
}

class TransferError extends Error {
  constructor(
    readonly reason: 'timed_out' | 'slow_retrieval',
    detail: string,
  ) {
    super(detail);
  }
}

/** The refusal a broken transfer is. A full disk is `no_space`; everything else may pass by itself. */
export function refuseBroken(error: unknown): Refusal {
  if (error instanceof TransferError || error instanceof HttpStatusError) return refuse(error.reason, error.message);
  const { code, message } = error as NodeJS.ErrnoException;
  return refuse(code === 'ENOSPC' ? 'no_space' : 'unreachable', message);
}
