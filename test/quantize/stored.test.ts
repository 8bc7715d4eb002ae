import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRandom } from '../../src/engine/random.js';
import { add, constant, constantValues, createGraph, evaluate, matmul, mul, toOnnx } from '../../src/graph/index.js';
import { storedWeight, storeFactors, type StoredBits } from '../../src/quantize/stored.js';

const back = (values: Float32Array, shape: readonly number[], bits: StoredBits): Float64Array => {
  const stored = storedWeight(constant(values, shape), bits);
  expect(stored.shape).toEqual(shape);
  return evaluate([stored], {})[0]!.data;
};

test.each([
  [8, 64, 127],
  [4, 32, 7],
] as const)(
  'in %d bits a weight is off by no more than the quarter of its block that is clipped, or half a step',
  (bits, block, largest) => {
    fc.assert(
      fc.property(fc.array(fc.float({ min: -8, max: 8, noNaN: true }), { minLength: 1, maxLength: 200 }), (list) => {
        const values = Float32Array.from(list);
        const found = back(values, [values.length], bits);
        for (let from = 0; from < values.length; from += block) {
          const part = values.subarray(from, from + block);
          const top = part.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          for (const [i, value] of part.entries())
            expect(Math.abs(found[from + i]! - value)).toBeLessThanOrEqual(Math.max(0.26 * top, top / largest) + 1e-7);
        }
      }),
    );
  },
);

test('the error is that of rounding, and a large weight spoils its own block alone', () => {
  const random = createRandom(1, 'weights');
  const values = Float32Array.from({ length: 4096 }, () => random() - 0.5);
  values[0] = 100;
  const off = (bits: StoredBits): number => {
    const found = back(values, [64, 64], bits);
    return Math.sqrt(values.subarray(64).reduce((sum, value, i) => sum + (value - found[64 + i]!) ** 2, 0) / 4032);
  };
  expect(off(8)).toBeLessThan(0.0013); // a step is 1/254, and rounding to it is off by step/√12 on average
  expect(off(4)).toBeLessThan(0.025);
});

test('zeros stay zeros, and so do weights beside others a million times larger', () => {
  const values = new Float32Array(128);
  values[127] = 1e-9;
  values[0] = 1;
  const found = back(values, [128], 8);
  expect([...found.subarray(1)].every((value) => Math.abs(value) < 1e-8)).toBe(true);
  expect(found[0]).toBeCloseTo(1, 3);
  expect([...back(new Float32Array(64), [64], 4)]).toEqual([...new Float32Array(64)]);
});

test('the file takes 0.27 of FP32 in eight bits and 0.15 in four', () => {
  const random = createRandom(2, 'weights');
  const weight = constant(Float32Array.from({ length: 65_536 }, random), [256, 256]);
  const size = (bits: StoredBits): number => {
    const g = createGraph();
    return toOnnx(g.finish({ y: storedWeight(weight, bits) })).length / (4 * constantValues(weight)!.length);
  };
  expect(size(8)).toBeLessThan(0.27);
  expect(size(4)).toBeLessThan(0.15);
});

describe('factors of a normalization', () => {
  const random = createRandom(3, 'factors');
  const near = (middle: number, spread: number, length = 1024): Float32Array =>
    Float32Array.from({ length }, () => middle + spread * (random() - 0.5));
  const sizeOf = (values: Float32Array, use = mul): number => {
    const g = createGraph();
    const y = use(g.input('x', ['batch', values.length]), constant(values, [values.length]));
    return toOnnx(storeFactors(g.finish({ y }))).length;
  };

  test('are stored in eight bits wherever they lie, a half step off at most', () => {
    const values = near(1, 0.4);
    const g = createGraph();
    const y = add(mul(g.input('x', ['batch', 1024]), constant(values, [1024])), constant(near(0, 2), [1024]));
    const graph = storeFactors(g.finish({ y }));
    expect(toOnnx(graph).length).toBeLessThan(2 * 1024 + 1200);
    const x = { shape: [1, 1024], data: new Float64Array(1024).fill(1) };
    const [found, wanted] = [graph.outputs['y']!, y].map((tensor) => evaluate([tensor], { x })[0]!.data);
    for (const [i, value] of wanted!.entries())
      expect(Math.abs(found![i]! - value)).toBeLessThan((0.4 + 2) / 254 / 2 + 1e-6);
  });

  test.each([
    ['few of them', near(1, 0.4, 256)],
    ['equal ones', new Float32Array(1024).fill(1)],
    ['one far from all others', near(0, 0.01).fill(100, 0, 1)],
  ])('stay as they are: %s', (_, values) => {
    expect(sizeOf(values)).toBeGreaterThan(4 * values.length);
  });

  test('are not the weights of a product', () => {
    const g = createGraph();
    const y = matmul(g.input('x', ['batch', 32]), constant(near(0, 1), [32, 32]));
    expect(toOnnx(storeFactors(g.finish({ y }))).length).toBeGreaterThan(4096);
  });
});
