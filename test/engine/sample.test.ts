import { expect, test } from 'vitest';
import { createSampler } from '../../src/engine/sample.js';
import { rateAt } from '../../src/train/schedule.js';
import { trainSettings } from '../../src/train/defaults.js';

test('every window comes once before any comes again', () => {
  const sample = createSampler(10, 3);
  const chosen = new Uint32Array(5);
  const rounds = [0, 1].map((round) => {
    const seen: number[] = [];
    for (const step of [0, 1]) {
      sample(2 * round + step, chosen);
      seen.push(...chosen);
    }
    return seen;
  });
  const all = Array.from({ length: 10 }, (_, i) => i);
  for (const round of rounds) expect([...round].sort((a, b) => a - b)).toEqual(all);
  expect(rounds[0]).not.toEqual(rounds[1]);
});

test('a step draws the same windows whatever was drawn before', () => {
  const straight = createSampler(7, 1);
  const resumed = createSampler(7, 1);
  const a = new Uint32Array(4);
  const b = new Uint32Array(4);
  for (let step = 0; step < 6; step++) straight(step, a);
  resumed(5, b);
  expect(b).toEqual(a);
});

test('the learning rate falls as its schedule says', () => {
  const rates = (schedule: 'none' | 'step' | 'cosine'): number[] =>
    [0, 4, 8].map((step) => rateAt({ schedule, learningRate: 1, maxSteps: 9 }, step));
  expect(rates('none')).toEqual([1, 1, 1]);
  expect(rates('step')).toEqual([1, 0.5, 0.25]);
  expect(rates('cosine').map((rate) => Number(rate.toFixed(3)))).toEqual([1, 0.587, 0.03]);
});

test("a model's own defaults hold unless an option is given", () => {
  expect(trainSettings('dlinear')).toMatchObject({ maxSteps: 5000, learningRate: 1e-4, clipNorm: 1 });
  expect(trainSettings('dlinear', { maxSteps: 10, learningRate: undefined })).toMatchObject({
    maxSteps: 10,
    learningRate: 1e-4,
  });
  expect(trainSettings('mlp')).toMatchObject({ maxSteps: 1000, learningRate: 1e-3, windowsBatchSize: 1024 });
});

test('options that do not exist or are out of range are refused by name', () => {
  expect(() => trainSettings('mlp', { maxStep: 1 } as never)).toThrow(/maxStep.*\[ND_CONFIG_UNKNOWN_KEY\]/s);
  expect(() => trainSettings('mlp', { learningRate: -1, maxSteps: 0 })).toThrow(
    /maxSteps: .*learningRate: .*\[ND_CONFIG_OUT_OF_RANGE\]/s,
  );
});

test('mixed precision on a CPU is refused with advice, unless it is asked for by name', () => {
  expect(() => trainSettings('mlp', { precision: 'mixed' })).toThrow(
    /^train\.precision: .*`mixedOnCpu: true`.*\[ND_CONFIG_CONFLICT\]$/,
  );
  expect(trainSettings('mlp', { precision: 'mixed', mixedOnCpu: true }).precision).toBe('mixed');
  expect(trainSettings('mlp').precision).toBe('fp32');
});
