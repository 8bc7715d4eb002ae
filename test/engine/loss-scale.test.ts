import { expect, test } from 'vitest';
import { afterGoodStep, afterOverflow, firstScale } from '../../src/engine/loss-scale.js';

test('the scale doubles after 2,000 good steps in a row, and halves at an overflow', () => {
  let scale = firstScale;
  for (let i = 0; i < 1999; i++) scale = afterGoodStep(scale);
  expect(scale).toEqual({ factor: 2 ** 15, goodSteps: 1999 });
  expect(afterGoodStep(scale)).toEqual({ factor: 2 ** 16, goodSteps: 0 });
  expect(afterOverflow(scale)).toEqual({ factor: 2 ** 14, goodSteps: 0 });
});

test('a scale of 1 is not halved: then the gradient itself is not a number', () => {
  expect(afterOverflow({ factor: 2, goodSteps: 5 })).toEqual({ factor: 1, goodSteps: 0 });
  expect(() => afterOverflow({ factor: 1, goodSteps: 5 })).toThrow(/ND_TRAIN_SCALE_EXHAUSTED/);
});
