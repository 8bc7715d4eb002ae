import { expect, test } from 'vitest';
import { createRandom } from '../../src/engine/random.js';
import { guessReport } from '../../src/runtime/report-guess.js';
import type { PastReading } from '../../src/runtime/readings.js';

const minute = 60_000;

function readings(count: number, next: (random: () => number, value: number) => { pause: number; value: number }) {
  const random = createRandom('guess');
  const made: PastReading[] = [];
  let [timeMs, last] = [0, 20];
  for (let i = 0; i < count; i++) {
    const { pause, value } = next(random, last);
    timeMs += Math.round(pause);
    last = value;
    made.push({ timeMs, value });
  }
  return made;
}
/** Steps of a tenth, never none. */
const step = (random: () => number): number => (random() < 0.5 ? -1 : 1) * (1 + Math.floor(3 * random())) * 0.1;

test('a steady pace is periodic, whatever the values', () => {
  const steady = readings(200, (random) => ({ pause: minute * (0.95 + random() / 10), value: 20 }));
  expect(guessReport(steady)).toMatchObject({ report: 'periodic', intervals: 199 });
});

test('pauses of all lengths and hardly a value twice are reports on change', () => {
  const change = readings(100, (random, value) => ({
    pause: -Math.log(1 - random()) * 10 * minute,
    value: value + step(random),
  }));
  const guess = guessReport(change)!;
  expect(guess.report).toBe('on_change');
  expect(guess.shortMs).toBeLessThan(guess.usualMs);
  expect(guess.usualMs).toBeLessThan(guess.longMs);
});

test('the same value again after the longest pause is a heartbeat', () => {
  const beat = readings(150, (random, value) => {
    const pause = -Math.log(1 - random()) * 20 * minute;
    return pause > 30 * minute ? { pause: 30 * minute, value } : { pause, value: value + step(random) };
  });
  expect(guessReport(beat)).toMatchObject({ report: 'heartbeat', heartbeatMs: 30 * minute });
});

test('too few readings, or such as fit nothing, are no ground for a guess', () => {
  expect(guessReport([])).toBeUndefined();
  expect(guessReport(readings(20, () => ({ pause: minute, value: 1 })))).toBeUndefined();
  expect(guessReport(readings(200, (random) => ({ pause: random() * 10 * minute, value: Math.round(random()) })))).toBeUndefined(); // prettier-ignore
});

test('only the first day counts', () => {
  const change = readings(100, (random, value) => ({ pause: random() * 10 * minute, value: value + step(random) }));
  const later = Array.from({ length: 2000 }, (_, i) => ({ timeMs: 90_000_000 + i * minute, value: 5 }));
  expect(guessReport([...change, ...later])).toMatchObject({ report: 'on_change', intervals: 99 });
});
