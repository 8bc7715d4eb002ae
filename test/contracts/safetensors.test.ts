import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readSafetensors, writeSafetensors } from '../../src/contracts/safetensors.js';
import type { StoredTensor } from '../../src/contracts/safetensors.js';

/** A file from a header and data, as another program would write it. */
function file(header: unknown, dataBytes: number): Uint8Array {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([prefix, text, Buffer.alloc(dataBytes)]);
}

test('a file of two tensors is these bytes', () => {
  const bytes = writeSafetensors({
    b: { dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) },
    a: { dtype: 'U8', shape: [], data: Uint8Array.of(7) },
  });
  const header =
    '{"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[],"data_offsets":[8,9]}}       ';
  expect(Buffer.from(bytes).toString('latin1')).toBe(
    `${String.fromCharCode(header.length)}\0\0\0\0\0\0\0${header}\0\0\x80?\0\0\0@\x07`,
  );
});

const tensor: fc.Arbitrary<StoredTensor> = fc.oneof(
  fc
    .array(fc.float())
    .map((values) => ({ dtype: 'F32' as const, shape: [values.length], data: Float32Array.from(values) })),
  fc
    .array(fc.double())
    .map((values) => ({ dtype: 'F64' as const, shape: [values.length, 1], data: Float64Array.from(values) })),
  fc
    .array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }))
    .map((values) => ({ dtype: 'I64' as const, shape: [1, values.length], data: BigInt64Array.from(values) })),
  fc.uint8Array().map((data) => ({ dtype: 'U8' as const, shape: [data.length], data: Uint8Array.from(data) })),
);

test('what was written is read back, whatever the names', () => {
  const names = fc.string().filter((name) => name !== '__metadata__');
  fc.assert(
    fc.property(fc.dictionary(names, tensor), fc.dictionary(fc.string(), fc.string()), (tensors, metadata) => {
      const back = readSafetensors(writeSafetensors(tensors, metadata));
      expect(Object.entries(back.tensors).sort()).toEqual(Object.entries(tensors).sort());
      expect(Object.entries(back.metadata).sort()).toEqual(Object.entries(metadata).sort());
    }),
  );
});

test('a view into a larger buffer reads the same', () => {
  const bytes = writeSafetensors({ x: { dtype: 'F64', shape: [1], data: Float64Array.of(Math.PI) } });
  const shifted = new Uint8Array(bytes.length + 3);
  shifted.set(bytes, 3);
  expect(readSafetensors(shifted.subarray(3)).tensors['x']!.data).toEqual(Float64Array.of(Math.PI));
});

const f32 = (from: number, to: number, shape: unknown = [(to - from) / 4]) => ({
  dtype: 'F32',
  shape,
  data_offsets: [from, to],
});

test.each([
  ['no length field', Uint8Array.of(1, 2), /less than the length field/],
  ['a header longer than the file', Uint8Array.of(200, 0, 0, 0, 0, 0, 0, 0, 1), /claims 200 bytes/],
  ['a header of a terabyte', Uint8Array.of(0, 0, 0, 0, 0, 1, 0, 0), /claims 1099511627776 bytes/],
  ['a header that is no JSON', file('{"a":', 0), /not a JSON object/],
  ['a header that is a list', file('[]', 0), /not a JSON object/],
  ['metadata that is no map of strings', file({ __metadata__: { a: 1 } }, 0), /metadata/],
  ['an unknown type', file({ a: { dtype: 'F8', shape: [], data_offsets: [0, 1] } }, 1), /no known dtype/],
  ['a negative size', file({ a: f32(0, 4, [-1]) }, 4), /no known dtype/],
  ['offsets that overlap', file({ a: f32(0, 8), b: f32(4, 12) }, 12), /starts at 4/],
  ['a gap', file({ a: f32(0, 4), b: f32(8, 12) }, 12), /starts at 8/],
  ['a shape that does not fit', file({ a: f32(0, 8, [3]) }, 8), /takes 12 bytes/],
  ['data that is missing', file({ a: f32(0, 8) }, 4), /after the end/],
  ['data that is too long', file({ a: f32(0, 4) }, 5), /1 bytes follow/],
] as const)('%s is refused', (_, bytes, message) => {
  expect(() => readSafetensors(bytes, 'golden')).toThrow(
    expect.objectContaining({
      code: 'ND_FILE_CORRUPT',
      where: 'golden',
      message: expect.stringMatching(message) as string,
    }),
  );
});

test('random damage gives a file or ND_FILE_CORRUPT, nothing else', () => {
  const good = writeSafetensors({ a: { dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) } }, { k: 'v' });
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), (at, value) => {
      const bad = Uint8Array.from(good);
      bad[at] = value;
      try {
        readSafetensors(bad);
      } catch (error) {
        expect(error).toMatchObject({ code: 'ND_FILE_CORRUPT' });
      }
    }),
    { numRuns: 500 },
  );
});
