import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readTarHeader, tarBlock, tarPadding, writeTarHeader } from '../../src/contracts/tar.js';

const written = (path: string, length: number): Buffer => {
  const header = writeTarHeader({ path, length });
  if (!header.ok) throw new Error(header.detail);
  return header.value;
};

/** Another header: bytes put in place, and the checksum made right again, as whoever forges one would. */
function forged(at: number, bytes: string, path = 'targets/model.onnx'): Buffer {
  const block = written(path, 10);
  block.write(bytes, at, 'latin1');
  block.fill(' ', 148, 156);
  block.write(
    `${block
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
  return block;
}

const path = fc
  .array(fc.stringMatching(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$/), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join('/'));

test('what is written is read again, or does not fit', () => {
  fc.assert(
    fc.property(path, fc.integer({ min: 0, max: 8 ** 11 - 1 }), (name, length) => {
      const header = writeTarHeader({ path: name, length });
      if (header.ok) expect(readTarHeader(header.value)).toEqual({ ok: true, value: { path: name, length } });
      else expect(name.length).toBeGreaterThan(100);
    }),
  );
});

test('names and folders are cut where they fit', () => {
  const folder = 'f'.repeat(155);
  const name = 'n'.repeat(100);
  expect(readTarHeader(written(`${folder}/${name}`, 1))).toMatchObject({ value: { path: `${folder}/${name}` } });
  expect(writeTarHeader({ path: `${folder}f/${name}`, length: 1 })).toMatchObject({ reason: 'unsafe_path' });
  expect(writeTarHeader({ path: `${name}n`, length: 1 })).toMatchObject({ reason: 'unsafe_path' });
  expect(writeTarHeader({ path: 'x', length: 8 ** 11 })).toMatchObject({ reason: 'too_large' });
});

test('contents are filled up to whole blocks', () => {
  expect([0, 1, 511, 512, 513].map(tarPadding)).toEqual([0, 511, 1, 0, 511]);
});

describe('a header is refused', () => {
  const type = 156;
  test.each([
    ['1', 'a hard link'],
    ['2', 'a symbolic link'],
    ['3', 'a character device'],
    ['4', 'a block device'],
    ['5', 'a folder'],
    ['6', 'a pipe'],
    ['S', 'a sparse file'],
    ['x', 'type "x"'],
    ['g', 'type "g"'],
    ['L', 'type "L"'],
    ['\0', 'type'],
  ])('of type %j: %s', (kind, detail) => {
    expect(readTarHeader(forged(type, kind))).toMatchObject({
      reason: 'unsafe_path',
      detail: expect.stringContaining(detail) as string,
    });
  });

  test.each([
    ['GNU’s own format', forged(257, 'ustar  \0'), 'a header is not of the ustar format'],
    [
      'a size in base 256',
      forged(124, '\x80\0\0\0\0\0\0\0\0\0\0\x01'),
      'the size of "targets/model.onnx" is no number',
    ],
    ['a size that is no number', forged(124, '0000000x010'), 'the size of "targets/model.onnx" is no number'],
    ['a negative size', forged(124, '-0000000010'), 'the size of "targets/model.onnx" is no number'],
    ['a wrong checksum', Buffer.from(written('a', 1).fill('b', 0, 1)), 'the checksum of a header is wrong'],
    ['half a header', written('a', 1).subarray(0, 300), 'the archive ends in the middle of a header'],
  ])('%s', (_, block, detail) => {
    expect(readTarHeader(block)).toEqual({ ok: false, reason: 'malformed', detail });
  });
});

test('a block of zeros ends an archive', () => {
  expect(readTarHeader(Buffer.alloc(tarBlock))).toEqual({ ok: true, value: undefined });
});

test('whatever bytes come, the answer is an entry or a refusal', () => {
  const noise = fc.uint8Array({ minLength: tarBlock, maxLength: tarBlock });
  const damaged = fc
    .tuple(path, fc.array(fc.tuple(fc.nat(tarBlock - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }))
    .map(([name, changes]) => {
      const block = written(name.slice(0, 100), 7);
      for (const [at, byte] of changes) block[at] = byte;
      return block;
    });
  fc.assert(
    fc.property(fc.oneof(noise, damaged), (bytes) => {
      const header = readTarHeader(Buffer.from(bytes));
      if (!header.ok) expect(['malformed', 'unsafe_path']).toContain(header.reason);
      else if (header.value !== undefined) expect(header.value.length).toBeGreaterThanOrEqual(0);
    }),
  );
});
