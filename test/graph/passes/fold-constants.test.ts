import { expect, test } from 'vitest';
import {
  add,
  constant,
  constantValues,
  dequantizeLinear,
  foldConstants,
  matmul,
  mul,
  reshape,
  swapLast,
} from '../../../src/graph/index.js';
import { applied, graphOf, opsOf, values, weights } from './fixture.js';

test('what depends on constants alone is worked out, down to the last node', () => {
  const graph = graphOf((g) =>
    matmul(g.input('x', ['batch', 4]), swapLast(mul(add(weights([3, 4]), 1), weights([4], 2)))),
  );
  expect(opsOf(applied(foldConstants, graph))).toEqual(['matmul']);
});

test('a weight turned around keeps its name', () => {
  const weight = constant(values([3, 4]), [3, 4], 'float32', 'model/out/weight');
  const graph = graphOf((g) => matmul(g.input('x', ['batch', 4]), swapLast(weight)));
  expect(foldConstants.run(graph).outputs['y']!.node.inputs[1]!.node.attributes).toMatchObject({
    name: 'model/out/weight',
  });
});

test('inputs, parameters and quantized constants are left alone', () => {
  const graph = graphOf((g) => {
    const stored = dequantizeLinear(constant([1, -2, 3], [3], 'int8'), { scale: [0.5] });
    const learned = reshape(g.parameter('w', [3], { kind: 'constant', value: 1 }), { shape: [3] });
    return mul(add(g.input('x', [3]), learned), stored);
  });
  const after = applied(foldConstants, graph);
  expect(opsOf(after)).toEqual(opsOf(graph));
  expect(constantValues(after.outputs['y']!)).toBeUndefined();
});

test('what would take long is left to the engine', () => {
  const large = constant(new Float32Array(1001 * 1000), [1001, 1000]);
  const graph = graphOf((g) => matmul(g.input('x', ['batch', 1001]), matmul(large, swapLast(large))));
  expect(opsOf(foldConstants.run(graph)).filter((op) => op === 'matmul')).toHaveLength(2);
});
