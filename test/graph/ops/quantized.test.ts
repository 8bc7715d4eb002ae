import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  constant,
  createGraph,
  dequantizeLinear,
  evaluate,
  ndarray,
  quantizeLinear,
  roundHalfEven,
} from '../../../src/graph/index.js';

test('halfway values go to the even integer, all others to the nearest', () => {
  expect([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5].map(roundHalfEven).map((v) => v + 0)).toEqual([-2, -2, 0, 0, 2, 2]);
  fc.assert(
    fc.property(fc.double({ min: -1e6, max: 1e6, noNaN: true }), (value) => {
      const rounded = roundHalfEven(value);
      expect(Number.isInteger(rounded)).toBe(true);
      expect(Math.abs(rounded - value)).toBeLessThanOrEqual(0.5);
    }),
  );
});

test('quantizing clips to the type, and back is within half a step for what lies inside', () => {
  fc.assert(
    fc.property(
      fc.array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 0, max: 255 }),
      (values, zero) => {
        const scaling = { dtype: 'uint8', scale: [0.0625], zero: [zero] } as const;
        const g = createGraph();
        const codes = quantizeLinear(g.input('x', [values.length]), scaling);
        const [q, back] = evaluate([codes, dequantizeLinear(codes, scaling)], { x: ndarray(values, [values.length]) });
        for (const [i, value] of values.entries()) {
          expect(q!.data[i]).toBeGreaterThanOrEqual(0);
          expect(q!.data[i]).toBeLessThanOrEqual(255);
          const inside = value >= -zero * 0.0625 && value <= (255 - zero) * 0.0625;
          if (inside) expect(Math.abs(back!.data[i]! - value)).toBeLessThanOrEqual(0.03125);
        }
      },
    ),
  );
});

test('the result has the type asked for, and every axis of the tensor may have scales of its own', () => {
  const x = createGraph().input('x', ['batch', 2]);
  expect(quantizeLinear(x, { dtype: 'int8', scale: [1, 2], axis: 1 }).dtype).toBe('int8');
  expect(dequantizeLinear(constant([1, 1], [2], 'int32'), { scale: [0.5, 2], axis: 0 }).dtype).toBe('float32');
});

test.each([
  ['too few scales', { dtype: 'int8', scale: [1], axis: 1 }],
  ['scales without an axis', { dtype: 'int8', scale: [1, 2] }],
  ['zeros that do not match', { dtype: 'int8', scale: [1, 2], zero: [0], axis: 1 }],
] as const)('%s are refused', (_, scaling) => {
  expect(() => quantizeLinear(createGraph().input('x', [3, 2]), scaling)).toThrow('[ND_SHAPE_MISMATCH]');
});
