import fc from 'fast-check';
import { expect, test } from 'vitest';
import { constant, conv1d, createGraph, evaluate, ndarray } from '../../src/graph/index.js';
import { largestWeight } from '../../src/quantize/layers.js';
import { asProduct, saturatedPairs } from '../../src/quantize/saturation.js';

test('eight-bit weights overflow the 16-bit sum of two products, and every such pair is counted', () => {
  const x = Uint8Array.of(255, 255, 255, 0, 255, 255);
  const w = Int8Array.of(127, -128, 127, -128, 127, -128); // [3 inputs, 2 columns]; a last input without partner is safe
  expect(saturatedPairs(x, w, 3)).toBe(2); // the first row, both columns; the second row has 0 beside 255
});

test('seven-bit weights never overflow', () => {
  const inner = 8;
  const byte = fc.oneof(fc.constantFrom(0, 255), fc.integer({ min: 0, max: 255 }));
  const weight = fc.oneof(
    fc.constantFrom(-largestWeight, largestWeight),
    fc.integer({ min: -largestWeight, max: largestWeight }),
  );
  fc.assert(
    fc.property(
      fc.array(byte, { minLength: inner, maxLength: inner }),
      fc.array(weight, { minLength: 2 * inner, maxLength: 2 * inner }),
      (x, w) => {
        expect(saturatedPairs(Uint8Array.from(x), Int8Array.from(w), inner)).toBe(0);
      },
    ),
  );
});

test('an unrolled convolution is the same product', () => {
  const [channels, time, out, kernel] = [2, 7, 3, 2];
  const x = Uint8Array.from({ length: 2 * channels * time }, (_, i) => (i * 37) % 256);
  const w = Int8Array.from({ length: out * channels * kernel }, (_, i) => ((i * 11) % 127) - 63);
  const g = createGraph({ batch: 2 });
  const y = conv1d(g.input('x', [2, channels, time]), constant(w, [out, channels, kernel]), { dilation: 2 });
  const [expected] = evaluate([y], { x: ndarray(x, [2, channels, time]) });

  const product = asProduct(y.node, x, w);
  const steps = expected!.shape[2]!;
  for (let row = 0; row < 2 * steps; row++) {
    for (let o = 0; o < out; o++) {
      let sum = 0;
      for (let k = 0; k < product.inner; k++) sum += product.x[row * product.inner + k]! * product.w[k * out + o]!;
      expect(sum).toBe(expected!.data[(Math.floor(row / steps) * out + o) * steps + (row % steps)]);
    }
  }
});
