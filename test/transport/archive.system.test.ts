import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { limits } from '../../src/contracts/limit.js';
import { tarEnd, tarPadding, writeTarHeader } from '../../src/contracts/tar.js';
import { openArchive } from '../../src/transport/archive.js';
import { downloadBytes, downloadFile, transferDefaults } from '../../src/transport/download.js';

let dir: string;
let file: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'nd-archive-'));
  file = join(dir, 'boiler 12.ndb');
});
afterAll(() => rmSync(dir, { recursive: true }));

type Files = readonly (readonly [path: string, content: Uint8Array])[];
const tar = (files: Files): Buffer =>
  Buffer.concat([
    ...files.flatMap(([path, content]) => {
      const header = writeTarHeader({ path, length: content.length });
      if (!header.ok) throw new Error(header.detail);
      return [header.value, content, Buffer.alloc(tarPadding(content.length))];
    }),
    tarEnd,
  ]);

async function readAll(bytes: Uint8Array): Promise<Map<string, Buffer> | string> {
  writeFileSync(file, bytes);
  return readFile(file);
}

/** All entries, or the reason of the refusal. */
async function readFile(path: string): Promise<Map<string, Buffer> | string> {
  const opened = await openArchive(path);
  if (!opened.ok) return opened.reason;
  const { url, entries, get, close } = opened.value;
  const contents = new Map<string, Buffer>();
  for (const name of entries) {
    const read = await downloadBytes(`${url}/${name}`, 10_000, { limits: transferDefaults, get });
    if (!read.ok) throw new Error(read.detail);
    contents.set(name, read.value);
  }
  await close();
  return contents;
}

const segment = fc.stringMatching(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}$/);
const someFiles = fc.uniqueArray(
  fc.tuple(
    fc.oneof(
      segment.map((name) => `metadata/${name}.json`),
      fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => `targets/${parts.join('/')}`),
    ),
    fc.uint8Array({ maxLength: 2000 }),
  ),
  { selector: ([path]) => path, maxLength: 8 },
);

test('what was put in comes out', async () => {
  await fc.assert(
    fc.asyncProperty(someFiles, async (files) => {
      expect(await readAll(tar(files))).toEqual(new Map(files.map(([path, bytes]) => [path, Buffer.from(bytes)])));
    }),
    { numRuns: 50 },
  );
});

test('damage is refused or harmless, and never thrown', async () => {
  const damage = fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(255)), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(someFiles, damage, fc.double({ min: 0, max: 1, noNaN: true }), async (files, changes, share) => {
      const bytes = tar(files);
      for (const [at, byte] of changes) bytes[Math.floor(at * (bytes.length - 1))] = byte;
      const read = await readAll(bytes.subarray(0, Math.ceil(share * bytes.length)));
      if (typeof read === 'string') expect(['malformed', 'unsafe_path']).toContain(read);
    }),
    { numRuns: 200 },
  );
});

describe('an archive is refused', () => {
  const one = [['targets/a', Buffer.from('a')]] as const;
  const whole = tar(one);
  test.each<[string, Uint8Array, string]>([
    ['empty', Buffer.alloc(0), 'malformed'],
    ['of noise', Buffer.alloc(2048, 'x'), 'malformed'],
    ['without its end', whole.subarray(0, -1024), 'malformed'],
    ['with one of the two blocks of its end', whole.subarray(0, -512), 'malformed'],
    ['cut in a content', tar([['targets/a', Buffer.alloc(5000)]]).subarray(0, 3000), 'malformed'],
    ['with something after its end', Buffer.concat([whole, whole]), 'malformed'],
    ['with a megabyte of nothing after its end', Buffer.concat([whole, Buffer.alloc(1024 * 1024)]), 'malformed'],
    ['with a path that is absolute', tar([['/etc/passwd', Buffer.alloc(1)]]), 'unsafe_path'],
    ['with a path that leads out', tar([['targets/../../x', Buffer.alloc(1)]]), 'unsafe_path'],
    ['with a path that begins with a point', tar([['./targets/a', Buffer.alloc(1)]]), 'unsafe_path'],
    ['with a backslash', tar([['targets\\a', Buffer.alloc(1)]]), 'unsafe_path'],
    ['with a name of no update', tar([['run.sh', Buffer.alloc(1)]]), 'unsafe_path'],
    ['with a name twice', tar([...one, ...one]), 'unsafe_path'],
    ['with too many entries', tar(Array.from({ length: limits.archiveEntries + 1 }, (_, i) => [`targets/${i}`, Buffer.alloc(0)])), 'too_large'],
  ])('%s', async (_, bytes, reason) => {
    expect(await readAll(bytes)).toBe(reason);
  }); // prettier-ignore

  test('that is no regular file, is not there, or is too large', async () => {
    writeFileSync(file, whole);
    const link = join(dir, 'link.ndb');
    symlinkSync(file, link);
    expect(await readFile(link)).toBe('unsafe_path');
    const pipe = join(dir, 'pipe.ndb');
    execFileSync('mkfifo', [pipe]);
    expect(await readFile(pipe)).toBe('unsafe_path');
    expect(await readFile(dir)).toBe('unsafe_path');
    expect(await readFile(join(dir, 'none.ndb'))).toBe('unreachable');
    truncateSync(file, limits.archiveBytes + 1);
    expect(await readFile(file)).toBe('too_large');
  });
});

