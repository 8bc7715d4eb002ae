import { describe, expect, test } from 'vitest';
import { createRandom } from '../../src/engine/random.js';
import { createBaseline } from '../../src/runtime/baseline.js';
import type { Baseline, BaselineMemory, BaselineVerdict } from '../../src/runtime/baseline.js';

const hour = 3_600_000;
const random = createRandom('baseline', 1);
/** A day's rhythm that rests on the seventh day, and noise. */
const rhythm = (i: number): number =>
  (Math.floor(i / 24) % 7 === 6 ? 2 : 10) * Math.sin((2 * Math.PI * i) / 24) + random() - 0.5;

function feed(baseline: Baseline, values: readonly number[], from = 0): (BaselineVerdict | undefined)[] {
  return values.map((value, i) => baseline.judge((from + i) * hour, value));
}

describe('the baseline of a stream', () => {
  test('says nothing before it has seen a hundred buckets', () => {
    const baseline = createBaseline(hour);
    expect(baseline.save()).toBeUndefined();
    const verdicts = feed(
      baseline,
      Array.from({ length: 120 }, (_, i) => rhythm(i)),
    );
    expect(verdicts.findIndex((verdict) => verdict !== undefined)).toBe(100);
    expect(baseline.ready).toBe(true);
  });

  test('learns the day and the week, and then a value that is usual at another hour is an anomaly', () => {
    const baseline = createBaseline(hour);
    feed(
      baseline,
      Array.from({ length: 24 * 7 * 8 }, (_, i) => rhythm(i)),
    );
    const noon = 24 * 7 * 8 + 6;
    const quiet = feed(
      baseline,
      Array.from({ length: 6 }, (_, i) => rhythm(noon - 6 + i)),
      noon - 6,
    );
    expect(Math.min(...quiet.map((verdict) => verdict!.p))).toBeGreaterThan(1e-3);
    const verdict = baseline.judge(noon * hour, -10)!;
    expect(verdict.p).toBeLessThan(1e-4);
    expect(verdict).toMatchObject({ against: 'forecast', value: -10 });
    expect(Math.abs(verdict.expected - 10)).toBeLessThan(1);
    expect(verdict.halfWidth).toBeLessThan(2);
  });

  test('notices a level that changes by less than a usual step', () => {
    const baseline = createBaseline(1000); // a second: its day has too many phases to learn
    const steps = (level: number, count: number) =>
      Array.from({ length: count }, (_, i) => level + (i % 2 === 0 ? -3 : 3) * Math.log(1 - random()));
    feed(baseline, steps(0, 3000));
    expect(baseline.save()!.seasons).toEqual([]);
    const verdicts = feed(baseline, steps(4, 60), 3000);
    const worst = verdicts.reduce((a, b) => (b!.p < a!.p ? b : a))!;
    expect(worst.p).toBeLessThan(1e-3);
    expect(worst.against).toBe('level');
    expect(worst.value).toBeGreaterThan(worst.expected + worst.halfWidth);
  });

  test('goes on from what was saved', () => {
    const values = Array.from({ length: 400 }, (_, i) => rhythm(i));
    const whole = createBaseline(hour);
    const verdicts = feed(whole, values);
    const first = createBaseline(hour);
    feed(first, values.slice(0, 200));
    const second = createBaseline(hour, JSON.parse(JSON.stringify(first.save())) as BaselineMemory);
    const continued = feed(second, values.slice(200), 200);
    continued.forEach((verdict, i) => expect(verdict!.p / verdicts[200 + i]!.p).toBeCloseTo(1, 3));
  });
});
