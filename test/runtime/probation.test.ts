import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { reportedPayload } from '../../src/contracts/payload.js';
import { toWire } from '../../src/contracts/wire.js';
import {
  addEvidence,
  afterShadow,
  disproof,
  intervalEvidence,
  newTally,
  reportedMetrics,
  rules,
  runEvidence,
  stepEvidence,
} from '../../src/runtime/probation.js';
import type { Evidence, Tally } from '../../src/runtime/probation.js';
import type { Step } from '../../src/runtime/lane.js';

const names = Object.keys(newTally) as (keyof Tally)[];
const sum = (seen: readonly Evidence[]): Tally => seen.reduce<Tally>(addEvidence, newTally);
const times = (count: number, evidence: Evidence): Evidence[] => Array.from({ length: count }, () => evidence);
const budget = { p95Ms: 10, rssMb: 50 };
const run = (inferenceMs: number, grownMb = 0) => ({
  forecast: { startMs: 0, p50: Float32Array.of(1), halfWidth: Float32Array.of(1), coverage: 0.9, imputed: 0 },
  failed: undefined,
  inferenceMs,
  grownBytes: grownMb * 1024 * 1024,
});

/** So many looks of which so many are bad; by the rule's own count. */
const cases: readonly (readonly [
  what: string,
  good: Evidence,
  bad: Evidence,
  allowed: readonly [bad: number, of: number],
  refused: readonly [bad: number, of: number],
  tooFew: readonly [bad: number, of: number],
  says: string,
])[] = [
  ['slow', runEvidence(run(15), budget), runEvidence(run(15.1), budget), [5, 100], [6, 100], [99, 99], 'forecasts slower than 1.5 times the budget: 6 % over 100 forecasts, at most 5 % is allowed'],
  ['memory', runEvidence(run(1), budget), runEvidence(run(1, 25), budget), [2, 10], [3, 10], [0, 0], 'memory taken by forecasts, of the budget: 150 % over 10 forecasts, at most 100 % is allowed'],
  ['deadlines', { forecasts: 1 }, { forecasts: 1, missed: 1 }, [2, 200], [3, 200], [99, 99], 'missed deadlines: 1.5 % over 200 forecasts, at most 1 % is allowed'],
  ['too narrow', intervalEvidence({ inside: true, coverage: 0.9 }), intervalEvidence({ inside: false, coverage: 0.9 }), [29, 100], [30, 100], [89, 89], 'values inside the interval, away from what it promises: 20 % over 100 judged, at most 19 % is allowed'],
  ['too wide', intervalEvidence({ inside: false, coverage: 0.5 }), intervalEvidence({ inside: true, coverage: 0.5 }), [75, 100], [76, 100], [89, 89], 'values inside the interval, away from what it promises: 26 % over 100 judged, at most 25 % is allowed'],
  ['worse', { pairs: 1, error: 1, activeError: 1 }, { pairs: 1, error: 2, activeError: 1 }, [10, 100], [11, 100], [99, 99], 'error, of that of the model before: 111 % over 100 pairs, at most 110 % is allowed'],
]; // prettier-ignore

