import { describe, expect, test } from 'vitest';
import { createRandom } from '../../src/engine/random.js';
import {
  add,
  constant,
  constantValues,
  conv1d,
  createGraph,
  gemm,
  gru,
  matmul,
  mul,
  reshape,
  type Tensor,
} from '../../src/graph/index.js';
import { findLayers, largestWeight, quantizeWeight } from '../../src/quantize/layers.js';

const random = createRandom(3);
const weights = (shape: readonly number[], name?: string): Tensor =>
  constant(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random() - 0.5),
    shape,
    'float32',
    name,
  );
const all = { activations: true, int8From: 0 };

describe('findLayers', () => {
  test('finds products with enough known weights and names them after their parameter', () => {
    const g = createGraph();
    const x = g.input('x', ['batch', 64]);
    const hidden = matmul(x, weights([64, 32], 'model/stack0/knots/weight'));
    const small = matmul(hidden, weights([32, 4]));
    const y = gemm(matmul(small, weights([4, 256])), weights([256, 8]), constant(new Float32Array(8)));
    const found = findLayers(g.finish({ y }), all);
    expect(found.map(({ name, axis }) => [name, axis])).toEqual([
      ['model/stack0/knots', 1],
      ['matmul1', 1],
      ['gemm2', 1],
    ]);
  });

  test('leaves alone an elementwise product and a product of two activations', () => {
    const g = createGraph();
    const x = g.input('x', ['batch', 32, 32]);
    expect(findLayers(g.finish({ y: matmul(mul(x, weights([32, 32])), x) }), all)).toEqual([]);
  });

  test('gives weights of recurrent states no integer activations, and none at all when asked', () => {
    const g = createGraph();
    const x = g.input('x', [5, 2, 96]);
    const { h } = gru(x, weights([32, 96]), constant(new Float32Array(96)), constant(new Float32Array(64), [2, 32]));
    const graph = g.finish({ y: matmul(h, weights([32, 32])) });
    expect(findLayers(graph, all).map(({ precisions }) => precisions[0])).toEqual(['int8-weights', 'int8']);
    expect(findLayers(graph, { activations: false, int8From: 0 }).map(({ precisions }) => precisions[0])).toEqual([
      'int8-weights',
      'int8-dynamic',
    ]);
  });

  test('takes other parameters that are large as layers to store, and no bias, however long', () => {
    const g = createGraph();
    const embedded = add(g.input('x', ['batch', 32, 32]), weights([32, 32], 'model/position'));
    const bias = constant(new Float32Array(2048).fill(1), [2048], 'float32', 'model/wide/bias');
    const y = gemm(reshape(embedded, { shape: ['batch', 1024] }), weights([1024, 2048], 'model/wide/weight'), bias);
    expect(findLayers(g.finish({ y }), all).map(({ name, precisions: [first] }) => [name, first])).toEqual([
      ['model/wide', 'int8'],
      ['model/position', 'int8-weights'],
    ]);
  });

  test('is one layer where one weight is used twice', () => {
    const g = createGraph();
    const w = weights([32, 32]);
    const [layer] = findLayers(g.finish({ y: matmul(matmul(g.input('x', ['batch', 32]), w), w) }), all);
    expect(layer!.nodes).toHaveLength(2);
  });

  test('counts the output channels of a convolution on its first axis', () => {
    const g = createGraph();
    const y = conv1d(g.input('x', ['batch', 16, 20]), weights([32, 16, 3]), { dilation: 1 });
    expect(findLayers(g.finish({ y }), all)[0]!.axis).toBe(0);
  });
});

describe('quantizeWeight', () => {
  test('is off by half a step of its own channel at most, in seven bits', () => {
    const weight = weights([8, 5, 3]);
    const { values, scale } = quantizeWeight({ weight, axis: 0 });
    expect(Math.max(...values.map(Math.abs))).toBe(largestWeight);
    for (const [i, value] of Array.from(constantValues(weight)!).entries()) {
      const step = scale[Math.floor(i / 15)]!;
      expect(Math.abs(values[i]! * step - value)).toBeLessThanOrEqual(step / 2 + 1e-7);
    }
  });

  test('takes a channel of zeros', () => {
    const weight = constant([0, 21, 0, -63], [2, 2]);
    expect(quantizeWeight({ weight, axis: 1 })).toEqual({ values: Int8Array.of(0, 21, 0, -63), scale: [1, 1] });
  });
});
