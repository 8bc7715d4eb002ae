import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { play } from '../../src/simulate/play.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

const messages = [0, 100, 100, 5000, 90_000].map((atMs) => ({ atMs }));
const start = (options: Partial<Parameters<typeof play<{ atMs: number }>>[1]> = {}) => {
  const sent: number[] = [];
  const stop = new AbortController();
  const done = play(messages, {
    speed: 1,
    signal: stop.signal,
    send: async ({ atMs }) => void sent.push(atMs),
    ...options,
  });
  return { sent, stop, done };
};

test('messages leave at their moments, and faster when asked to', async () => {
  const { sent, done } = start({ speed: 10 });
  await vi.advanceTimersByTimeAsync(9);
  expect(sent).toEqual([0]);
  await vi.advanceTimersByTimeAsync(1);
  expect(sent).toEqual([0, 100, 100]);
  await vi.advanceTimersByTimeAsync(8989);
  expect(sent).toEqual([0, 100, 100, 5000]);
  await vi.advanceTimersByTimeAsync(1);
  await done;
  expect(sent).toEqual([0, 100, 100, 5000, 90_000]);
});

test('as fast as possible is as fast as they are taken, and no more than 64 are on their way', async () => {
  const many = Array.from({ length: 200 }, (_, i) => ({ atMs: i * 1000 }));
  const taken: (() => void)[] = [];
  let onWay = 0;
  let most = 0;
  const done = play(many, {
    speed: Infinity,
    signal: new AbortController().signal,
    send: () => {
      most = Math.max(most, ++onWay);
      return new Promise<void>((resolve) => taken.push(() => (onWay--, resolve())));
    },
  });
  for (let i = 0; i < 200; i++) {
    await vi.waitUntil(() => taken.length > i);
    taken[i]!();
  }
  await done;
  expect(most).toBe(64);
});

test('it ends before the next message when it is told to, also while it waits', async () => {
  const { sent, stop, done } = start();
  await vi.advanceTimersByTimeAsync(200);
  stop.abort();
  await done;
  expect(sent).toEqual([0, 100, 100]);
});

test('it waits while the receiver is not ready', async () => {
  let open: () => void;
  const ready = new Promise<void>((resolve) => (open = resolve));
  const { sent, done } = start({ speed: Infinity, ready: ({ atMs }) => (atMs < 5000 ? Promise.resolve() : ready) });
  await vi.advanceTimersByTimeAsync(1000);
  expect(sent).toEqual([0, 100, 100]);
  open!();
  await done;
  expect(sent).toHaveLength(5);
});
