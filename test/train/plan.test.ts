import { expect, test } from 'vitest';
import { createLoss } from '../../src/losses/index.js';
import { findModel } from '../../src/models/index.js';
import { planTraining, startingValues } from '../../src/train/plan.js';
import { specOf } from './example.js';

test('a plan in mixed precision says which input is the loss scale, and no batch has to bring it', () => {
  const model = findModel('mlp');
  const loss = createLoss('mae');
  const spec = {
    model,
    hyperparameters: model.parse({ inputLength: 8, horizon: 2, hidden: 4 }),
    loss,
    scaler: 'identity' as const,
  };
  const [plain, mixed] = (['fp32', 'mixed'] as const).map((precision) =>
    planTraining(spec, { batch: 2, seed: 1, precision }),
  );
  expect(mixed!.layout).toEqual({ ...plain!.layout, lossScale: 'lossScale' });
  expect(mixed!.validationModel).toEqual(plain!.validationModel);
});

test('a plan says how much memory a step takes: more windows, more of it', () => {
  const needed = (batch: number): number => planTraining(specOf('mlp'), { batch, seed: 1 }).neededBytes;
  expect(needed(64)).toBeGreaterThan(needed(1));
  const plan = planTraining(specOf('mlp'), { batch: 1, seed: 1 });
  const weights = Object.values(startingValues(plan)).reduce((sum, { byteLength }) => sum + byteLength, 0);
  expect(plan.neededBytes).toBeGreaterThan(4 * weights); // values, gradients, two moments
});
