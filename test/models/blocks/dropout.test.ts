import { expect, test } from 'vitest';
import { createGraph, evaluate, keepProbability, ndarray } from '../../../src/graph/index.js';
import { dropout } from '../../../src/models/blocks/dropout.js';

test('dropout multiplies by what was drawn: 0, or a little more than 1, so that the mean stays', () => {
  const g = createGraph({ batch: 1, training: true });
  const y = dropout(g, g.input('x', [4]), 0.25);
  const feeds = { x: ndarray([3, 3, 3, 3], [4]), keep: ndarray([0, 4 / 3, 4 / 3, 4 / 3], [4]) };
  expect(keepProbability(y.node.inputs[1]!)).toBe(0.75);
  expect(Array.from(evaluate([y], feeds)[0]!.data)).toEqual([0, 4, 4, 4]);
});

test('dropout is nothing at all outside training, or when it drops nothing', () => {
  const x = createGraph().input('x', [4]);
  expect(dropout(createGraph(), x, 0.5)).toBe(x);
  expect(dropout(createGraph({ training: true }), x, 0)).toBe(x);
});
