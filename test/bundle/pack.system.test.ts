import { mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createKey, loadKey, saveKey } from '../../src/bundle/key.js';
import { packBundle, readBundle } from '../../src/bundle/pack.js';
import type { PackOptions } from '../../src/bundle/pack.js';
import { verifyBundle } from '../../src/bundle/verify.js';
import { encodeModel, identityModel, packSample, sampleFiles, sampleManifest } from './sample.js';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'nd-bundle-'));
});
afterEach(() => rm(dir, { recursive: true }));
const bundle = () => join(dir, 'bundle');

describe('packing', () => {
  test('writes a sound bundle that reads back, the same bytes each time', async () => {
    const packed = await packSample(bundle());
    expect(await verifyBundle(bundle())).toEqual([]);
    expect(await readBundle(bundle())).toEqual(packed);
    expect(packed.manifest).toMatchObject({
      opset: 21,
      ops: ['Add'],
      files: [{ path: 'model.fp32.onnx' }, { length: expect.any(Number) as number }, {}],
    });
    expect((await packSample(bundle())).manifestSha256).toBe(packed.manifestSha256);
  });

  test.each(['../escape', '/etc/passwd', 'a/../../b', 'a\\b'])('refuses the path %j', async (path) => {
    const files = { ...sampleFiles(), [path]: { role: 'other' as const, content: 'x' } };
    await expect(packBundle({ dir: bundle(), manifest: sampleManifest(1), files })).rejects.toMatchObject({
      code: 'ND_BUNDLE_UNSAFE_PATH',
    });
  });

  test('refuses a manifest that does not agree with itself', async () => {
    const manifest = { ...sampleManifest(1), horizon: 3 };
    await expect(packBundle({ dir: bundle(), manifest, files: sampleFiles() })).rejects.toThrow(
      /scores are one per step of the horizon.*ND_BUNDLE_MALFORMED/,
    );
  });

  test('takes what tuning needs as a whole: a training graph with its plan, and a template', async () => {
    const pack = (files: PackOptions['files']) =>
      packBundle({ dir: bundle(), manifest: sampleManifest(1), files: { ...sampleFiles(), ...files } });
    const template = { role: 'template', content: encodeModel(identityModel) } as const;
    const train = { ...template, role: 'train' } as const; // without a plan
    const halves: PackOptions['files'][] = [
      { 'a.onnx': train },
      { 'a.onnx': template },
      { 'a.onnx': train, 'b.onnx': train, 'c.onnx': template },
    ];
    for (const half of halves) await expect(pack(half)).rejects.toThrow(/train and template come together/);
    await pack({ 'a.onnx': train, 'b.onnx': template });
    expect(await verifyBundle(bundle())).toMatchObject([{ where: 'a.onnx', reason: 'malformed' }]);
  });

  test('refuses to empty a folder that holds no bundle', async () => {
    await writeFile(join(dir, 'thesis.txt'), 'years of work');
    await expect(packBundle({ dir, manifest: sampleManifest(1), files: sampleFiles() })).rejects.toMatchObject({
      code: 'ND_FILE_EXISTS',
    });
    expect(await readFile(join(dir, 'thesis.txt'), 'utf8')).toBe('years of work');
  });
});

describe('verifying', () => {
  beforeEach(() => packSample(bundle()));

  test.each<[string, () => Promise<unknown>, object]>([
    [
      'a changed byte',
      () => writeFile(join(bundle(), 'card.md'), 'release 2'),
      { where: 'card.md', code: 'ND_BUNDLE_HASH_MISMATCH' },
    ],
    [
      'a changed length',
      () => writeFile(join(bundle(), 'card.md'), 'longer than before'),
      { where: 'card.md', code: 'ND_BUNDLE_HASH_MISMATCH', detail: expect.stringMatching(/18 bytes/) as string },
    ],
    [
      'a missing file',
      () => rm(join(bundle(), 'golden.safetensors')),
      { where: 'golden.safetensors', code: 'ND_BUNDLE_MALFORMED' },
    ],
    [
      'an unlisted file',
      () => writeFile(join(bundle(), 'extra.so'), 'x'),
      { where: 'extra.so', code: 'ND_BUNDLE_UNSAFE_PATH' },
    ],
    [
      'a manifest that is no JSON',
      () => writeFile(join(bundle(), 'manifest.json'), '{'),
      { where: 'manifest.json', code: 'ND_BUNDLE_MALFORMED' },
    ],
    [
      'a manifest of 65 kB',
      () => writeFile(join(bundle(), 'manifest.json'), ' '.repeat(65_537)),
      { code: 'ND_BUNDLE_TOO_LARGE' },
    ],
    ['no manifest', () => rm(join(bundle(), 'manifest.json')), { code: 'ND_BUNDLE_MALFORMED' }],
  ])('finds %s', async (_, damage, expected) => {
    await damage();
    expect(await verifyBundle(bundle())).toMatchObject([expected]);
  });

  test('finds a link in place of a file', async () => {
    await rm(join(bundle(), 'card.md'));
    await symlink('/etc/hostname', join(bundle(), 'card.md'));
    expect(await verifyBundle(bundle())).toMatchObject([{ where: 'card.md', code: 'ND_BUNDLE_UNSAFE_PATH' }]);
  });

  test('finds a model that is none, and golden vectors that do not fit', async () => {
    const files = { ...sampleFiles(), 'golden.safetensors': { role: 'golden' as const, content: 'not tensors' } };
    await packBundle({ dir: bundle(), manifest: sampleManifest(1), files });
    expect(await verifyBundle(bundle())).toMatchObject([{ where: 'golden.safetensors', code: 'ND_BUNDLE_MALFORMED' }]);
    await packBundle({
      dir: bundle(),
      manifest: { ...sampleManifest(1), golden: { cases: 2, tolerance: { fp32: 1e-5 } } },
      files: sampleFiles(),
    });
    expect(await verifyBundle(bundle())).toMatchObject([{ detail: '1 golden cases, the manifest says 2' }]);
  });

  test('lists all findings at once', async () => {
    await writeFile(join(bundle(), 'card.md'), 'release 2');
    await writeFile(join(bundle(), 'extra'), 'x');
    await rm(join(bundle(), 'model.fp32.onnx'));
    expect(await verifyBundle(bundle())).toHaveLength(3);
  });

  test('a folder that is no bundle is not read', async () => {
    await expect(readBundle(dir)).rejects.toMatchObject({ code: 'ND_FILE_NOT_FOUND' });
  });
});

describe('keys', () => {
  test('are saved for their owner only, read back, and never overwritten', async () => {
    const key = createKey();
    const path = join(dir, 'keys', 'release.pem');
    await saveKey(path, key);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await loadKey(path)).toMatchObject({ keyId: key.keyId, publicHex: key.publicHex });
    await expect(saveKey(path, createKey())).rejects.toMatchObject({ code: 'ND_FILE_EXISTS' });
  });

  test('that are missing or damaged are said so', async () => {
    await expect(loadKey(join(dir, 'none.pem'))).rejects.toMatchObject({ code: 'ND_FILE_NOT_FOUND' });
    await writeFile(join(dir, 'bad.pem'), 'hello');
    await expect(loadKey(join(dir, 'bad.pem'))).rejects.toMatchObject({ code: 'ND_FILE_CORRUPT' });
  });
});
