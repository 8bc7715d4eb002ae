import fc from 'fast-check';
import { expect, test } from 'vitest';
import { packColumns, putVarint, takeVarint, unpackColumns, VARINT_BYTES } from '../../src/runtime/columns.js';

const whole = fc.integer({ min: -(2 ** 50), max: 2 ** 50 });

test('whole numbers come back, in as few bytes as they need', () => {
  fc.assert(
    fc.property(whole, (value) => {
      const bytes = Buffer.alloc(VARINT_BYTES);
      const to = { bytes, at: 0 };
      putVarint(to, value);
      expect(takeVarint({ bytes, at: 0 })).toBe(value);
      expect(to.at).toBe(Math.max(1, Math.ceil(Math.log2(2 * Math.abs(value) + (value >= 0 ? 1 : 0)) / 7)));
    }),
  );
});

test('columns come back, bit for bit', () => {
  const reading = fc.tuple(whole, fc.double(), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(fc.array(reading), (readings) => {
      const columns = {
        times: readings.map(([time]) => time),
        values: readings.map(([, value]) => value),
        flags: readings.map(([, , flags]) => flags),
      };
      expect(unpackColumns(packColumns(columns))).toEqual(columns);
    }),
  );
});

test('bytes that were changed, cut or made up are known', () => {
  const packed = packColumns({ times: [1, 2, 3], values: [1, NaN, 3], flags: [0, 0, 1] });
  fc.assert(
    fc.property(fc.nat(packed.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const damaged = Buffer.from(packed);
      damaged[at]! ^= change;
      expect(unpackColumns(damaged)).toBeUndefined();
      expect(unpackColumns(packed.subarray(0, at))).toBeUndefined();
    }),
  );
  expect(unpackColumns(Buffer.alloc(0))).toBeUndefined();
});

test('a sensor that speaks every second with two digits takes less than four bytes a reading', () => {
  const times = Array.from({ length: 300 }, (_, i) => 1_763_823_600_000 + 1000 * i + ((i * 7) % 13));
  const values = times.map((_, i) => Math.round(2000 + 50 * Math.sin(i / 30)) / 100);
  expect(packColumns({ times, values, flags: times.map(() => 0) }).length).toBeLessThan(4 * 300);
});
