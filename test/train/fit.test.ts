import { expect, test } from 'vitest';
import { frameFromColumns } from '../../src/data/from-columns.js';
import { createLoss } from '../../src/losses/index.js';
import { trainSettings } from '../../src/train/defaults.js';
import { fitModel } from '../../src/train/fit.js';
import { specOf } from './example.js';

test.each([
  ['poisson', -1, 'from 0 on'],
  ['tweedie', -0.5, 'from 0 on'],
  ['nbmm', -2, 'from 0 on'],
  ['bernoulli', 2, 'from 0 to 1'],
])('%s refuses %d before any work, naming the row', async (name, value, range) => {
  const target = [0, 1, 1, 0, 1, value, 0, 1];
  const { frame } = frameFromColumns(
    {
      ids: ['a', 'b'],
      series: target.map((_, row) => (row < 4 ? 0 : 1)),
      time: target.map((_, row) => row % 4),
      columns: { target },
    },
    { axis: 'index' },
  );
  const spec = { ...specOf('mlp', { inputLength: 2, horizon: 1 }), loss: createLoss(name) };
  const settings = trainSettings('mlp', { maxSteps: 1 });
  await expect(fitModel({ spec, frame, settings, inProcess: true })).rejects.toMatchObject({
    code: 'ND_CONFIG_LOSS_MISMATCH',
    message: expect.stringContaining(`${range}; row 2 of series b is ${value}`) as string,
  });
});
