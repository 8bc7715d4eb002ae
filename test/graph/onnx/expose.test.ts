import { fromBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { createGraph, exposeNodes, exp, matmul, relu, softplus, toOnnx } from '../../../src/graph/index.js';
import { ModelProtoSchema } from '../../../src/graph/onnx/onnx_pb.js';

test('every tensor that a node makes is an output, after those that were', () => {
  const g = createGraph();
  const w = g.scope('model').parameter('w', [2, 2], { kind: 'constant', value: 0 });
  const file = toOnnx(g.finish({ y: relu(exp(matmul(g.input('x', [1, 2]), w))) }));
  const { model, nodes } = exposeNodes(file);
  expect(nodes.map(({ name }) => name)).toEqual(['model/matmul', 'model/exp', 'model/relu']);
  expect(nodes[0]!.inputs).toEqual(['x', 'model/w']);
  expect(nodes[2]!.outputs).toEqual(['y']);
  const outputs = fromBinary(ModelProtoSchema, model).graph!.output.map(({ name }) => name);
  expect(outputs).toEqual(['y', ...nodes[0]!.outputs, ...nodes[1]!.outputs]);
});

test('nodes carry place and op, and a number from the second of a name on', () => {
  const g = createGraph();
  const x = g.scope('model').scope('gate').input('x', [2]);
  const { nodes } = exposeNodes(toOnnx(g.finish({ y: exp(exp(softplus(x))) })));
  const names = nodes.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names[0]).toBe('model/gate/softplus');
  expect(names.slice(-2)).toEqual(['model/gate/exp', 'model/gate/exp.2']);
});