describe('a candidate is given up', () => {
  test.each(cases)('%s: at the limit it stays, above it goes, before enough was seen nobody says', (...row) => {
    const [, good, bad, allowed, refused, tooFew, says] = row;
    const after = ([count, of]: readonly [number, number]) =>
      disproof(sum([...times(count, bad), ...times(of - count, good)]));
    expect(after(allowed)).toBeUndefined();
    expect(after(tooFew)).toBeUndefined();
    expect(after(refused)).toBe(says);
  });

  test('by each rule in one of these cases', () => {
    expect(new Set(cases.map(([, , , , , , says]) => says.split(':')[0]))).toEqual(
      new Set(rules.map(({ what }) => what)),
    );
  });

  test('as a shadow only for what burdens the machine', () => {
    const worse = sum(times(200, { pairs: 1, error: 9, activeError: 1, ...intervalEvidence({ inside: false, coverage: 0.9 }) }));
    expect(disproof(worse)).toBeDefined();
    expect(disproof(worse, 'burden')).toBeUndefined();
    expect(disproof(sum(times(100, runEvidence(run(99), budget))), 'burden')).toMatch('slower');
  }); // prettier-ignore

  test('never while it is as fast, as small, as right and as sure as it promised', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 500 }), fc.double({ min: 0, max: 1e6, noNaN: true }), (count, error) => {
        const inside = Math.round(0.9 * count);
        const tally = {
          ...newTally,
          ...{ forecasts: count, judged: count, inside, promised: 0.9 * count, memory: 1 },
          ...{ pairs: count, error: 1.1 * error, activeError: error },
        };
        expect(disproof(tally)).toBeUndefined();
      }),
    );
  });

  test('for ever: more of the same never takes a verdict back', () => {
    const evidence = fc.record(
      Object.fromEntries(names.map((name) => [name, fc.nat(20)])) as Record<keyof Tally, fc.Arbitrary<number>>,
    );
    fc.assert(
      fc.property(evidence, fc.integer({ min: 1, max: 50 }), (seen, count) => {
        const before = disproof(sum(times(count, seen)));
        if (before !== undefined) expect(disproof(sum(times(2 * count, seen)))).toBeDefined();
      }),
    );
  });
});

test('a step says what its forecast took, whether it came too late, and whether the value was inside', () => {
  const step = { run: () => run(20, 5), interval: { inside: true, coverage: 0.8 } } as Partial<Step> as Step;
  expect(stepEvidence(step, budget, true)).toEqual({
    ...{ forecasts: 1, ms: 20, slow: 1, missed: 1, memory: 0.1 },
    ...{ judged: 1, inside: 1, promised: 0.8 },
  });
  expect(
    stepEvidence({ ...step, run: () => ({ ...run(20, 5), forecast: undefined }), interval: undefined }, budget, true),
  ).toEqual({});
});

test('a tally is stored and goes on, whatever was added to it; what is reported can always be sent', () => {
  const odd = fc.record(
    Object.fromEntries(
      names.map((name) => [name, fc.double({ min: 0, noNaN: true })]),
    ) as Record<keyof Tally, fc.Arbitrary<number>>,
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.array(odd, { maxLength: 5 }), fc.boolean(), (seen, isShadow) => {
      const tally = sum(seen);
      expect(JSON.parse(JSON.stringify(tally))).toEqual(tally);
      const model = {
        ...{ line: 'l', state: 'shadow' as const, release: 1, slot: 'a', previous: null, arm: null, since: 0 },
        ...{ code: null, detail: null, metrics: reportedMetrics(tally, isShadow) },
      };
      expect(() => toWire(reportedPayload, { v: 1, seqSeen: 1, models: [model] })).not.toThrow();
    }),
  );
  expect(addEvidence({ ...newTally, forecasts: 3 }, { forecasts: 2, ms: 4 })).toEqual({
    ...newTally,
    ...{ forecasts: 5, ms: 4 },
  });
}); // prettier-ignore

test('a shadow without a window shows as that; its comparison is kept when it serves, the rest is counted anew', () => {
  expect(reportedMetrics({ ...newTally, activeForecasts: 7 }, true)).toEqual({
    ...{ forecasts: 0, activeForecasts: 7, skipped: 0, pairs: 0, memory: 0 },
  });
  expect(reportedMetrics(newTally, false)).toEqual({ forecasts: 0, memory: 0 });
  const tally = sum(times(4, { forecasts: 1, slow: 1, activeForecasts: 2, pairs: 1, error: 1, activeError: 2 }));
  expect(reportedMetrics(tally, true)).toMatchObject({ forecasts: 4, mae: 1, activeMae: 2, errorRatio: 0.5, slow: 1 });
  expect(afterShadow(tally)).toEqual({ ...newTally, activeForecasts: 8, pairs: 4, error: 4, activeError: 8 });
});
