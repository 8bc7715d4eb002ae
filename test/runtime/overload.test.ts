import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createOverload } from '../../src/runtime/overload.js';
import { fakeClock } from './fakes.js';

function overloadOf(perSecond: number) {
  const clock = fakeClock();
  const dropped: number[] = [];
  return { clock, dropped, overload: createOverload<number>(clock, perSecond, (message) => dropped.push(message)) };
}

test('ten seconds of messages may come at once; of those beyond, the newest waits for its turn', async () => {
  const { clock, dropped, overload } = overloadOf(2);
  const taken = Array.from({ length: 25 }, (_, i) => overload.take('a', i)).flat();
  expect(taken).toEqual(Array.from({ length: 20 }, (_, i) => i));
  expect(dropped).toEqual([20, 21, 22, 23]);
  expect(overload.take('b', 7)).toEqual([7]); // another stream has its own allowance
  expect(overload.due()).toEqual([]);
  expect(overload.excess()).toBe('a');
  await clock.advance(500);
  expect(overload.due()).toEqual([24]);
  expect(overload.due()).toEqual([]);
  await clock.advance(60_000);
  expect(overload.excess()).toBeUndefined();
});

test('what waited is read before the message that finds room; what waits is not lost when the device stops', async () => {
  const { clock, dropped, overload } = overloadOf(1);
  for (let i = 0; i < 11; i++) overload.take('a', i);
  await clock.advance(2000);
  expect(overload.take('a', 11)).toEqual([10, 11]);
  expect(overload.take('a', 12)).toEqual([]);
  await clock.advance(1000);
  expect(overload.take('a', 13)).toEqual([12]);
  expect(overload.drain()).toEqual([13]);
  expect(overload.drain()).toEqual([]);
  expect(dropped).toEqual([]);
});

test('names without end take nothing from one another', async () => {
  const { clock, overload } = overloadOf(1000);
  for (let i = 0; i < 5000; i++) {
    if (i % 1000 === 0) await clock.advance(10);
    expect(overload.take(`s${i}`, i)).toEqual([i]);
  }
});

test('whatever comes when: nothing is read twice or out of order, each is read or dropped, and the newest is read', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 60 }), async (pauses) => {
      const { clock, dropped, overload } = overloadOf(1);
      const read: number[] = [];
      for (const [i, pause] of pauses.entries()) {
        await clock.advance(pause < 1500 ? 0 : pause - 1500);
        if (pause % 3 === 0) read.push(...overload.due());
        read.push(...overload.take('a', i));
      }
      read.push(...overload.drain());
      expect(read).toEqual([...new Set(read)].sort((a, b) => a - b));
      expect([...read, ...dropped].sort((a, b) => a - b)).toEqual(pauses.map((_, i) => i));
      expect(read.at(-1)).toBe(pauses.length === 0 ? undefined : pauses.length - 1);
    }),
    { numRuns: 50 },
  );
});
