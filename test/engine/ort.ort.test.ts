import { describe, expect, test } from 'vitest';
import { createOrtEngine } from '../../src/engine/ort.js';
import { add, createGraph, mul, toOnnx } from '../../src/graph/index.js';

function twoOutputs(): Uint8Array {
  const g = createGraph();
  const x = g.input('x', ['batch', 3]);
  return toOnnx(g.finish({ double: mul(x, 2), next: add(x, 1) }));
}
const x = { data: Float32Array.of(1, 2, 3), dims: [1, 3] };
const engine = createOrtEngine();

describe('the ONNX Runtime engine', () => {
  test('gives every output, with its shape', async () => {
    const session = await engine.load(twoOutputs());
    expect(session.inputNames).toEqual(['x']);
    expect(session.outputNames).toEqual(['double', 'next']);
    const { double, next } = session.run({ x });
    expect([...double!.data, ...next!.data]).toEqual([2, 4, 6, 2, 3, 4]);
    expect(double!.dims).toEqual([1, 3]);
    session.close();
  });

  test('writes into the memory handed in, and computes nothing else', async () => {
    const session = await engine.load(twoOutputs(), { threads: 2 });
    const memory = new ArrayBuffer(256);
    const double = { data: new Float32Array(memory, 64, 3), dims: [1, 3] };
    expect(Object.keys(session.run({ x }, { double }))).toEqual(['double']);
    expect([...double.data]).toEqual([2, 4, 6]);
    session.close();
  });

  test('a model that is none is refused with its reason', async () => {
    await expect(engine.load(Uint8Array.of(1, 2, 3))).rejects.toMatchObject({
      code: 'ND_ENGINE_FAILED',
      where: 'engine load',
    });
  });

  test('a missing input and a wrong shape are named', async () => {
    const session = await engine.load(twoOutputs());
    expect(() => session.run({ y: x })).toThrow(/"x" is not fed.*\[ND_ENGINE_FAILED\]/s);
    expect(() => session.run({ x: { data: x.data, dims: [1, 4] } })).toThrow(/\[ND_ENGINE_FAILED\]/);
    session.close();
    session.close(); // closing twice is harmless
  });
});
