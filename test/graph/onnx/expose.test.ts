import { fromBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import {
  createGraph,
  exp,
  exposeTensors,
  matmul,
  nodesOf,
  probeName,
  probeTensors,
  relu,
  softplus,
  toOnnx,
} from '../../../src/graph/index.js';
import { ModelProtoSchema } from '../../../src/graph/onnx/onnx_pb.js';

const g = createGraph();
const w = g.scope('model').parameter('w', [2, 2], { kind: 'constant', value: 0 });
const file = toOnnx(g.finish({ y: relu(exp(matmul(g.input('x', [1, 2]), w))) }));
const outputsOf = (model: Uint8Array): string[] =>
  fromBinary(ModelProtoSchema, model).graph!.output.map(({ name }) => name);

test('nodes are told with their place, their op and their tensors', () => {
  const [product, exponential, end] = nodesOf(file);
  expect(product).toMatchObject({ name: 'model/matmul', inputs: ['x', 'model/w'] });
  expect(exponential).toMatchObject({ name: 'model/exp', inputs: product!.outputs });
  expect(end).toEqual({ name: 'model/relu', inputs: exponential!.outputs, outputs: ['y'] });
});

test('nodes of one place and op are numbered from the second on', () => {
  const scoped = createGraph();
  const x = scoped.scope('model').scope('gate').input('x', [2]);
  const names = nodesOf(toOnnx(scoped.finish({ y: exp(exp(softplus(x))) }))).map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names[0]).toBe('model/gate/softplus');
  expect(names.slice(-2)).toEqual(['model/gate/exp', 'model/gate/exp.2']);
});

test('tensors or probes of them take the place of the outputs', () => {
  const [inner] = nodesOf(file)[0]!.outputs as [string];
  expect(outputsOf(exposeTensors(file, [inner]))).toEqual([inner]);
  const probed = probeTensors(file, [inner, 'y']);
  expect(outputsOf(probed)).toEqual([probeName(inner), probeName('y')]);
  expect(nodesOf(probed)).toHaveLength(3 + 2 * 3);
});
