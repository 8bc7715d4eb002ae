import { expect, test } from 'vitest';
import { createKernels } from '../../src/engine/kernel.js';
import { createRandom, seedWords } from '../../src/engine/random.js';

test('the sum of squares is exact to float64 and shows what is not finite', () => {
  const { buffer, sumOfSquares } = createKernels(4096);
  const values = new Float32Array(buffer, 64, 32);
  values.forEach((_, i) => (values[i] = i - 7.25));
  expect(sumOfSquares(64, 32)).toBeCloseTo(
    values.reduce((sum, value) => sum + value * value, 0),
    9,
  );
  values[5] = Infinity;
  expect(sumOfSquares(64, 32)).toBe(Infinity);
  values[6] = NaN;
  expect(sumOfSquares(64, 32)).toBeNaN();
});

test('draws are uniform, differ between lanes and seeds, and go on where they stopped', () => {
  const count = 40_000;
  const draw = (seed: number, sizes: number[]): Float32Array => {
    const { buffer, uniform } = createKernels(64 + 4 * count);
    new Uint32Array(buffer, 0, 16).set(seedWords([seed], 16));
    let at = 64;
    for (const size of sizes) {
      uniform(0, at, size);
      at += 4 * size;
    }
    return new Float32Array(buffer, 64, count).slice();
  };
  const values = draw(1, [count]);
  expect(draw(1, [1000, count - 1000])).toEqual(values);
  expect(draw(2, [count])).not.toEqual(values);
  expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...values)).toBeLessThan(1);
  const mean = (list: ArrayLike<number>): number =>
    Array.from(list).reduce((sum, value) => sum + value, 0) / list.length;
  expect(mean(values)).toBeCloseTo(0.5, 2);
  expect(mean(values.map((value) => (value - 0.5) ** 2))).toBeCloseTo(1 / 12, 2);
  expect(mean(values.map((value, i) => (value - 0.5) * ((values[i + 1] ?? 0.5) - 0.5)))).toBeCloseTo(0, 2);
});

test('what dropout multiplies by is 0 or one value, in the asked share, whatever the place', () => {
  const count = 80_000;
  const { buffer, keep } = createKernels(64 + 4 * count);
  new Uint32Array(buffer, 0, 16).set(seedWords([1], 16));
  keep(0, 64, count, 0.9 * 65_536, 1 / 0.9);
  const values = new Float32Array(buffer, 64, count);
  expect([...new Set(values)].sort()).toEqual([0, Math.fround(1 / 0.9)]);
  const kept = (from: number, step: number): number => {
    let number = 0;
    for (let i = from; i < count; i += step) if (values[i]! > 0) number++;
    return (number * step) / count;
  };
  for (let place = 0; place < 8; place++) expect(Math.abs(kept(place, 8) - 0.9)).toBeLessThan(0.01);
  let pairs = 0; // neighbours and elements decided by one word are dropped together as often as chance has it
  for (let i = 4; i < count; i++) pairs += Number(values[i] === 0 && values[i - 4] === 0);
  expect(pairs / count).toBeCloseTo(0.01, 2);
});

test('random streams of the host depend on every key', () => {
  const first = (...keys: (number | string)[]): number => createRandom(...keys)();
  expect(first(1, 'a')).toBe(first(1, 'a'));
  expect(new Set([first(1, 'a'), first(2, 'a'), first(1, 'b'), first(1, 'a', 0)]).size).toBe(4);
});

test('more memory than WebAssembly has is refused with a code', () => {
  expect(() => createKernels(2 ** 40)).toThrow(/^weights: .* 1099511627776 bytes.*\[ND_ENGINE_OUT_OF_MEMORY\]$/);
});
