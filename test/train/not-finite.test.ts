import { expect, test } from 'vitest';
import { createWindows } from '../../src/data/windows.js';
import { notFinite } from '../../src/train/not-finite.js';
import { sines } from './example.js';

const frame = sines({ rows: 40 });
frame.columns.target[3] = 1e20;
const windows = createWindows(frame, { inputLength: 24, horizon: 6 });
const result = { loss: NaN, gradientNorm: NaN, finite: false };

test('tells the node, the parameter, the windows, the value that stands out and the checkpoint', () => {
  const origin = { node: 'model/gate/log', reads: [[-0.512345, 2]] as const, parameter: 'model/gate/weight' };
  const kept = { path: 'boiler/mlp.checkpoint.safetensors', step: 10 };
  expect(notFinite({ step: 12, result, windows, chosen: [3, 13, 5, 0], origin, kept })).toMatchObject({
    code: 'ND_TRAIN_LOSS_NOT_FINITE',
    where: 'step 12, batch of windows 3, 13, 5, …',
    what: [
      'The loss is NaN and the norm of its gradient NaN.',
      'First not finite: model/gate/log, of values from -0.5123 to 2.',
      'The first parameter whose gradient went bad: model/gate/weight.',
      'The windows are sine 0, rows 4 to 33 from 1970-01-01 03:00:00 on; sine 1, rows 3 to 32 from 1970-01-01 02:00:00 on; sine 0, rows 6 to 35 from 1970-01-01 05:00:00 on; and 1 more.',
      'Window 3 holds 100000000000000000000: target of sine 0, row 4 at 1970-01-01 03:00:00.',
      'The checkpoint of step 10 is untouched: boiler/mlp.checkpoint.safetensors.',
    ].join(' '),
  });
});

test('leaves out what is not known', () => {
  const error = notFinite({ step: 1, result, windows, chosen: [5], origin: undefined, kept: undefined });
  expect(error.where).toBe('step 1, batch of windows 5');
  expect(error.what).toBe(
    'The loss is NaN and the norm of its gradient NaN. The windows are sine 0, rows 6 to 35 from 1970-01-01 05:00:00 on.',
  );
});
