import { describe, expect, test } from 'vitest';
import { createRunCheck } from '../../src/engine/fit.js';

const tensor = (...dims: number[]) => ({ dims, data: new Float32Array(dims.reduce((a, b) => a * b, 1)) });
const check = () =>
  createRunCheck(
    'nhits',
    [
      { name: 'past', shape: ['batch', 3] },
      { name: 'mask', shape: ['batch', ''] },
      { name: 'level', shape: [] },
    ],
    [{ name: 'forecast', shape: ['batch', 2] }],
  );
const feeds = { past: tensor(4, 3), mask: tensor(4, 9), level: tensor() };

describe('what is fed', () => {
  test('fits any batch, in any order of batches, with tensors that the model does not have', () => {
    const run = check();
    for (const batch of [4, 1, 4])
      run({ past: tensor(batch, 3), mask: tensor(batch, 2), level: tensor(), x: tensor(7) });
  });

  test.each([
    [{ past: tensor(4, 4) }, 'The input "past" is [4,4], but the model has [batch,3].'],
    [{ past: tensor(12) }, 'The input "past" is [12], but the model has [batch,3].'],
    [{ mask: tensor(5, 9) }, 'The input "mask" is [5,9], but the model has [batch,?], where batch is 4 already.'],
    [
      { past: { dims: [4, 3], data: new Float32Array(11) } },
      'The input "past" is [4,3], but that takes 12 values, and there are 11.',
    ],
  ])('%# of another shape is refused by name', (wrong, what) => {
    expect(() => check()({ ...feeds, ...wrong })).toThrow(
      expect.objectContaining({ code: 'ND_ENGINE_INPUT_SHAPE', where: 'nhits', what }) as Error,
    );
  });

  test('is looked at again when one of it changes, also after a refusal', () => {
    const run = check();
    run(feeds);
    const five = { ...feeds, past: tensor(5, 3) };
    for (let i = 0; i < 2; i++) expect(() => run(five)).toThrow('where batch is 5 already');
    expect(() => run({ ...feeds, past: { dims: feeds.past.dims, data: new Float32Array(1) } })).toThrow('takes 12');
    expect(() => run({ past: feeds.past, mask: feeds.mask })).toThrow(
      'nhits: The input "level" is not fed. Feed every input: past [batch,3], mask [batch,?], level []. [ND_ENGINE_INPUT_MISSING]',
    );
  });
});

describe('memory for outputs', () => {
  test('fits, or is left to the engine', () => {
    const run = check();
    run(feeds, { forecast: tensor(4, 2) });
    run(feeds, { forecast: null });
  });

  test('is looked at again for another batch', () => {
    const run = check();
    const memory = { forecast: tensor(4, 2) };
    run(feeds, memory);
    expect(() => run({ ...feeds, past: tensor(5, 3), mask: tensor(5, 9) }, memory)).toThrow(
      'nhits: The output "forecast": the model has [batch,2], where batch is 5 already. It has forecast [batch,2]. [ND_ENGINE_OUTPUT_MISMATCH]',
    );
    expect(() => run(feeds, { trend: null })).toThrow('The output "trend": the model has no such output.');
  });
});
