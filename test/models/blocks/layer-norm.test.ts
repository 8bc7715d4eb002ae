import { expect, test } from 'vitest';
import { createGraph, evaluate, ndarray } from '../../../src/graph/index.js';
import { layerNorm } from '../../../src/models/blocks/layer-norm.js';

test('each row gets mean 0 and variance 1, then the scale and shift of its columns', () => {
  const g = createGraph();
  const normed = layerNorm(g.scope('norm'), g.input('x', ['batch', 2, 2]), { eps: 0 });
  const [values] = evaluate([normed], {
    x: ndarray([1, 3, -10, 10], [1, 2, 2]),
    'norm/weight': ndarray([2, 3], [2]),
    'norm/bias': ndarray([0.5, 0], [2]),
  });
  expect([...values!.data]).toEqual([-1.5, 3, -1.5, 3]);
});

test('a single column leaves the shift alone', () => {
  const g = createGraph();
  const normed = layerNorm(g, g.input('x', [3, 1]), { eps: 1e-3 });
  const [values] = evaluate([normed], {
    x: ndarray([1, 2, 3], [3, 1]),
    weight: ndarray([2], [1]),
    bias: ndarray([0.5], [1]),
  });
  expect([...values!.data]).toEqual([0.5, 0.5, 0.5]);
});
