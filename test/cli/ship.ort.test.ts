import { expect, test } from 'vitest';
import { heldOutRows } from '../../src/cli/ship.js';
import { sines, specOf } from '../train/example.js';

test('a model of many series is refused, since a device forecasts each by itself', () => {
  expect(heldOutRows({ spec: specOf('mlp'), errors: undefined } as never, sines())).toBe(80);
  expect(() => heldOutRows({ spec: specOf('tsmixer', { series: 2 }), errors: undefined } as never, sines())).toThrow(
    /tsmixer: .*\[ND_CONFIG_CONFLICT\]/,
  );
});
