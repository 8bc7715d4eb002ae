import { expect, test } from 'vitest';
import { evaluate, leafName, ndarray } from '../../src/graph/index.js';
import { inferenceGraph } from '../../src/models/index.js';
import { kan } from '../../src/models/kan.js';
import { randomFeeds } from './cases.js';
import { specOf } from './contract.js';

const small = { inputLength: 1, horizon: 1, hidden: 1, grid: 4, range: [-1, 1] };

test.each([1, 2, 3])('of order %i, the pieces of a spline add up to 1 in its range and to 0 far outside', (order) => {
  const graph = inferenceGraph({ ...specOf(kan, { ...small, order }), scaler: 'identity' });
  const feeds = randomFeeds(graph, 5, 1);
  // The hidden node is the sum of the pieces; the last layer is its SiLU alone.
  const ones = ['layer0/spline', 'layer0/factor', 'layer1/base'];
  for (const name of graph.parameters.map(leafName)) {
    const { data, shape } = feeds[name]!;
    const value = ones.includes(name.replace('model/', '')) ? 1 : 0;
    feeds[name] = ndarray([...data].fill(value), shape);
  }
  feeds['past'] = ndarray([-1, -0.3, 0.7, 5, -5], [5, 1, 1]);
  const [forecast] = evaluate([graph.outputs['forecast']!], feeds, 5);
  const silu = 1 / (1 + Math.exp(-1));
  for (const [i, value] of [silu, silu, silu, 0, 0].entries()) expect(forecast!.data[i]).toBeCloseTo(value, 6);
});

test('a list of widths that is not one per layer is refused', () => {
  expect(() => kan.parse({ ...small, layers: 2, hidden: [4] })).toThrow(
    /kan\.hidden: hidden needs one entry per layer/,
  );
});
