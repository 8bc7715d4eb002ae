/** Serves a folder over HTTP: GET and HEAD, one byte range, ETags, nothing outside the folder. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';

export interface FileServer {
  /** Without a trailing slash. */
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

interface Served {
  readonly path: string;
  readonly length: number;
  /** The quoted SHA-256 of the content. */
  readonly etag: string;
}

export async function serveFiles({
  dir,
  port = 0,
  host = '127.0.0.1',
}: {
  readonly dir: string;
  readonly port?: number;
  readonly host?: string;
}): Promise<FileServer> {
  const root = await realpath(dir);
  const etags = new Map<string, string>(); // path, time and size -> hash, so that a file is read once for it

  const find = async (url: string): Promise<Served | undefined> => {
    const path = await realpath(join(root, decodePath(url))).catch(() => undefined);
    if (path === undefined || !path.startsWith(root + sep)) return undefined; // a link may lead out
    const found = await stat(path);
    if (!found.isFile()) return undefined;
    const key = `${path} ${found.mtimeMs} ${found.size}`;
    const etag = etags.get(key) ?? `"${await hashFile(path)}"`;
    etags.set(key, etag);
    return { path, length: found.size, etag };
  };

  const server = createServer((request, response) => {
    answer(find, request, response).catch(() => response.destroy()); // the client went away, or the file did
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const bound = server.address() as AddressInfo;
  return {
    url: `http://${host}:${bound.port}`,
    port: bound.port,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  find: (url: string) => Promise<Served | undefined>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return void response.writeHead(405, { allow: 'GET, HEAD' }).end();
  const file = await find(request.url ?? '/').catch(() => undefined);
  if (file === undefined) return void response.writeHead(404).end();

  const { path, length, etag } = file;
  const headers = {
    etag,
    'accept-ranges': 'bytes',
    'content-type': path.endsWith('.json') ? 'application/json' : 'application/octet-stream',
  };
  if (request.headers['if-none-match'] === etag) return void response.writeHead(304, headers).end();
  const ifRange = request.headers['if-range'];
  const range = ifRange === undefined || ifRange === etag ? readRange(request.headers.range, length) : undefined;
  if (range === 'unsatisfiable')
    return void response.writeHead(416, { ...headers, 'content-range': `bytes */${length}` }).end();

  const [start, end] = range ?? [0, length - 1];
  const part = range && { 'content-range': `bytes ${start}-${end}/${length}` };
  response.writeHead(range ? 206 : 200, { ...headers, ...part, 'content-length': end - start + 1 });
  if (request.method === 'HEAD' || length === 0) return void response.end();
  await pipeline(createReadStream(path, { start, end }), response);
}

/** First and last byte of a single range; undefined (send all) for none, several, or one that is no range. */
function readRange(
  header: string | undefined,
  length: number,
): readonly [number, number] | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (!match || match[0] === 'bytes=-') return undefined;
  const [, first, last] = match;
  const start = first === '' ? Math.max(0, length - Number(last)) : Number(first);
  const end = first === '' || last === '' ? length - 1 : Math.min(Number(last), length - 1);
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined;
  return start >= length ? 'unsatisfiable' : [start, end];
}

/** The path of a request target; throws for one that cannot be decoded, which is answered with 404. */
function decodePath(url: string): string {
  const path = decodeURIComponent(url.replace(/[?#].*$/, ''));
  if (path.includes('\0') || path.split(/[/\\]/).includes('..')) throw new URIError(path);
  return path;
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest('hex');
}
