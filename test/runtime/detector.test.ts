import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../src/contracts/config.js';
import { createRandom } from '../../src/engine/random.js';
import { createDetector, detectorName } from '../../src/runtime/detector.js';
import type { Detector, DetectorMemory, DetectorStep } from '../../src/runtime/detector.js';

const minute = 60_000;
const settingsOf = (streams: string[], change: Record<string, unknown> = {}) =>
  parseConfig(
    {
      site: 's',
      device: 'd',
      state_dir: '/tmp/x',
      mqtt: { url: 'mqtt://127.0.0.1' },
      detectors: { pump: { streams, cadence: '1m', training: 200, lateness: 0, ...change } },
    },
    'test',
  ).detectors['pump']!;
const subject = { key: 'd/pump/anomaly', stream: 'pump', detector: 'group', model: '', newId: () => 'id' };
const noise = createRandom('ripple');
const drawn = Array.from({ length: 1000 }, () => noise() + noise() + noise());
const ripple = (i: number): number => drawn[i]!;

/** Readings at the start of each minute; the last one only closes the bucket before it. */
function feed(detector: Detector, from: number, count: number, values: (i: number) => (number | undefined)[]) {
  const steps: DetectorStep[] = [];
  for (let i = from; i < from + count; i++) {
    values(i).forEach((value, k) => detector.add(detector.settings.streams[k]!, i * minute, value));
    for (let step = detector.step(); step !== undefined; step = detector.step()) steps.push(step);
  }
  return steps;
}
const quiet = (i: number): number[] => [30 + ripple(i), 5 + ripple(i + 5)];

describe('a detector of several streams', () => {
  test('warms up until it has its rows of quiet times, then fires and says which stream it is', () => {
    const detector = createDetector(settingsOf(['flow', 'pressure']), subject, null);
    expect(detectorName(detector.settings)).toBe('group');
    expect(feed(detector, 0, 201, quiet).every(({ verdict }) => verdict === undefined)).toBe(true);
    const calm = feed(detector, 201, 40, quiet);
    expect(calm.every(({ verdict, alert }) => verdict!.p > 1e-3 && alert === undefined)).toBe(true);
    const alerts = feed(detector, 241, 5, (i) => [10 + ripple(i), 5 + ripple(i)]).flatMap(({ alert }) => alert ?? []);
    expect(alerts).toHaveLength(1);
    expect(alerts[0]).toMatchObject({ event: 'opened', channel: 'flow', detector: 'group', threshold: 1e-3 });
    expect(alerts[0]!.value).toBeLessThan(12);
    expect(detector.closedUntilMs).toBe(245 * minute);
    expect(detector.end('stale', 0, 'silence')).toMatchObject({ event: 'stale' });
    expect(detector.end('stale', 0, 'silence')).toBeUndefined();
  });

  test('waits for the stream that is behind, and leaves out buckets that one of them lacks', () => {
    const detector = createDetector(settingsOf(['flow', 'pressure']), subject, null);
    for (let i = 0; i < 5; i++) detector.add('flow', i * minute, 1);
    expect(detector.step()).toBeUndefined();
    for (const i of [0, 1, 3, 4]) detector.add('pressure', i * minute, 1);
    const times: number[] = [];
    for (let step = detector.step(); step !== undefined; step = detector.step()) times.push(step.timeMs / minute);
    expect(times).toEqual([0, 1, 3]);
  });

  test('does not collect without end for a stream that is silent', () => {
    const detector = createDetector(settingsOf(['flow', 'pressure']), subject, null);
    feed(detector, 0, 1500, () => [1]);
    for (let i = 0; i < 1500; i++) detector.add('pressure', i * minute, 1);
    expect(detector.step()!.timeMs).toBeGreaterThan(490 * minute);
  });

  test('goes on from what it saved, in training and after it', () => {
    const whole = createDetector(settingsOf(['flow', 'pressure']), subject, null);
    const expected = feed(whole, 0, 300, quiet).map(({ verdict }) => verdict?.p);
    for (const cut of [60, 250]) {
      const first = createDetector(settingsOf(['flow', 'pressure']), subject, null);
      feed(first, 0, cut, quiet);
      const memory = JSON.parse(JSON.stringify(first.save())) as DetectorMemory;
      const second = createDetector(settingsOf(['flow', 'pressure']), subject, null, { watch: first.watch, memory });
      const rest = feed(second, cut - 1, 300 - cut + 1, quiet).map(({ verdict }) => verdict?.p);
      expect(rest.slice(0, 40)).toEqual(expected.slice(cut - 1).slice(0, 40));
    }
  });
});

test('a detector of one stream is a baseline, with its own threshold and the unit in its words', () => {
  const detector = createDetector(settingsOf(['flow']), { ...subject, detector: 'baseline' }, 'l/min');
  expect(detectorName(detector.settings)).toBe('baseline');
  feed(detector, 0, 300, (i) => [30 + ripple(i)]);
  const alert = feed(detector, 300, 3, () => [10]).flatMap((step) => step.alert ?? [])[0]!;
  expect(alert).toMatchObject({ threshold: 1e-3, detector: 'baseline', channel: 'pump' });
  expect(alert.reason).toMatch(/l\/min is .* below the/);
});

test('a detector named like a stream is refused', () => {
  expect(() => settingsOf(['pump'])).toThrow(/a detector needs a name that no stream has/);
});

test('a bucket in which no stream reported is no new evidence; the value of one that did not counts beside one that did', () => {
  const hold = (stream: string): number | null => (stream === 'flow' ? null : 60 * minute);
  const times = (streams: string[], work: (detector: Detector) => void): number[] => {
    const detector = createDetector(settingsOf(streams), subject, null, {}, hold);
    work(detector);
    const found: number[] = [];
    for (let step = detector.step(); step !== undefined; step = detector.step()) found.push(step.timeMs / minute);
    return found;
  };
  const steady = times(['flow', 'door'], (detector) => {
    detector.add('door', 0, 1);
    for (let i = 0; i < 6; i++) {
      detector.add('flow', i * minute, i);
      detector.advance('door', i * minute, -Infinity);
    }
  });
  expect(steady).toEqual([0, 1, 2, 3, 4]);
  const quiet = times(['window', 'door'], (detector) => {
    detector.add('door', 0, 1);
    detector.add('window', 0, 1);
    detector.add('window', 3 * minute, 0);
    for (const stream of ['window', 'door']) detector.advance(stream, 9 * minute, -Infinity);
  });
  expect(quiet).toEqual([0, 3]);
});
