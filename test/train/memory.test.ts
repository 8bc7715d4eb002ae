import { totalmem } from 'node:os';
import { expect, test } from 'vitest';
import { NeuroDivergentError } from '../../src/errors.js';
import { availableBytes, refuseShortage, shortage } from '../../src/train/memory.js';

test('what is available is something, and no more than there is', () => {
  expect(availableBytes()).toBeGreaterThan(0);
  expect(availableBytes()).toBeLessThanOrEqual(totalmem());
});

test('a need that is clearly larger is refused with both figures and a batch that may fit', () => {
  expect(() => refuseShortage({ neededBytes: 1e6, batch: 8 })).not.toThrow();
  expect(() => refuseShortage({ neededBytes: 4 * totalmem(), batch: 1024 })).toThrow(
    /^training: A step of 1024 windows takes at least [\d.]+ GB of memory, and [\d.]+ [GM]B are available\. Lower `windowsBatchSize` \(1024 now; \d+ may fit\) or `inputLength`, .*\[ND_TRAIN_OUT_OF_MEMORY\]$/,
  );
});

test('an allocation that failed becomes that error, and nothing else does', () => {
  const plan = { neededBytes: 1e6, batch: 8 };
  const engine = new NeuroDivergentError('ND_ENGINE_OUT_OF_MEMORY', { where: 'mlp', what: 'No.', mend: 'Wait.' });
  for (const cause of [engine, new RangeError('Array buffer allocation failed')])
    expect(shortage(plan, cause)).toMatchObject({ code: 'ND_TRAIN_OUT_OF_MEMORY', cause });
  expect(shortage(plan, new RangeError('Invalid array length'))).toBeUndefined();
  expect(shortage(plan, new NeuroDivergentError('ND_ENGINE_FAILED', engine))).toBeUndefined();
});
