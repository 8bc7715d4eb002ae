import { fromBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import {
  add,
  castTo,
  constant,
  createGraph,
  mul,
  nextName,
  opset,
  relu,
  reshape,
  toOnnx,
  type Graph,
} from '../../../src/graph/index.js';
import {
  ModelProtoSchema,
  TensorProto_DataType as DataType,
  type GraphProto,
  type ModelProto,
} from '../../../src/graph/onnx/onnx_pb.js';
import { opCases } from '../ops/samples.js';

const written = (graph: Graph, options?: Parameters<typeof toOnnx>[1]): ModelProto =>
  fromBinary(ModelProtoSchema, toOnnx(graph, options));
const kindOf = (model: ModelProto): string[] => model.graph!.node.map(({ opType }) => opType);

test('inputs, parameters, states and draws are inputs, in that order; updates are outputs after the rest', () => {
  const g = createGraph();
  const [x, w] = [g.input('x', ['batch', 2]), g.parameter('w', [2], { kind: 'constant', value: 0 })];
  const [mean, drop] = [g.state('mean', [2], { kind: 'constant', value: 0 }), g.uniform('drop', [2])];
  g.update(mean, mul(mean, drop));
  const { graph } = written(g.finish({ y: add(mul(x, w), mean) }));
  expect(graph!.input.map(({ name }) => name)).toEqual(['x', 'w', 'mean', 'drop']);
  expect(graph!.output.map(({ name }) => name)).toEqual(['y', nextName('mean')]);
});

test('the symbolic batch is a named dimension, and a multiple of it another', () => {
  const g = createGraph();
  const { graph } = written(g.finish({ y: reshape(g.input('x', ['batch', 6]), { shape: ['3*batch', 2] }) }));
  const dims = (value: (typeof graph & object)['input'][number]) => {
    const type = value.type!.value;
    return type.case === 'tensorType' ? type.value.shape!.dim.map(({ value: dim }) => dim.value) : undefined;
  };
  expect(dims(graph!.input[0]!)).toEqual(['batch', 6n]);
  expect(dims(graph!.output[0]!)).toEqual(['3_batch', 2n]);
});

test('opset, producer, name and metadata are written', () => {
  const g = createGraph();
  const model = written(g.finish({ y: relu(g.input('x', [2])) }), { name: 'dlinear', metadata: { task: 'forecast' } });
  expect(model.opsetImport.map(({ domain, version }) => [domain, version])).toEqual([['', BigInt(opset)]]);
  expect([model.producerName, model.graph!.name]).toEqual(['neuro-divergent', 'dlinear']);
  expect(model.metadataProps.map(({ key, value }) => [key, value])).toEqual([['task', 'forecast']]);
});

test('an output that is an input, a constant or another output is a copy', () => {
  const g = createGraph();
  const x = g.input('x', [1]);
  const y = relu(x);
  expect(kindOf(written(g.finish({ same: x, fixed: constant([1]), y, again: y })))).toEqual([
    'Relu',
    'Identity',
    'Identity',
    'Identity',
  ]);
});

test('equal constants are written once, those as large as weights as they come', () => {
  const initializers = (length: number): number => {
    const g = createGraph();
    const same = (): ReturnType<typeof constant> => constant(new Float32Array(length), [length]);
    const y = add(add(mul(mul(g.input('x', [length]), 2), 2), same()), same());
    return written(g.finish({ y })).graph!.initializer.length;
  };
  expect(initializers(100)).toBe(2);
  expect(initializers(5000)).toBe(3);
});

test.each(opCases())('$title writes no constant that nothing reads: runtimes warn of them', ({ graph }) => {
  const read = ({ node }: GraphProto): string[] =>
    node.flatMap(({ input, attribute }) => [
      ...input,
      ...attribute.flatMap(({ g }) => (g === undefined ? [] : read(g))),
    ]);
  const { graph: file } = written(graph);
  expect(read(file!)).toEqual(expect.arrayContaining(file!.initializer.map(({ name }) => name)));
});

test.each([
  ['float16', [1, -2], DataType.FLOAT16, [0x00, 0x3c, 0x00, 0xc0]],
  ['int8', [1, -2], DataType.INT8, [1, 254]],
  ['uint8', [1, 254], DataType.UINT8, [1, 254]],
  ['int32', [1, -2], DataType.INT32, [1, 0, 0, 0, 254, 255, 255, 255]],
] as const)('constants of type %s are little-endian bytes of their width', (dtype, data, type, bytes) => {
  const g = createGraph();
  const y = mul(g.input('x', [2]), castTo(constant(data, [2], dtype), { dtype: 'float32' }));
  const [initializer] = written(g.finish({ y })).graph!.initializer;
  expect(initializer!.dataType).toBe(type);
  expect([...initializer!.rawData]).toEqual(bytes);
});

test('the same graph gives the same bytes', () => {
  const build = (): Uint8Array => {
    const g = createGraph();
    return toOnnx(g.finish({ y: relu(mul(g.input('x', ['batch', 2]), 3)) }));
  };
  expect(build()).toEqual(build());
});

test('a shape that holds the batch twice cannot be written', () => {
  const g = createGraph();
  const y = reshape(g.input('x', ['batch', 4]), { shape: ['batch', 2, 2] });
  const twice = { ...y.node, attributes: { shape: ['batch', 'batch'] } };
  const outputs = [{ ...y, node: twice }];
  expect(() => toOnnx({ ...g.finish({ y }), outputs: { y: { ...outputs[0]!, node: { ...twice, outputs } } } })).toThrow(
    '[ND_GRAPH_NOT_STATIC]',
  );
});
