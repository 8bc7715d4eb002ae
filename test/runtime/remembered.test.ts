import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRemembered } from '../../src/runtime/remembered.js';

test('is a map of the newest times, whatever comes in whatever order', () => {
  const reading = fc.tuple(fc.integer({ min: 0, max: 120 }), fc.option(fc.integer(), { nil: undefined }));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 70 }), fc.array(reading, { maxLength: 300 }), (capacity, readings) => {
      const remembered = createRemembered(capacity);
      const plain = new Map<number, number | undefined>();
      for (const [timeMs, value] of readings) {
        expect(remembered.find(timeMs)).toBe(plain.has(timeMs) ? plain.get(timeMs) : null);
        remembered.put(timeMs, value);
        plain.set(timeMs, value);
        if (plain.size > capacity) plain.delete(plain.keys().next().value!);
      }
      for (let timeMs = 0; timeMs <= 120; timeMs++)
        expect(remembered.find(timeMs)).toBe(plain.has(timeMs) ? plain.get(timeMs) : null);
    }),
  );
});
