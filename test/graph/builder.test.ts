import { expect, test } from 'vitest';
import { add, castTo, constant, createGraph, leafName, matmul, mul, verify, where } from '../../src/graph/index.js';

const zero = { kind: 'constant', value: 0 } as const;

test('what a scope declares gets its path as a prefix', () => {
  const g = createGraph();
  const stack = g.scope('stack').scope(0);
  const names = [
    stack.parameter('weight', [2], zero),
    stack.state('mean', [2], zero),
    stack.uniform('drop', [2]),
    stack.input('x', [2]),
  ].map(leafName);
  expect(names).toEqual(['stack/0/weight', 'stack/0/mean', 'stack/0/drop', 'stack/0/x']);
  expect(stack.path).toBe('stack/0');
});

test('a finished graph lists parameters in the order they were declared, and only the inputs it uses', () => {
  const g = createGraph();
  const [x, unused] = [g.input('x', ['batch', 2]), g.input('unused', ['batch', 2])];
  const first = g.parameter('z', [2, 2], zero);
  const graph = g.finish({ y: add(matmul(x, first), g.parameter('a', [2], zero)) });
  verify(graph);
  expect(graph.parameters.map(leafName)).toEqual(['z', 'a']);
  expect(graph.inputs).toEqual([x]);
  expect(graph.inputs).not.toContain(unused);
});

test('an input that only an update reads is used', () => {
  const g = createGraph();
  const [x, mean] = [g.input('x', [2]), g.state('mean', [2], zero)];
  g.update(mean, add(mul(mean, 0.9), x));
  expect(g.finish({ y: mul(mean, 2) }).inputs).toEqual([x]);
});

test('two tensors of one name are refused', () => {
  const g = createGraph();
  g.scope('a').parameter('w', [1], zero);
  expect(() => g.scope('a').input('w', [1])).toThrow(/^a\/w: .*\[ND_GRAPH_DUPLICATE_NAME\]$/);
});

test('an update of another shape is refused', () => {
  const g = createGraph();
  const mean = g.state('mean', [2], zero);
  expect(() => g.update(mean, g.input('x', [3]))).toThrow(/^mean: the new value is \[3\], the state \[2\]/);
});

test('a shape that does not fit says where, and how to mend it', () => {
  const g = createGraph();
  expect(() => matmul(g.input('x', [2, 3]), g.input('w', [4, 2]))).toThrow(
    'w: matmul: x is [2,3] and w is [4,2], but the last axis of x must equal the last but one of w. Transpose w, or change the width of the layer before. [ND_SHAPE_MISMATCH]',
  );
});

test('an error of shape or type begins with the part of the model whose leaves are nearest', () => {
  const g = createGraph();
  const layer = g.scope('model').scope('layer1');
  const hidden = add(matmul(g.input('past', [2, 3]), layer.parameter('weight', [3, 4], zero)), 1);
  expect(() => add(mul(hidden, hidden), g.input('target', [2, 5]))).toThrow(
    /^model\/layer1: add: \[2,4\] and \[2,5\] cannot be combined.*\[ND_SHAPE_MISMATCH\]$/,
  );
  const next = g.scope('model').scope('layer2').parameter('weight', [3, 4], zero);
  expect(() => matmul(hidden, next)).toThrow(/^model\/layer2: matmul: x is \[2,4\] and w is \[3,4\]/);
  expect(() => add(constant([1, 2]), constant([1, 2, 3]))).toThrow(/^add: /);
});

test('inputs of several element types are refused, with the place', () => {
  const g = createGraph();
  const weight = g.scope('model').parameter('weight', [2], zero);
  const whole = constant([1, 2], [2], 'int8');
  expect(() => add(weight, whole)).toThrow(
    'model: add: its inputs are float32 [2], int8 [2], but must have one element type. Bring them to float32 first: `castTo` does, `dequantizeLinear` undoes a quantization. [ND_GRAPH_DTYPE]',
  );
  expect(() => where(weight, weight, whole)).toThrow('[ND_GRAPH_DTYPE]');
  expect(where(whole, weight, castTo(whole, { dtype: 'float32' })).dtype).toBe('float32');
});

test('what a stream carries is an input, and what it leaves an output of its shape', () => {
  const g = createGraph({ streaming: true });
  const block = g.scope('block');
  block.leave('before', add(block.carry('before', ['batch', 2]), g.input('x', ['batch', 2])));
  const { inputs, outputs } = g.finish({});
  expect(inputs.map(leafName)).toEqual(['block/before', 'x']);
  expect(Object.keys(outputs)).toEqual(['block/before/next']);
});

test.each([
  ['is missing', []],
  ['is [batch,3]', ['batch', 3]],
] as const)('what is carried must be left as it was found: it %s', (what, shape) => {
  const g = createGraph({ streaming: true });
  const x = g.input('x', ['batch', 3]);
  const before = g.carry('before', ['batch', 2]);
  if (shape.length > 0) g.leave('before', x);
  expect(() => g.finish({ y: before })).toThrow(`before: the new value ${what}, the state [batch,2]`);
});
