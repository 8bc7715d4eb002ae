import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readTuningPlan, tuningMetadata } from '../../src/contracts/tuning.js';
import type { TuningPlan } from '../../src/contracts/tuning.js';

const plan: TuningPlan = {
  v: 1,
  layout: {
    inputs: [{ name: 'targetMask', shape: [32, 6, 1] }],
    parameters: [{ name: 'model/w', shape: [2, 3], gradient: 'grad/model/w' }],
    states: [{ name: 'model/mean', shape: [], next: 'model/mean/next' }],
    draws: [{ name: 'model/keep', shape: [32, 4], keep: 0.8 }],
    loss: 'loss',
  },
  batch: 32,
  learningRate: 1e-4,
  clipNorm: 1,
  weightDecay: 0,
  seed: 1,
};

test('a plan comes out of the metadata as it went in', () => {
  expect(readTuningPlan(tuningMetadata(plan))).toEqual({ ok: true, value: plan });
});

test.each([
  ['no plan', {}],
  ['no JSON', { tuning: '{' }],
  ['another version', { tuning: JSON.stringify({ v: 2 }) }],
  ['an input that no device has', { tuning: tuningMetadata(plan)['tuning']!.replace('targetMask', 'future') }],
  ['a batch of none', { tuning: tuningMetadata(plan)['tuning']!.replace('"batch":32', '"batch":0') }],
])('%s is malformed', (_, metadata) => {
  expect(readTuningPlan(metadata)).toMatchObject({ ok: false, reason: 'malformed' });
});

test('nothing that metadata may hold throws', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (tuning) => {
      expect(readTuningPlan({ tuning }).ok).toBe(false);
    }),
  );
});
