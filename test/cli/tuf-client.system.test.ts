/** `nd tuf-client` on the command line of tuf-conformance, and that suite itself where a checkout of it is at hand. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { initRepository } from '../../src/bundle/repository.js';
import type { Repository } from '../../src/bundle/repository.js';
import { nd } from './nd.js';

let dir: string;
let repository: Repository;
let asked: string[];
let url: string;
let close: () => void;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'nd-tuf-'));
  repository = await initRepository({ dir: join(dir, 'repo') });
  asked = [];
  const server = createServer((request, response) => {
    asked.push(request.url!);
    const file = join(repository.servedDir, decodeURIComponent(request.url!));
    if (existsSync(file)) response.end(readFileSync(file));
    else response.writeHead(404).end();
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  close = () => server.close();
});
afterEach(() => {
  close();
  rmSync(dir, { recursive: true });
});

const client = (...args: string[]) => nd(['tuf-client', '--metadata-dir', 'trust', ...args], { cwd: dir });
const refresh = () => client('--metadata-url', `${url}/metadata`, 'refresh');
const download = (name: string) =>
  client('--metadata-url', `${url}/metadata`, '--target-name', name, '--target-base-url', `${url}/targets`, '--target-dir', '.', 'download'); // prettier-ignore
const trusted = (): string[] => readdirSync(join(dir, 'trust')).filter((name) => name.endsWith('.json')).sort(); // prettier-ignore

test('init pins a root, refresh follows the metadata, download fetches a verified target', async () => {
  expect(await client('init', repository.rootFile)).toMatchObject({ code: 0 });
  expect(trusted()).toEqual(['root.json']);
  expect(await refresh()).toMatchObject({ code: 0 });
  expect(trusted()).toEqual(expect.arrayContaining(['root.json', 'snapshot.json', 'targets.json', 'timestamp.json']));
  expect(await download('keys/fleet.json')).toMatchObject({ code: 0 });
  const file = join(dir, encodeURIComponent('keys/fleet.json'));
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ keys: [{ public: repository.fleetKey.publicHex }] });
  expect(asked.some((path) => /\/targets\/keys\/[0-9a-f]{64}\.fleet\.json$/.test(path))).toBe(true);
});

test('what is refused ends with 1 and a reason, and leaves what was trusted', async () => {
  await client('init', repository.rootFile);
  expect(await refresh()).toMatchObject({ code: 0 });
  const before = readFileSync(join(dir, 'trust', 'timestamp.json'), 'utf8');
  const path = join(repository.servedDir, 'metadata', 'timestamp.json');
  writeFileSync(path, readFileSync(path, 'utf8').replace('"expires":"20', '"expires":"29'));
  expect(await refresh()).toMatchObject({ code: 1, stderr: expect.stringMatching(/refused: bad_signature/) as string });
  expect(readFileSync(join(dir, 'trust', 'timestamp.json'), 'utf8')).toBe(before);
});

test('a target that nobody vouches for, or whose bytes are others, is not written', async () => {
  await client('init', repository.rootFile);
  expect(await download('keys/other.json')).toMatchObject({ code: 1 });
  const keys = join(repository.servedDir, 'targets', 'keys');
  for (const name of readdirSync(keys)) writeFileSync(join(keys, name), '{}');
  expect(await download('keys/fleet.json')).toMatchObject({ code: 1, stderr: expect.stringMatching(/hash_mismatch/) as string }); // prettier-ignore
  expect(readdirSync(dir).filter((name) => name.includes('json'))).toEqual([]);
});

test('an argument that is missing is a usage error', async () => {
  expect(await client('init')).toMatchObject({ code: 2, stderr: expect.stringContaining('ND_CLI_USAGE') as string });
});

const suite = process.env['ND_TUF_CONFORMANCE'];
test.skipIf(suite === undefined)(
  'the public suite passes (needs ND_TUF_CONFORMANCE, a checkout of tuf-conformance, and ND_TUF_PYTHON with its requirements)',
  () => {
    const entry = join(dir, 'client.sh');
    writeFileSync(entry, `#!/bin/sh\nexec "${process.execPath}" "${resolve('dist/cli/main.js')}" tuf-client "$@"\n`, { mode: 0o755 }); // prettier-ignore
    const { status, stdout } = spawnSync(
      process.env['ND_TUF_PYTHON'] ?? 'python3',
      ['-m', 'pytest', '-q', 'tuf_conformance', '--entrypoint', entry],
      { cwd: suite, encoding: 'utf8' },
    );
    expect(status, stdout.slice(-3000)).toBe(0);
  },
  1_200_000,
);
