import { expect, test } from 'vitest';
import { createGraph, evaluate, ndarray } from '../../../src/graph/index.js';
import { largest, marked } from '../../../src/models/blocks/largest.js';

test('the largest values of each row are marked', () => {
  const mask = largest(createGraph().input('x', [2, 4]), 2);
  const x = ndarray([3, 1, 4, 2, -1, -5, -9, -2], [2, 4]);
  expect(Array.from(evaluate([mask], { x })[0]!.data)).toEqual([1, 0, 1, 0, 1, 0, 0, 1]);
});

test('marks become rows of a 0-1 matrix in their order; what is more than asked for is left out', () => {
  const rows = marked(createGraph().input('mask', [4]), 2);
  const matrix = (mask: number[]) => Array.from(evaluate([rows], { mask: ndarray(mask, [4]) })[0]!.data);
  expect(matrix([0, 1, 0, 1])).toEqual([0, 1, 0, 0, 0, 0, 0, 1]);
  expect(matrix([1, 1, 1, 0])).toEqual([1, 0, 0, 0, 0, 1, 0, 0]);
});
