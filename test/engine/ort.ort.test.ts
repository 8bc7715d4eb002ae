import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { createOrtEngine, usableProviders } from '../../src/engine/ort.js';
import type { Session } from '../../src/engine/port.js';
import { add, broadcastTo, castTo, createGraph, mean, mul, toOnnx } from '../../src/graph/index.js';
import { ModelProtoSchema, type ModelProto } from '../../src/graph/onnx/onnx_pb.js';

function twoOutputs(): Uint8Array {
  const g = createGraph();
  const x = g.input('x', ['batch', 3]);
  return toOnnx(g.finish({ double: mul(x, 2), next: add(x, 1) }), { name: 'twice' });
}
/** The file with something in it changed by hand. */
function changed(file: Uint8Array, change: (model: ModelProto) => unknown): Uint8Array {
  const model = fromBinary(ModelProtoSchema, file);
  change(model);
  return toBinary(ModelProtoSchema, model);
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

  test('null asks for an output without memory for it', async () => {
    const session = await engine.load(twoOutputs());
    expect(Object.keys(session.run({ x }, { next: null }))).toEqual(['next']);
    session.close();
  });

  test('what is no whole model is refused as that', async () => {
    const whole = twoOutputs();
    for (const bytes of [new Uint8Array(), Uint8Array.of(1, 2, 3), whole.subarray(0, whole.length - 20)])
      await expect(engine.load(bytes)).rejects.toThrow(/^model: These \d+ bytes .*\[ND_ENGINE_MODEL_CORRUPT\]$/);
  });

  test.each<[string, (model: ModelProto) => void, RegExp]>([
    ['operator', ({ graph }) => (graph!.node[0]!.opType = 'Foo'), /No Op registered for Foo/],
    ['opset', (model) => (model.opsetImport[0]!.version = 99n), /Opset 99/],
    ['version of the format', (model) => (model.irVersion = 99n), /IR version: 99/],
  ])('an unknown %s is refused by the name of the model', async (_, change, words) => {
    const loading = engine.load(changed(twoOutputs(), change));
    await expect(loading).rejects.toMatchObject({ code: 'ND_ENGINE_MODEL_UNSUPPORTED', where: 'twice' });
    await expect(loading).rejects.toThrow(words);
  });

  test('an input of another element type is refused', async () => {
    const g = createGraph();
    const graph = g.finish({ y: castTo(g.input('x', [2]), { dtype: 'float32' }) });
    const integers = changed(toOnnx(graph), (model) => {
      const type = model.graph!.input[0]!.type!.value;
      if (type.case === 'tensorType') type.value.elemType = 3;
    });
    await expect(engine.load(integers)).rejects.toThrow(/"x" is not float32.*\[ND_ENGINE_MODEL_UNSUPPORTED\]$/);
  });

  test('what fails for any other reason comes with the words of ONNX Runtime as a detail', async () => {
    const dangling = changed(twoOutputs(), ({ graph }) => (graph!.node[0]!.input[0] = 'nobody'));
    await expect(engine.load(dangling)).rejects.toThrow(
      /^twice: ONNX Runtime refused it \(ONNX Runtime: .*nobody.*\[ND_ENGINE_FAILED\]$/,
    );
  });

  test('a missing input and a wrong shape are named, with what the model has', async () => {
    const session = await engine.load(twoOutputs());
    expect(() => session.run({ y: x })).toThrow(
      /^twice: The input "x" is not fed; .*: y\. Feed every input: x \[batch,3\]\. \[ND_ENGINE_INPUT_MISSING\]$/,
    );
    expect(() => session.run({ x: { data: x.data, dims: [1, 4] } })).toThrow('[ND_ENGINE_INPUT_SHAPE]');
    expect(() => session.run({ x }, { twice: x })).toThrow('[ND_ENGINE_OUTPUT_MISMATCH]');
    expect(session.run({ x })['next']!.dims).toEqual([1, 3]);
    session.close();
    session.close(); // closing twice is harmless
  });

  test('a tensor that no memory holds is a lack of memory, not a fault', async () => {
    const g = createGraph();
    const huge = mean(broadcastTo(g.input('x', [1]), { shape: [1e9, 1e9] }), { axes: [0, 1] });
    const session = await engine.load(toOnnx(g.finish({ y: huge }), { name: 'huge' }));
    expect(() => session.run({ x: { data: Float32Array.of(1), dims: [1] } })).toThrow(
      /^huge: There is not enough memory for it .*\[ND_ENGINE_OUT_OF_MEMORY\]$/s,
    );
    session.close();
  });

  test.each(['cuda', 'tensorrt'] as const)(
    '%s is used where it is there, and else refused by name',
    async (provider) => {
      expect(createOrtEngine({ provider }).name).toBe(`ort-${provider}`);
      const session = await engine.load(twoOutputs(), { provider }).catch((error: unknown) => error);
      if (session instanceof Error) {
        expect(session).toMatchObject({ code: 'ND_ENGINE_PROVIDER_MISSING', where: `provider ${provider}` });
        expect(session.message).toMatch(/it has cpu.* Use the provider cpu\./);
      } else expect([...(session as Session).run({ x })['double']!.data]).toEqual([2, 4, 6]);
      await expect(createOrtEngine({ provider }).load(Uint8Array.of(1, 2, 3))).rejects.toMatchObject({
        code: 'ND_ENGINE_MODEL_CORRUPT', // the model's fault, whatever the provider
      });
    },
  );
});

test('of the providers, those are usable that load a model here; a required card that is missing is named', async () => {
  const works = async (provider: 'cuda' | 'tensorrt'): Promise<boolean> =>
    engine.load(twoOutputs(), { provider }).then(
      () => true,
      () => false,
    );
  const cards = [...((await works('tensorrt')) ? ['tensorrt'] : []), ...((await works('cuda')) ? ['cuda'] : [])];
  expect(usableProviders(['tensorrt', 'cuda', 'cpu'])).toEqual([...cards, 'cpu']);
  expect(usableProviders(['cpu'])).toEqual(['cpu']);
  expect(() => usableProviders(['cpu'], true)).toThrow('[ND_ENGINE_PROVIDER_MISSING]');
  if (cards.length === 0) expect(() => usableProviders(['cuda', 'cpu'], true)).toThrow('[ND_ENGINE_PROVIDER_MISSING]');
});

test('a session that only writes fills the memory it is given and makes no copies of it', async () => {
  const size = 1 << 20;
  const g = createGraph();
  const graph = g.finish({ y: mul(g.input('x', [size]), 2), sum: mean(g.input('z', [2]), { axes: [0] }) });
  const session = await engine.load(toOnnx(graph), { writesOnly: true });
  expect(session.outputNames).toEqual(['y', 'sum']);
  const vector = (length: number, value: number) => ({ dims: [length], data: new Float32Array(length).fill(value) });
  const feeds = { x: vector(size, 3), z: vector(2, 4) };
  const outputs = { y: vector(size, 0), sum: { dims: [], data: new Float32Array(1) } };
  const before = process.memoryUsage().arrayBuffers;
  for (let run = 0; run < 4; run++) expect(session.run(feeds, outputs)).toEqual({});
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(size);
  expect([outputs.y.data[0], outputs.y.data.at(-1), outputs.sum.data[0]]).toEqual([6, 6, 4]);
  expect(() => session.run({ ...feeds, x: vector(3, 1) }, outputs)).toThrow('ND_ENGINE_INPUT_SHAPE');
  session.close();
});
