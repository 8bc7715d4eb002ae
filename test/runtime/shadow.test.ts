import { expect, test } from 'vitest';
import type { StreamRules } from '../../src/runtime/reporting.js';
import type { Forecast, Forecaster, Run } from '../../src/runtime/forecaster.js';
import type { Lane, Step } from '../../src/runtime/lane.js';
import { addEvidence, newTally, reportedMetrics } from '../../src/runtime/probation.js';
import type { PastReading } from '../../src/runtime/readings.js';
import { createShadows } from '../../src/runtime/shadow.js';
import type { Active } from '../../src/runtime/update.js';
import { fakeClock, manifestOf } from './fakes.js';

const minute = 60_000;
const manifest = manifestOf();

const runOf = (forecast: Forecast | undefined, inferenceMs = 0): Run => ({
  forecast,
  failed: forecast === undefined ? 'no number' : undefined,
  inferenceMs,
  grownBytes: 0,
});

/** A shadow that forecasts `value` on the stream `s`, beside a model that forecasts `beside`. */
async function shadowed(value: number, beside: number, { past = [] as PastReading[], streams = ['s'] } = {}) {
  const clock = fakeClock();
  let tally = newTally;
  let failure: string | undefined;
  let tookMs = 0;
  let calls = 0;
  const closed: string[] = [];
  const forecastOf = (level: number, startMs: number): Forecast => ({
    startMs,
    p50: new Float32Array(manifest.horizon).fill(level),
    halfWidth: new Float32Array(manifest.horizon).fill(1),
    coverage: 0.9,
    imputed: 0,
  });
  let answer = (startMs: number): Forecast | undefined => forecastOf(value, startMs);
  const shadows = createShadows({
    clock,
    store: { newest: () => past.slice(-1), readings: (_, sinceMs) => past.filter(({ timeMs }) => timeMs >= sinceMs) },
    load: ({ line }) =>
      Promise.resolve({
        forecast:
          ({ nextMs }) =>
          () => (calls++, runOf(answer(nextMs), tookMs)),
        close: () => closed.push(line),
      } as Partial<Forecaster> as Forecaster),
    admit: () => ({ settings: { maxGap: 3, latenessMs: 0, holdMs: null } as Partial<StreamRules> as StreamRules }),
    flush: () => undefined,
    observe(_, __, evidence, wrong) {
      tally = addEvidence(tally, evidence);
      failure ??= wrong;
    },
  });
  const active = { line: 'boiler', manifest, pointer: { release: 2, streams } } as unknown as Active;
  await shadows.start(active);
  const tick = async (ms = 1): Promise<void> => {
    for (let i = 0; i < 3; i++) await clock.advance(ms);
  };
  return {
    shadows,
    active,
    closed,
    tick,
    get calls() {
      return calls;
    },
    get failure() {
      return failure;
    },
    metrics: () => reportedMetrics(tally, true),
    answers: (next: typeof answer) => (answer = next),
    takes: (ms: number) => (tookMs = ms),
    /** One reading a minute; the running model closes the bucket before it. */
    async feed(from: number, to: number, { wait = true, watch = 'normal', level = 0, stream = 's' } = {}) {
      for (let i = from; i < to; i++) {
        shadows.add(stream, i * minute, level);
        const steps = [{ run: () => runOf(forecastOf(beside, i * minute)) }] as Partial<Step>[] as Step[];
        shadows.follow(stream, { watch: { state: watch } } as Partial<Lane> as Lane, steps);
        if (wait) await tick();
      }
    },
  };
}

test('a shadow is compared with the running model, bucket by bucket and from the same windows', async () => {
  const one = await shadowed(2, 1);
  await one.feed(0, 20);
  // Four buckets fill the window, which is known when the fifth begins; the first forecast meets its value one later.
  expect(one.metrics()).toMatchObject({
    ...{ forecasts: 16, activeForecasts: 20, skipped: 0, pairs: 15 },
    ...{ mae: 2, activeMae: 1, errorRatio: 2, coverage: 0, activeCoverage: 1 },
  });
});

test('stored readings fill its window, so that a restart forecasts at the next bucket', async () => {
  const past = Array.from({ length: 40 }, (_, i) => ({ timeMs: i * minute, value: i === 20 ? null : 0 }));
  const one = await shadowed(2, 1, { past });
  await one.feed(40, 41);
  expect(one.metrics()).toMatchObject({ forecasts: 1, activeForecasts: 1 });
});

test('windows that come faster than it may work are left out and counted', async () => {
  const one = await shadowed(2, 1);
  one.takes(10);
  await one.feed(0, 6);
  expect(one.calls).toBe(1); // it rests 40 ms now
  await one.feed(6, 20, { wait: false });
  await one.tick(1);
  expect(one.calls).toBe(1);
  await one.tick(40);
  expect(one.calls).toBe(2);
  const { forecasts, skipped } = one.metrics();
  expect(forecasts! + skipped!).toBe(16);
  expect(one.metrics()).toMatchObject({ forecasts: 2, meanMs: 10 });
});

test('of many streams, each has its turn', async () => {
  const one = await shadowed(2, 1, { streams: ['s', 't'] });
  await one.feed(0, 5, { stream: 't' });
  await one.feed(0, 5, { wait: false });
  await one.feed(5, 6, { stream: 't', wait: false });
  await one.tick();
  await one.tick();
  expect(one.metrics()).toMatchObject({ forecasts: 3, activeForecasts: 11, skipped: 0 });
});

test('what happens during an alert says nothing of its intervals', async () => {
  const one = await shadowed(0, 1);
  await one.feed(0, 10);
  const { coverage, pairs } = one.metrics();
  expect(coverage).toBe(1);
  await one.feed(10, 20, { watch: 'firing', level: 50 });
  expect(one.metrics()).toMatchObject({ coverage, pairs: pairs! + 10 });
});

test('a stream that rests is not forecast', async () => {
  const one = await shadowed(2, 1);
  await one.feed(0, 8);
  const { forecasts } = one.metrics();
  for (let i = 8; i < 20; i++) {
    one.shadows.add('s', i * minute, 0);
    one.shadows.follow('s', undefined, [], true);
    await one.tick();
  }
  expect(one.metrics()).toMatchObject({ forecasts, skipped: 0 });
  await one.feed(20, 21);
  expect(one.metrics()).toMatchObject({ forecasts: forecasts! + 1 });
});

test('that it fails is told; once ended it computes nothing more, and its model is closed', async () => {
  const one = await shadowed(2, 1);
  one.answers(() => undefined);
  await one.feed(0, 5);
  expect(one.failure).toMatch('no number');
  expect(one.metrics()).toMatchObject({ forecasts: 0 });
  await one.feed(5, 6, { wait: false });
  one.shadows.end('boiler');
  await one.tick();
  await one.feed(6, 8);
  expect([one.calls, one.closed]).toEqual([1, ['boiler']]);

  await one.shadows.start(one.active);
  one.shadows.close();
  expect(one.closed).toEqual(['boiler', 'boiler']);
});

test('a bucket of which the running model said nothing is no pair', async () => {
  const one = await shadowed(2, 1);
  for (let i = 0; i < 10; i++) {
    one.shadows.add('s', i * minute, 0);
    one.shadows.follow('s', undefined, []);
    await one.tick();
  }
  expect(one.metrics()).toMatchObject({ forecasts: 6, activeForecasts: 0, pairs: 0, coverage: 0 });
  one.shadows.follow('another', undefined, []);
});
