import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serveFiles } from '../../src/transport/http.js';
import type { FileServer } from '../../src/transport/http.js';

const content = 'abcdefghij';
const etag = `"${createHash('sha256').update(content).digest('hex')}"`;
let dir: string;
let server: FileServer;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'nd-http-'));
  await mkdir(join(dir, 'public', 'sub'), { recursive: true });
  await writeFile(join(dir, 'secret.pem'), 'private');
  await writeFile(join(dir, 'public', 'letters.txt'), content);
  await writeFile(join(dir, 'public', 'sub', 'empty.json'), '');
  await symlink(join(dir, 'secret.pem'), join(dir, 'public', 'link'));
  server = await serveFiles({ dir: join(dir, 'public') });
});
afterAll(async () => {
  await server.close();
  await rm(dir, { recursive: true });
});

const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  fetch(server.url + path, { headers, method });

test('a file with its ETag; HEAD gives the same without the body', async () => {
  const response = await get('/letters.txt?x=1');
  expect(response.headers.get('etag')).toBe(etag);
  expect(await response.text()).toBe(content);
  const head = await get('/letters.txt', {}, 'HEAD');
  expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '10', '']);
  expect(await (await get('/sub/empty.json')).text()).toBe('');
  expect((await get('/letters.txt', { 'if-none-match': etag })).status).toBe(304);
});

test.each([
  ['bytes=2-4', 206, 'cde'],
  ['bytes=7-', 206, 'hij'],
  ['bytes=-3', 206, 'hij'],
  ['bytes=-30', 206, content],
  ['bytes=5-500', 206, 'fghij'],
  ['bytes=10-', 416, ''],
  ['bytes=-0', 416, ''],
  ['bytes=4-2', 200, content],
  ['bytes=0-1,3-4', 200, content],
  ['lines=1-2', 200, content],
  ['bytes=-', 200, content],
] as const)('range %s', async (range, status, text) => {
  const response = await get('/letters.txt', { range });
  expect([response.status, await response.text()]).toEqual([status, text]);
});

test('a range of what is no longer there gives the whole new file', async () => {
  expect((await get('/letters.txt', { range: 'bytes=2-4', 'if-range': '"older"' })).status).toBe(200);
  expect((await get('/letters.txt', { range: 'bytes=2-4', 'if-range': etag })).status).toBe(206);
});

/** A request line as it stands, which no client library would send. */
const raw = (target: string) =>
  new Promise<string>((resolve, reject) => {
    let answer = '';
    const socket = connect(server.port, '127.0.0.1', () =>
      socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`),
    );
    socket
      .on('data', (data) => (answer += data.toString()))
      .on('end', () => resolve(answer))
      .on('error', reject);
  });

test.each([
  '/../secret.pem',
  '/%2e%2e/secret.pem',
  '/sub/..%2f..%2fsecret.pem',
  '/..%5csecret.pem',
  '/link',
  '/%00',
  '/%zz',
  '//etc/passwd',
  '/',
  '/sub',
  '/none',
])('nothing is served at %s', async (target) => {
  const answer = await raw(target);
  expect(answer).toMatch(/^HTTP\/1\.1 404 /);
  expect(answer).not.toMatch(/private|root:/);
});

test('only GET and HEAD are answered', async () => {
  const response = await get('/letters.txt', {}, 'PUT');
  expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
});
