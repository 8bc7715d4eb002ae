import { expect, test } from 'vitest';
import { createGraph, evaluate, ndarray } from '../../../src/graph/index.js';
import { dropout } from '../../../src/models/blocks/dropout.js';

test('dropout zeroes what was drawn and scales the rest, so that the mean stays', () => {
  const g = createGraph({ batch: 1, training: true });
  const y = dropout(g, g.input('x', [4]), 0.25);
  const feeds = { x: ndarray([3, 3, 3, 3], [4]), keep: ndarray([0.1, 0.3, 0.6, 0.9], [4]) };
  expect(Array.from(evaluate([y], feeds)[0]!.data)).toEqual([0, 4, 4, 4]);
});

test('dropout is nothing at all outside training, or when it drops nothing', () => {
  const x = createGraph().input('x', [4]);
  expect(dropout(createGraph(), x, 0.5)).toBe(x);
  expect(dropout(createGraph({ training: true }), x, 0)).toBe(x);
});
