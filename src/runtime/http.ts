/** The device's pages (EDGE.md §14): metrics for Prometheus, health and readiness for whoever restarts it, and its version. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, STATUS_CODES } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Probe } from './device.js';
import { contentType, exposition } from './exposition.js';
import { count } from './metrics.js';
import { isDamage } from './store.js';
import type { Store } from './store.js';

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** A connection is one request, answered and read within this time. */
const CONNECTION_MS = 10_000;
const CONNECTIONS = 16;
const HEADER_BYTES = 8192;
/** A port that is taken, or a token that is missing, is looked at again. */
const RETRY_MS = 60_000;
const MAX_LAG_MS = 5000;
/** Whoever asks for health in a loop writes no more often to the disk. */
const WRITE_CHECK_MS = 5000;

/** Why a request is not answered: `{code, what, mend}`. */
const refusals = {
  400: ['malformed', 'This is no request of HTTP/1.1.', 'Send GET /metrics HTTP/1.1 with a Host.'],
  401: [
    'unauthorized',
    'The token is missing or another.',
    'Send the text of http.token_file as Authorization: Bearer.',
  ],
  404: ['not_found', 'There is no such page.', 'Ask for /metrics, /healthz, /readyz or /version.'],
  405: ['method_not_allowed', 'These pages are only read.', 'Use GET or HEAD.'],
  413: ['too_large', 'These pages take no body.', 'Send none.'],
  431: ['too_large', `The headers are longer than ${HEADER_BYTES} bytes.`, 'Send fewer.'],
  500: ['failed', 'The page could not be made; the event page-failed says why.', 'Try again.'],
} as const;
type Refusal = keyof typeof refusals;

/** Why the pages cannot be offered, by the error of the system; `other` for the rest. */
const listenFaults: Readonly<Record<string, string>> = {
  EADDRINUSE: 'address_in_use',
  EADDRNOTAVAIL: 'no_such_address',
  ENOTFOUND: 'no_such_address',
  EACCES: 'not_permitted',
  ENOENT: 'token_missing',
  EMPTYTOKEN: 'token_missing',
};

/**
 * Offers the pages until the signal aborts. What prevents it is told and counted, and it is tried again: a device does its
 * work without. Rejects only when a page finds the database damaged.
 */
export async function servePages(probe: Probe, signal: AbortSignal, connectionMs = CONNECTION_MS): Promise<void> {
  const { config, ports, metrics } = probe;
  const { host, port, tokenFile } = config.http;
  while (!signal.aborted) {
    try {
      await serveUntil(probe, signal, connectionMs);
    } catch (error) {
      if (isDamage(error)) throw error;
      const { code = '', message: detail } = error as NodeJS.ErrnoException;
      const reason = listenFaults[code] ?? 'other';
      count(metrics.pages.failed, reason);
      ports.tell('http-failed', {
        host,
        port,
        reason,
        detail,
        retryMs: RETRY_MS,
        ...(tokenFile !== undefined && { tokenFile }),
      });
      await ports.clock.sleep(RETRY_MS, signal);
    }
  }
}

/** Rejects when the address cannot be had, and when a page finds damage. */
async function serveUntil(probe: Probe, signal: AbortSignal, connectionMs: number): Promise<void> {
  const { host, port } = probe.config.http;
  const server = createServer({ maxHeaderSize: HEADER_BYTES });
  let stop = (): void => undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      stop = resolve;
      signal.addEventListener('abort', stop);
      server.on('error', reject);
      attachPages(server, probe, connectionMs, reject);
      server.listen(port!, host, () => {
        probe.ports.tell('http', { host, port: (server.address() as AddressInfo).port });
      });
    });
  } finally {
    signal.removeEventListener('abort', stop);
    await close(server);
  }
}

