import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createGraph, evaluate, ndarray } from '../../../src/graph/index.js';
import { spectrumOf, valuesOf } from '../../../src/models/blocks/dft.js';

const run = (values: readonly number[], build: (x: ReturnType<typeof spectrumOf>) => ReturnType<typeof valuesOf>) => {
  const g = createGraph();
  const y = build(spectrumOf(g.input('x', [1, values.length])));
  return Array.from(evaluate([y], { x: ndarray(values, [1, values.length]) })[0]!.data);
};

test('a cosine has one frequency, at half its steps', () => {
  const wave = Array.from({ length: 8 }, (_, t) => Math.cos((2 * Math.PI * 2 * t) / 8));
  for (const [frequency, value] of run(wave, ({ real }) => real).entries())
    expect(value).toBeCloseTo(frequency === 2 ? 4 : 0, 6);
});

test('the frequencies give back the values they came from, of odd and even length', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: -9, max: 9, noNaN: true }), { minLength: 2, maxLength: 13 }), (values) => {
      const back = run(values, (spectrum) => valuesOf(spectrum, values.length));
      for (const [i, value] of values.entries()) expect(back[i]).toBeCloseTo(value, 4);
    }),
    { numRuns: 30 },
  );
});
