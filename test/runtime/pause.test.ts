import { beforeEach, expect, test } from 'vitest';
import { createPauses } from '../../src/runtime/pause.js';
import { startsSafe } from '../../src/runtime/safe.js';
import type { Store } from '../../src/runtime/store.js';
import { fakeClock } from './fakes.js';

let store: Store;
beforeEach(() => {
  const kept = new Map<string, string>();
  store = {
    start: 'unclean',
    get: (key: string) => (kept.has(key) ? Buffer.from(kept.get(key)!) : undefined),
    put: (key: string, value: string) => void kept.set(key, value),
    write: (work: () => void) => work(),
  } as unknown as Store;
});

test('a pause of a stream, or of all, lasts until its end or until it is resumed, over restarts', async () => {
  const clock = fakeClock();
  const pauses = createPauses(store, clock);
  expect(pauses.paused('a')).toBe(false);
  pauses.begin('a', { until: clock.now() + 1000, by: 'x' });
  expect([pauses.paused('a'), pauses.paused('b')]).toEqual([true, false]);
  pauses.begin(undefined, { until: null, by: 'y' });
  const again = createPauses(store, clock);
  expect(again.paused('b')).toBe(true);
  expect(Object.keys(again.all())).toEqual(['a', '*']);
  expect(again.end(undefined)).toBe(true);
  expect([again.paused('a'), again.paused('b'), again.end('b')]).toEqual([true, false, false]);
  await clock.advance(1000);
  expect(again.paused('a')).toBe(false);
  expect(again.end('a')).toBe(false);
});

test('the fifth unclean start within ten minutes is a safe one', async () => {
  const clock = fakeClock();
  const starts = async (count: number, everyMs: number): Promise<boolean[]> => {
    const safe = [];
    for (let i = 0; i < count; i++) {
      safe.push(startsSafe(store, clock));
      await clock.advance(everyMs);
    }
    return safe;
  };
  expect(await starts(6, 200_000)).toEqual(Array(6).fill(false));
  expect(await starts(6, 1000)).toEqual([false, false, true, true, true, true]);
  expect(startsSafe({ ...store, start: 'clean' }, clock)).toBe(false);
});
