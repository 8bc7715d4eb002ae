import { expect, test } from 'vitest';
import { readInitializers, Unreadable, withInitializers } from '../../src/engine/onnx-file.js';
import { add, createGraph, mul, toOnnx } from '../../src/graph/index.js';

function model(): Uint8Array {
  const g = createGraph();
  const scope = g.scope('model');
  const w = scope.parameter('w', [2], { kind: 'constant', value: 0 });
  const b = scope.parameter('b', [2], { kind: 'constant', value: 0 });
  const graph = g.finish({ y: add(mul(g.input('x', ['batch', 2]), w), b) });
  return toOnnx(graph, { weights: { 'model/w': [1, 2], 'model/b': [3, 4] } });
}
const names = ['model/w', 'model/b', 'model/none'];

test('initializers are read by name, as far as they are there', () => {
  expect(readInitializers(model(), names)).toEqual({
    'model/w': Float32Array.of(1, 2),
    'model/b': Float32Array.of(3, 4),
  });
});

test.each([
  ['bytes', (bytes: Uint8Array) => bytes],
  ['a Buffer, which shares its memory when it is cut', (bytes: Uint8Array) => Buffer.from(bytes)],
])('others are put into a copy of %s', (_, from) => {
  const before = from(model());
  const after = withInitializers(before, { 'model/b': Float32Array.of(5, -6) });
  expect(readInitializers(after, names)).toMatchObject({ 'model/w': Float32Array.of(1, 2), 'model/b': Float32Array.of(5, -6) }); // prettier-ignore
  expect(Buffer.compare(before, model())).toBe(0);
  expect(after.byteLength).toBe(before.byteLength);
});

test('a name that is not there, or another size, is refused', () => {
  expect(() => withInitializers(model(), { 'model/none': new Float32Array(2) })).toThrow(Unreadable);
  expect(() => withInitializers(model(), { 'model/w': new Float32Array(3) })).toThrow(
    /model\/w is no initializer of 12/,
  );
  expect(() => withInitializers(Buffer.from('none'), { a: new Float32Array(1) })).toThrow(Unreadable);
});
