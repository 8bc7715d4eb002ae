import { expect, test } from 'vitest';
import { compareForecasts, windowsFrom } from '../../../src/cli/verify/compare.js';
import type { Manifest } from '../../../src/contracts/manifest.js';
import type { StoredTensor } from '../../../src/contracts/safetensors.js';

const tensor = (...values: number[]): StoredTensor => ({
  dtype: 'F32',
  shape: [1, values.length, 1],
  data: Float32Array.from(values),
});
const manifest = {
  golden: { cases: 2, tolerance: { int8: 0.02, fp32: 1e-4 } },
  targets: [{ precision: 'int8' }, { precision: 'fp32' }],
} as unknown as Manifest;
const golden = {
  '0/in/past': tensor(1, 2, 3),
  '0/in/mask': tensor(1, 1, 0),
  '1/in/past': tensor(10, 20, 30),
  '1/in/mask': tensor(1, 1, 1),
  '0/out/int8/forecast': tensor(4),
  '1/out/int8/forecast': tensor(40),
  '0/out/fp32/forecast': tensor(4),
  '1/out/fp32/forecast': tensor(40),
};

test('the golden windows come as they are, others are varied from them and keep their mask; the same at every call', () => {
  const windows = windowsFrom(golden, manifest, 5);
  expect(Object.keys(windows)).toHaveLength(2 * (2 + 5));
  expect(windows['golden1/past']).toBe(golden['1/in/past']);
  expect(windows['2/mask']).toBe(golden['0/in/mask']);
  expect([...(windows['3/past']!.data as Float32Array)]).not.toEqual([10, 20, 30]);
  expect(windowsFrom(golden, manifest, 5)).toEqual(windows);
});

test('a precision that leaves its golden vectors fails, and differences are to FP32 on the first machine', () => {
  const here = {
    'golden0/int8': tensor(4),
    'golden1/int8': tensor(40.4),
    'golden0/fp32': tensor(4),
    'golden1/fp32': tensor(40),
    '0/int8': tensor(9),
    '0/fp32': tensor(10),
    '1/int8': tensor(20),
    '1/fp32': tensor(20),
  };
  const there = { ...here, 'golden0/int8': tensor(5), '1/fp32': tensor(Number.NaN) };
  const rows = compareForecasts({ here, there }, golden, manifest);
  expect(rows.map(({ machine, precision, passed }) => [machine, precision, passed])).toEqual([
    ['here', 'int8', true],
    ['here', 'fp32', true],
    ['there', 'int8', false],
    ['there', 'fp32', true],
  ]);
  expect(rows[0]).toMatchObject({
    reference: 'fp32 on here',
    golden: expect.closeTo(0.01) as number,
    mean: 0.5 / 20,
    largest: 1 / 20,
  });
  expect(rows[3]!.largest).toBe(Infinity);
});
