import { sign } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadKey } from '../../src/bundle/key.js';
import { readBundle } from '../../src/bundle/pack.js';
import { initRepository, nextRelease, publish, refreshRepository } from '../../src/bundle/repository.js';
import type { Published, Repository } from '../../src/bundle/repository.js';
import { verifyBundle } from '../../src/bundle/verify.js';
import { canonicalJson } from '../../src/contracts/canonical.js';
import { refuse } from '../../src/contracts/reason.js';
import { serveFiles } from '../../src/transport/http.js';
import { createUpdateClient } from '../../src/transport/update-client.js';
import type { UpdateClientOptions } from '../../src/transport/update-client.js';
import { packSample } from '../bundle/sample.js';

const dayMs = 86_400_000;
const cleanups: (() => unknown)[] = [];
let dir: string;
let repository: Repository;
let url: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'nd-update-'));
  cleanups.push(() => rm(dir, { recursive: true, force: true }));
  repository = await initRepository({ dir: join(dir, 'repo') });
  const server = await serveFiles({ dir: repository.servedDir });
  cleanups.push(() => server.close());
  url = server.url;
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const client = async (options: Partial<UpdateClientOptions> = {}) =>
  createUpdateClient({
    trustDir: join(dir, 'trust'),
    url,
    pinnedRoot: await readFile(repository.rootFile),
    now: Date.now,
    clockSynced: () => true,
    transfer: { attempts: 3, retryMs: 1, idleMs: 500 },
    ...options,
  });

async function release(number: number): Promise<Published> {
  await packSample(join(dir, `bundle-${number}`), number);
  return publish({ dir: join(dir, 'repo'), bundleDir: join(dir, `bundle-${number}`) });
}

const staging = () => join(dir, 'staging');
const wanted = ({ line, release, manifestSha256 }: Published) => ({
  line,
  release,
  manifestSha256,
  stagingDir: staging(),
});

/** The served file of a role or target, by the end of its name. */
async function served(ending: string): Promise<string> {
  const names = await readdir(repository.servedDir, { recursive: true });
  return join(
    repository.servedDir,
    names.find((name) => name.endsWith(ending))!,
  );
}

