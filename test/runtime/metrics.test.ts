import { expect, test } from 'vitest';
import {
  count,
  createHistogram,
  createMetrics,
  createStopwatch,
  hearPublished,
  sqliteWord,
} from '../../src/runtime/metrics.js';
import type { Counts } from '../../src/runtime/metrics.js';
import type { MqttLink } from '../../src/transport/mqtt.js';

test('a histogram puts a measurement on a limit below it, and one beyond all limits last', () => {
  const histogram = createHistogram();
  for (const ms of [0, 0.5, 0.6, 5000, 5001]) histogram.add(ms);
  expect(histogram.counts).toEqual([2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
  expect(histogram.sumSeconds).toBeCloseTo(10.0021, 9);
});

test('a stopwatch is a histogram that knows its newest measurements too', () => {
  const stopwatch = createStopwatch();
  expect(stopwatch.read()).toEqual({ p50: 0, p99: 0, count: 0 });
  for (let ms = 1; ms <= 200; ms++) stopwatch.add(ms);
  expect(stopwatch.read()).toEqual({ p50: 100, p99: 198, count: 200 });
  expect(stopwatch.counts.reduce((a, b) => a + b)).toBe(200);
  expect(stopwatch.sumSeconds).toBeCloseTo(20.1, 9);
});

test('each model has times of its own', () => {
  const { inference } = createMetrics();
  const [a, b] = [{}, {}];
  inference(a).add(1);
  expect([inference(a), inference(b)].map(({ counts }) => counts.reduce((x, y) => x + y))).toEqual([1, 0]);
});

test.each([
  [{ code: 'SQLITE_FULL' }, 'full'],
  [{ code: 'SQLITE_IOERR_WRITE' }, 'ioerr'],
  [new TypeError('x'), 'other'],
  [{ code: 5 }, 'other'],
  [undefined, 'other'],
])('%j is told as %s', (error, word) => {
  expect(sqliteWord(error)).toBe(word);
});

test('of what is published, only that is counted which the broker has taken', async () => {
  const sent: string[] = [];
  const bare: MqttLink = {
    online: true,
    publish: async (topic) => sent.push(topic) % 2 === 1,
    subscribe: async () => true,
    close: async () => void sent.push('closed'),
  };
  const taken: Counts = {};
  const link = hearPublished(bare, (topic) => count(taken, topic));
  expect([link.online, await link.publish('a', ''), await link.publish('b', ''), await link.subscribe([])]).toEqual([true, true, false, true]); // prettier-ignore
  await link.close();
  expect([sent, taken]).toEqual([['a', 'b', 'closed'], { a: 1 }]);
});
