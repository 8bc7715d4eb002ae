import fc from 'fast-check';
import { expect, test } from 'vitest';
import { largestWeight } from '../../src/quantize/layers.js';
import { saturatingChannels } from '../../src/quantize/saturation.js';

/** What `vpmaddubsw` would clip, tried on the worst inputs: every pair of weights of a channel with inputs of 0 and 255. */
const clips = (weights: readonly number[]): boolean =>
  weights.some((a, i) =>
    weights.some((b, j) => {
      const sums = [255 * a, 255 * b, 255 * (a + b)];
      return i !== j && sums.some((sum) => sum > 32_767 || sum < -32_768);
    }),
  );

test('a channel is counted when two of its weights could exceed 16 bits, and no other', () => {
  const int8 = fc.integer({ min: -128, max: 127 });
  fc.assert(
    fc.property(fc.array(int8, { minLength: 2, maxLength: 8 }), (weights) => {
      const found = saturatingChannels(Int8Array.from(weights), 1, () => 0);
      expect(found).toBe(clips(weights) ? 1 : 0);
    }),
  );
});

test('weights of other channels do not count', () => {
  const weights = Int8Array.of(127, 0, 0, 127, 127, 127);
  expect(saturatingChannels(weights, 2, (i) => i % 2)).toBe(2);
  expect(saturatingChannels(weights.subarray(0, 4), 2, (i) => i % 2)).toBe(0);
});

test('seven-bit weights never overflow', () => {
  const weight = fc.integer({ min: -largestWeight, max: largestWeight });
  fc.assert(
    fc.property(fc.array(weight, { minLength: 4, maxLength: 16 }), (weights) => {
      expect(saturatingChannels(Int8Array.from(weights), 1, () => 0)).toBe(0);
    }),
  );
});