/** `fail` hears of damage. Throws when the token cannot be read. */
function attachPages(server: Server, probe: Probe, connectionMs: number, fail: (error: Error) => void): void {
  const { config, ports, metrics } = probe;
  const token = config.http.tokenFile === undefined ? undefined : readToken(config.http.tokenFile);
  const pages = createPages(probe);
  server.maxConnections = CONNECTIONS;
  server.on('connection', (socket: Socket) => {
    const timer = setTimeout(() => socket.destroy(), connectionMs);
    socket.once('close', () => clearTimeout(timer));
  });
  server.on('request', (request, response) => {
    let answer: Answer;
    try {
      answer = answerTo(pages, token, request);
    } catch (error) {
      if (isDamage(error)) return fail(error as Error);
      ports.tell('page-failed', { page: pathOf(request), detail: (error as Error).message });
      answer = refusal(500);
    }
    count(metrics.pages.answered, String(answer.status));
    send(request, response, answer);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    if (!socket.writable) return void socket.destroy();
    const { status, type, body } = refusal(error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400);
    count(metrics.pages.answered, String(status));
    const head = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, `content-type: ${type}`, 'connection: close'];
    socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve()); // with an error when it never listened, which is no news
    server.closeAllConnections();
  });
}

/** Throws when there is no token: to serve without would open the pages. */
function readToken(path: string): string {
  const token = readFileSync(path, 'latin1').replace(/[ \t\r\n]+$/, ''); // byte by byte, as Node reads headers
  if (token === '') throw Object.assign(new Error('the token file is empty'), { code: 'EMPTYTOKEN' });
  return token;
}

type Page = () => Answer;

function createPages(probe: Probe): ReadonlyMap<string, Page> {
  const { config, ports, metrics, models } = probe;
  const { machine, clock, store } = ports;
  const writable = checkedRarely(
    () => canWrite(store, clock.now()),
    () => clock.monotonicMs(),
  );
  return new Map<string, Page>([
    ['/metrics', () => ({ status: 200, type: contentType, body: exposition(probe) })],
    ['/healthz', () => verdict({ loop: metrics.loopLagMs < MAX_LAG_MS, database: writable() })],
    // The link to the broker is not asked for: a device forecasts and alerts without.
    ['/readyz', () => verdict({ model: models.size > 0 || config.http.degradedOk })],
    ['/version', () => json(200, { version: machine.runtime, node: machine.node, arch: machine.arch })],
  ]);
}

/** 200 when all is well, 503 otherwise, and which is not. */
function verdict(checks: Readonly<Record<string, boolean>>): Answer {
  const ok = Object.values(checks).every(Boolean);
  return json(ok ? 200 : 503, { ok, ...checks });
}

/** Throws when the database is damaged. */
function canWrite(store: Store, nowMs: number): boolean {
  if (store.start === 'full') return false; // in memory, until it is started again
  try {
    store.put('health/checked', String(nowMs));
    return true;
  } catch (error) {
    if (isDamage(error)) throw error;
    return false;
  }
}

function checkedRarely(check: () => boolean, monotonicMs: () => number): () => boolean {
  let checkedMs = -Infinity;
  let result = false;
  return () => {
    if (monotonicMs() - checkedMs < WRITE_CHECK_MS) return result;
    result = check();
    checkedMs = monotonicMs();
    return result;
  };
}

function answerTo(pages: ReadonlyMap<string, Page>, token: string | undefined, request: IncomingMessage): Answer {
  const { method, headers } = request;
  if (token !== undefined && !sameText(headers.authorization ?? '', `Bearer ${token}`)) return refusal(401);
  const page = pages.get(pathOf(request));
  if (page === undefined) return refusal(404);
  if (method !== 'GET' && method !== 'HEAD') return refusal(405);
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0) return refusal(413);
  return page();
}

const pathOf = ({ url = '' }: IncomingMessage): string => url.replace(/\?.*/s, '');

/** In a time that says nothing about where they differ. */
function sameText(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

const json = (status: number, body: object): Answer => ({
  status,
  type: 'application/json',
  body: `${JSON.stringify(body)}\n`,
});

function refusal(status: Refusal): Answer {
  const [code, what, mend] = refusals[status];
  return json(status, { code, where: 'http', what, mend });
}

function send({ method }: IncomingMessage, response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    connection: 'close',
    ...(status === 401 && { 'www-authenticate': 'Bearer' }),
    ...(status === 405 && { allow: 'GET, HEAD' }),
  });
  response.end(method === 'HEAD' ? undefined : body);
}
