import { expect, test } from 'vitest';
import type { Forecaster } from '../../src/runtime/forecaster.js';
import { createLane } from '../../src/runtime/lane.js';
import type { Lane, LaneSettings } from '../../src/runtime/lane.js';
import { manifestOf } from './fakes.js';

const minute = 60_000;
const manifest = manifestOf();
const level = {
  p50: new Float32Array(manifest.horizon).fill(20),
  halfWidth: new Float32Array(manifest.horizon).fill(1),
  coverage: null,
  imputed: 0,
};
const forecaster = {
  manifest,
  forecast:
    ({ nextMs: startMs }) =>
    () => ({ forecast: { startMs, ...level }, failed: undefined, inferenceMs: 0, grownBytes: 10 }),
} as Partial<Forecaster> as Forecaster;

const settings = {
  forecaster,
  monotonicMs: () => 0,
  series: {
    cadenceMs: minute,
    aggregate: 'mean',
    impute: 'last',
    maxGap: 3,
    latenessMs: 0,
    inputLength: manifest.inputLength,
  },
  calibration: { ringSize: 50, ringMinimum: 5, gamma: 0, coverage: 0.9, method: 'conformal' },
  rules: {
    threshold: 0.2,
    severity: { warning: 1e-3, critical: 1e-6 },
    openCount: 2,
    openWindow: 3,
    clearThreshold: 0.5,
    clearCount: 3,
    cooldownMs: minute,
    repeatMs: 0,
    flapping: null,
  },
  subject: { key: 'k', stream: 's', detector: 'conformal', model: 'm@1', newId: () => 'id' },
  unit: null,
} as Partial<LaneSettings> as LaneSettings;

const value = (i: number): number => 20 + ((i * 7) % 5) / 10 + (i >= 100 ? 50 : 0);

function feed(lane: Lane, from: number, to: number) {
  const steps = [];
  for (let i = from; i < to; i++) {
    lane.add(i * minute, value(i));
    for (let step = lane.step(); step !== undefined; step = lane.step()) steps.push(step);
  }
  return steps;
}

test('a bucket that was judged before the power went is not judged again, whatever was lost of the readings', () => {
  const lane = createLane(settings);
  const opened = feed(lane, 0, 103).flatMap(({ alert }) => alert ?? []);
  expect(opened.map(({ event }) => event)).toEqual(['opened']);
  const { watch, closedUntilMs } = lane;

  const again = createLane(settings, { watch, closedUntilMs, rings: lane.saveCalibration() });
  again.rehearse(
    Array.from({ length: 100 }, (_, i) => ({ timeMs: i * minute, value: value(i) })),
    { learnSteps: 0, budgetMs: 1000 },
  );
  const steps = feed(again, 100, 103); // they come again
  expect(steps.map(({ surprise, alert }) => [surprise, alert])).toEqual(steps.map(() => [undefined, undefined]));
  expect(steps.every(({ run }) => run().forecast !== undefined)).toBe(true);
  expect(again.watch).toEqual(watch);
  expect(feed(again, 103, 105).every(({ surprise }) => surprise !== undefined)).toBe(true);
});

test('silence begins no alert; that an unusual value holds confirms one, that the usual one does ends it; nothing is learned', () => {
  const holding = { ...settings, series: { ...settings.series, holdMs: 1000 * minute } };
  const lane = createLane(holding);
  feed(lane, 0, 100);
  const stepAll = () => {
    const steps = [];
    for (let step = lane.step(); step !== undefined; step = lane.step()) steps.push(step);
    return steps;
  };
  lane.advance(101 * minute, -Infinity);
  stepAll();
  const rings = lane.saveCalibration();
  lane.advance(106 * minute, -Infinity);
  const quiet = stepAll();
  expect(quiet.map(({ bucket, surprise, alert }) => [bucket.held, surprise, alert])).toEqual(
    Array.from({ length: 5 }, () => [true, undefined, undefined]),
  );
  expect(quiet.every(({ run }) => run().forecast !== undefined)).toBe(true);
  expect(lane.saveCalibration()).toEqual(rings);

  lane.add(110 * minute, 70);
  lane.advance(111 * minute, -Infinity);
  expect(stepAll().flatMap(({ alert }) => alert ?? [])).toEqual([]);
  expect(lane.watch.state).toBe('pending');
  const { quality } = lane;
  lane.advance(112 * minute, -Infinity);
  const [opened] = stepAll();
  expect(opened).toMatchObject({ bucket: { held: true }, alert: { event: 'opened', value: 70 }, interval: undefined });
  expect(lane.quality).toEqual(quality); // nor is the model judged by it

  lane.add(112 * minute, 20);
  lane.advance(116 * minute, -Infinity);
  expect(stepAll().flatMap(({ alert }) => alert ?? [])).toMatchObject([{ event: 'resolved' }]);
});

test('after a long time in which a value held only what is still to come is forecast, and a restart begins there', () => {
  const holding = { ...settings, series: { ...settings.series, holdMs: 1000 * minute } };
  const lane = createLane(holding);
  feed(lane, 0, 10);
  lane.advance(500 * minute, -Infinity);
  const steps = [];
  for (let step = lane.step(); step !== undefined; step = lane.step()) steps.push(step);
  expect(steps).toHaveLength(491);
  expect(steps.filter(({ run }) => run().forecast !== undefined)).toHaveLength(manifest.horizon + 4);
  expect(steps.at(-1)!.run().forecast!.startMs).toBe(500 * minute);

  const readings = Array.from({ length: 10 }, (_, i) => ({ timeMs: i * minute, value: value(i) }));
  expect(
    createLane(holding).rehearse(readings, { learnSteps: 0, budgetMs: 1000, untilMs: 500 * minute })!.startMs,
  ).toBe(500 * minute);
  expect(
    createLane(settings).rehearse(readings, { learnSteps: 0, budgetMs: 1000, untilMs: 500 * minute })!.startMs,
  ).toBe(9 * minute);
});

test('a value is judged by the forecast before it, though nobody has asked for that yet', () => {
  const asked = feed(createLane(settings), 0, 103); // nothing but the next bucket asks
  expect(asked.filter(({ surprise }) => surprise !== undefined).length).toBeGreaterThan(80);
  expect(asked.flatMap(({ alert }) => alert ?? [])).toMatchObject([{ event: 'opened' }]);
});

test('the memory that a rehearsal and commands took is told once, by the next step', () => {
  const lane = createLane(settings);
  const readings = Array.from({ length: 10 }, (_, i) => ({ timeMs: i * minute, value: value(i) }));
  lane.rehearse(readings, { learnSteps: 0, budgetMs: 1000 }); // the last bucket is open: six windows are full
  lane.forecast()();
  const steps = feed(lane, 10, 12);
  const told = steps.map(({ run }) => run().grownBytes);
  expect([...told, ...steps.map(({ run }) => run().grownBytes)]).toEqual([70 + 10, 10, 70 + 10, 10]);
});
