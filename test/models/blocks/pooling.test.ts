import { expect, test } from 'vitest';
import { createGraph, evaluate, ndarray } from '../../../src/graph/index.js';
import { pool } from '../../../src/models/blocks/pooling.js';

// One window of five steps and two columns: the last group has one step only.
const window = ndarray([-1, 10, -2, 20, -3, 30, -4, 40, -5, 50], [1, 5, 2]);

test.each([
  ['max', [-1, 20, -3, 40, -5, 50]],
  ['average', [-1.5, 15, -3.5, 35, -5, 50]],
] as const)('%s pooling leaves a shorter last group as it is', (pooling, expected) => {
  const g = createGraph();
  const [pooled] = evaluate([pool(g.input('x', ['batch', 5, 2]), 2, pooling)], { x: window });
  expect(pooled!.shape).toEqual([1, 3, 2]);
  expect([...pooled!.data]).toEqual(expected);
});