test('what is not in it is said so; what is cut off while it is read breaks the transfer', async () => {
  writeFileSync(file, tar([['targets/a', Buffer.alloc(200_000)]]));
  const opened = await openArchive(file);
  if (!opened.ok) throw new Error(opened.detail);
  const { url, get, close } = opened.value;
  await expect(get(`${url}/targets/b`, {}, transferDefaults)).rejects.toMatchObject({
    status: 404,
    message: 'boiler%2012.ndb/…/b is not in the file',
  });
  truncateSync(file, 1000);
  const answer = await get(`${url}/targets/a`, {}, transferDefaults);
  answer.resume();
  await once(answer, 'end');
  expect((answer as unknown as { bytesRead: number }).bytesRead).toBe(488);
  await close();
});

test('a stick that is pulled out while it is read may come back', async () => {
  writeFileSync(file, tar([['targets/a', Buffer.from('a')]]));
  const opened = await openArchive(file);
  if (!opened.ok) throw new Error(opened.detail);
  const { url, get, close } = opened.value;
  await close(); // the next read fails, as one of a device that is gone does
  const limits = { ...transferDefaults, attempts: 2, retryMs: 1 };
  expect(
    await downloadFile(`${url}/targets/a`, join(dir, 'a'), { length: 1, hashes: { sha256: '' } }, { limits, get }),
  ).toMatchObject({ ok: false, reason: 'unreachable' });
});

describe('GNU tar', () => {
  const files: Files = [
    ['metadata/timestamp.json', Buffer.from('{}')],
    [`targets/${'l'.repeat(64)}/1/${'a'.repeat(64)}.manifest.json`, Buffer.alloc(1300, 'm')],
    ['targets/empty', Buffer.alloc(0)],
  ];

  test('lists and extracts what we write', () => {
    writeFileSync(file, tar(files));
    const listed = execFileSync('tar', ['-tvf', file], { encoding: 'utf8' });
    for (const [path] of files) expect(listed).toMatch(new RegExp(`^-rw-r--r-- .* ${path}$`, 'm'));
    const to = join(dir, 'extracted');
    mkdirSync(to);
    execFileSync('tar', ['-xf', file, '-C', to]);
    for (const [path, content] of files) expect(readFileSync(join(to, path)).equals(content)).toBe(true);
  });

  test('writes what we take, as --format=ustar; other formats and folders are refused', async () => {
    const from = join(dir, 'from');
    for (const [path, content] of files) {
      mkdirSync(dirname(join(from, path)), { recursive: true });
      writeFileSync(join(from, path), content);
    }
    const pack = (format: string, ...names: string[]) =>
      execFileSync('tar', [`--format=${format}`, '-cf', file, '-C', from, ...names]);
    const names = files.map(([path]) => path);
    pack('ustar', ...names);
    expect(await readFile(file)).toEqual(new Map(files.map(([path, bytes]) => [path, bytes])));
    pack('ustar', 'metadata');
    expect(await readFile(file)).toBe('unsafe_path');
    pack('gnu', ...names);
    expect(await readFile(file)).toBe('malformed');
    pack('pax', ...names);
    expect(await readFile(file)).toBe('unsafe_path');
  });
});