/** Runs our answers first, then the files. */
async function through(listener: (path: string) => RequestListener | undefined): Promise<string> {
  const server = createServer((request, response) => {
    const own = listener(request.url ?? '');
    if (own) return void own(request, response);
    fetch(url + request.url, { headers: request.headers as Record<string, string> }).then(
      async (answer) =>
        response
          .writeHead(answer.status, { 'content-range': answer.headers.get('content-range') ?? '' })
          .end(Buffer.from(await answer.arrayBuffer())),
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('from publishing to the staging folder', () => {
  test('a published bundle arrives whole, and nothing else does', async () => {
    const published = await release(1);
    const progress: number[] = [];
    await mkdir(staging());
    await writeFile(join(staging(), 'left-over'), 'of an earlier attempt');
    const result = await (
      await client()
    ).downloadBundle({ ...wanted(published), onProgress: (done, total) => progress.push(done / total) });
    expect(result).toMatchObject({ ok: true, value: { manifest: { line: 'boiler', release: 1 }, dir: staging() } });
    expect(await verifyBundle(staging())).toEqual([]);
    expect((await readBundle(staging())).manifestSha256).toBe(published.manifestSha256);
    expect(progress.at(-1)).toBe(1);
    expect((await readdir(staging())).sort()).toEqual([
      'card.md',
      'golden.safetensors',
      'manifest.json',
      'model.fp32.onnx',
    ]);
  });

  test('the fleet key is a target like any other', async () => {
    const read = await (await client()).readTarget('keys/fleet.json', 4096);
    if (!read.ok) throw new Error(read.detail);
    expect(JSON.parse(Buffer.from(read.value).toString())).toMatchObject({
      keys: [{ public: repository.fleetKey.publicHex }],
    });
    expect(await (await client()).readTarget('keys/fleet.json', 10)).toMatchObject({ reason: 'too_large' });
  });

  test('releases rise; the same bundle again changes nothing; an older one is refused', async () => {
    expect(await nextRelease({ dir: join(dir, 'repo'), line: 'boiler' })).toBe(1);
    const first = await release(1);
    await release(3);
    expect(await nextRelease({ dir: join(dir, 'repo'), line: 'boiler' })).toBe(4);
    expect(await release(1)).toEqual(first);
    await expect(release(2)).rejects.toMatchObject({ code: 'ND_BUNDLE_ROLLBACK_REFUSED' });
  });

  test('a device follows: each refresh sees what is new', async () => {
    const first = await release(1);
    const device = await client();
    expect(await device.downloadBundle(wanted(first))).toMatchObject({ ok: true });
    const second = await release(2);
    expect(await device.downloadBundle(wanted(second))).toMatchObject({ reason: 'bad_signature' }); // not vouched for by what it knows
    expect(await device.refresh()).toMatchObject({ ok: true });
    expect(await device.downloadBundle(wanted(second))).toMatchObject({ ok: true });
  });

  test('private keys are not served', async () => {
    const names = await readdir(repository.servedDir, { recursive: true });
    expect(names.filter((name) => name.endsWith('.pem'))).toEqual([]);
    expect((await fetch(`${url}/../keys/root.pem`)).status).toBe(404);
  });

  test('a broken bundle is not published, with all that is wrong', async () => {
    await packSample(join(dir, 'bad'), 1);
    await writeFile(join(dir, 'bad', 'card.md'), 'release 7');
    await writeFile(join(dir, 'bad', 'extra'), 'x');
    await expect(publish({ dir: join(dir, 'repo'), bundleDir: join(dir, 'bad') })).rejects.toThrow(
      /extra: .*card\.md: .*ND_BUNDLE_HASH_MISMATCH/,
    );
  });

  test('a second init keeps the keys of the first', async () => {
    await expect(initRepository({ dir: join(dir, 'repo') })).rejects.toMatchObject({ code: 'ND_FILE_EXISTS' });
  });
});

describe('what a device refuses', () => {
  test('a bundle nobody signed', async () => {
    expect(
      await (
        await client()
      ).downloadBundle({ line: 'boiler', release: 9, manifestSha256: 'ab'.repeat(32), stagingDir: staging() }),
    ).toMatchObject({ reason: 'bad_signature' });
  });

  test('another manifest than the fleet named', async () => {
    const published = await release(1);
    expect(
      await (await client()).downloadBundle({ ...wanted(published), manifestSha256: 'ab'.repeat(32) }),
    ).toMatchObject({ reason: 'mix_and_match' });
  });

  test('a release its own check turns down, before any file is fetched', async () => {
    const published = await release(1);
    const accept = () => refuse('rollback_refused', 'below the floor');
    expect(await (await client()).downloadBundle({ ...wanted(published), accept })).toMatchObject({
      reason: 'rollback_refused',
    });
    await expect(readdir(staging())).rejects.toThrow();
  });

  test('a tampered model, and leaves no trace of it', async () => {
    const published = await release(1);
    const model = await served('model.fp32.onnx');
    const bytes = await readFile(model);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(model, bytes);
    expect(await (await client()).downloadBundle(wanted(published))).toMatchObject({ reason: 'hash_mismatch' });
    expect(await readdir(staging())).not.toContain('model.fp32.onnx');
    expect(await readdir(staging())).not.toContain('manifest.json');
  });

  test('a tampered manifest', async () => {
    const published = await release(1);
    const manifest = await served('.manifest.json');
    await writeFile(manifest, (await readFile(manifest, 'utf8')).replace('1.1.0', '9.9.9'));
    expect(await (await client()).downloadBundle(wanted(published))).toMatchObject({ reason: 'hash_mismatch' });
  });

  test.each([
    ['timestamp.json', 'bad_signature'],
    ['1.snapshot.json', 'mix_and_match'],
    ['1.targets.json', 'mix_and_match'],
  ])('tampered metadata in %s', async (name, reason) => {
    const path = join(repository.servedDir, 'metadata', name);
    await writeFile(path, (await readFile(path, 'utf8')).replace(/"expires":"20/, '"expires":"29'));
    expect(await (await client()).refresh()).toMatchObject({ ok: false, reason });
  });

  test.each([
    ['no JSON', '{', 'malformed'],
    ['another role', '1.targets.json', 'wrong_role'],
  ])('a timestamp that is %s', async (_, text, reason) => {
    const content = text.endsWith('.json') ? await readFile(join(repository.servedDir, 'metadata', text)) : text;
    await writeFile(join(repository.servedDir, 'metadata', 'timestamp.json'), content);
    expect(await (await client()).refresh()).toMatchObject({ ok: false, reason });
  });

  test('a repository that is not the one it pinned', async () => {
    const stranger = await initRepository({ dir: join(dir, 'stranger') });
    expect(await (await client({ pinnedRoot: await readFile(stranger.rootFile) })).refresh()).toMatchObject({
      reason: 'bad_signature',
    });
  });

  test('an expired timestamp, but only once its clock is synced', async () => {
    const later = () => Date.now() + 2 * dayMs;
    expect(await (await client({ now: later })).refresh()).toMatchObject({ reason: 'frozen' });
    expect(await (await client({ now: later, clockSynced: () => false })).refresh()).toMatchObject({ ok: true });
    await refreshRepository({ dir: join(dir, 'repo'), nowMs: later() });
    expect(await (await client({ now: later })).refresh()).toMatchObject({ ok: true });
  });

  test('metadata that never expires, since its end is no date', async () => {
    const path = join(repository.servedDir, 'metadata', 'timestamp.json');
    const { signed } = JSON.parse(await readFile(path, 'utf8')) as { signed: object };
    const endless = { ...signed, expires: 'never' };
    const { keyId, privateKey } = await loadKey(join(repository.keysDir, 'timestamp.pem'));
    const sig = sign(null, Buffer.from(canonicalJson(endless)), privateKey).toString('hex');
    await writeFile(path, JSON.stringify({ signed: endless, signatures: [{ keyid: keyId, sig }] }));
    expect(await (await client()).refresh()).toMatchObject({ reason: 'malformed' });
  });

  test('an older state of the repository than it has seen', async () => {
    await cp(join(repository.servedDir, 'metadata'), join(dir, 'old'), { recursive: true });
    await release(1);
    expect(await (await client()).refresh()).toMatchObject({ ok: true });
    await cp(join(dir, 'old'), join(repository.servedDir, 'metadata'), { recursive: true });
    expect(await (await client()).refresh()).toMatchObject({ reason: 'rollback_refused' });
  });
});

describe('what a network does', () => {
  const card = (listener: RequestListener) => through((path) => (path.endsWith('card.md') ? listener : undefined));

  test('no server', async () => {
    expect(await (await client({ url: 'http://127.0.0.1:1' })).refresh()).toMatchObject({
      reason: 'unreachable',
      detail: expect.stringMatching(/ECONNREFUSED/) as string,
    });
  });

  test('what is told of a URL lets nobody in', async () => {
    const base = (await through(() => (_, response) => response.writeHead(401).end())).replace('//', '//me:secret@');
    expect(await (await client({ url: `${base}/secret` })).refresh()).toMatchObject({
      reason: 'unreachable',
      detail: expect.stringMatching(/^127\.0\.0\.1:\d+\/…\/2\.root\.json answered 401$/) as string,
    });
  });

  test('an error instead of a file', async () => {
    const published = await release(1);
    const base = await card((_, response) => response.writeHead(500).end());
    expect(await (await client({ url: base })).downloadBundle(wanted(published))).toMatchObject({
      reason: 'unreachable',
      detail: expect.stringMatching(/500/) as string,
    });
  });

  test('a body that never ends is cut at the declared length', async () => {
    const published = await release(1);
    let sent = 0;
    const base = await card((_, response) => {
      const timer = setInterval(() => {
        sent += 4;
        response.write('more');
      }, 1);
      response.on('close', () => clearInterval(timer));
    });
    expect(await (await client({ url: base })).downloadBundle(wanted(published))).toMatchObject({
      reason: 'endless_data',
    });
    expect(sent).toBeLessThan(1000);
    expect(await readdir(staging())).not.toContain('card.md.part');
  });

  test('metadata that never ends is cut at its cap', async () => {
    const base = await through((path) =>
      path.endsWith('timestamp.json') ? (_, response) => void response.end(Buffer.alloc(100_000, ' ')) : undefined,
    );
    expect(await (await client({ url: base })).refresh()).toMatchObject({ reason: 'too_large' });
  });

  test('a body that breaks off is resumed from where it broke', async () => {
    const published = await release(1);
    const ranges: (string | undefined)[] = [];
    const base = await card((request, response) => {
      ranges.push(request.headers.range);
      if (request.headers.range === undefined) {
        response.writeHead(200, { 'content-length': 9 });
        response.write('relea');
        return void setTimeout(() => response.destroy(), 50); // after the bytes have arrived
      }
      response.writeHead(206, { 'content-range': 'bytes 5-8/9' });
      return void response.end('se 1');
    });
    expect(await (await client({ url: base })).downloadBundle(wanted(published))).toMatchObject({ ok: true });
    expect(ranges).toEqual([undefined, 'bytes=5-']);
    expect(await readFile(join(staging(), 'card.md'), 'utf8')).toBe('release 1');
  });

  test('what was there from elsewhere and does not fit is fetched anew', async () => {
    const published = await release(1);
    await mkdir(staging());
    await writeFile(join(staging(), 'card.md.part'), 'other');
    expect(await (await client()).downloadBundle(wanted(published))).toMatchObject({ ok: true });
    expect(await readFile(join(staging(), 'card.md'), 'utf8')).toBe('release 1');
  });

  test('a body that is too short is no whole file', async () => {
    const published = await release(1);
    const base = await card((_, response) => response.end('relea'));
    expect(await (await client({ url: base })).downloadBundle(wanted(published))).toMatchObject({
      reason: 'hash_mismatch',
      detail: expect.stringMatching(/5 bytes/) as string,
    });
  });

  test('silence is given up', async () => {
    const published = await release(1);
    const base = await card(() => undefined);
    expect(
      await (await client({ url: base, transfer: { idleMs: 30 } })).downloadBundle(wanted(published)),
    ).toMatchObject({ reason: 'timed_out' });
  });

  test('a trickle is given up', async () => {
    const published = await release(1);
    const base = await card((_, response) => {
      const timer = setInterval(() => response.write('r'), 10);
      response.on('close', () => clearInterval(timer));
    });
    expect(
      await (
        await client({ url: base, transfer: { slowWindowMs: 20, idleMs: 1000 } })
      ).downloadBundle(wanted(published)),
    ).toMatchObject({ reason: 'slow_retrieval' });
  });
});

describe('the trust state', () => {
  test('survives a damaged root: the pinned one takes over, the rest still guards against rollback', async () => {
    await cp(join(repository.servedDir, 'metadata'), join(dir, 'old'), { recursive: true });
    await release(1);
    expect(await (await client()).refresh()).toMatchObject({ ok: true });
    await writeFile(join(dir, 'trust', 'root.json'), 'half a');
    expect(await (await client()).refresh()).toMatchObject({ ok: true });
    await writeFile(join(dir, 'trust', 'root.json'), '');
    await cp(join(dir, 'old'), join(repository.servedDir, 'metadata'), { recursive: true });
    expect(await (await client()).refresh()).toMatchObject({ reason: 'rollback_refused' });
  });

  test('is kept between runs', async () => {
    await (await client()).refresh();
    expect((await readdir(join(dir, 'trust'))).sort()).toEqual([
      'root.json',
      'snapshot.json',
      'targets.json',
      'timestamp.json',
    ]);
  });
});
