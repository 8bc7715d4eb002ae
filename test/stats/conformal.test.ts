import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { adaptAlpha, conformalPValue, conformalQuantile, createScoreRing } from '../../src/stats/conformal.js';

const scores = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 60 });

describe('conformalQuantile', () => {
  test('golden values: the ceil((n + 1) coverage)-th smallest', () => {
    const ten = [10, 9, 8, 7, 6, 5, 4, 3, 2, 1];
    expect(conformalQuantile(ten, 0.5)).toBe(6);
    expect(conformalQuantile(ten, 0.9)).toBe(10);
    expect(conformalQuantile(ten.slice(1), 0.9)).toBe(9);
  });

  test('too few scores promise nothing', () => {
    expect(conformalQuantile([1, 2, 3], 0.9)).toBe(Infinity);
    expect(conformalQuantile([], 0.5)).toBe(Infinity);
  });

  test('leaving one out, at least the promised share of scores is covered', () => {
    fc.assert(
      fc.property(scores, fc.double({ min: 0.05, max: 0.95, noNaN: true }), (all, coverage) => {
        const covered = all.filter((score, i) => score <= conformalQuantile(all.toSpliced(i, 1), coverage)).length;
        expect(covered / all.length).toBeGreaterThanOrEqual(coverage - 1e-9);
      }),
    );
  });
});

describe('conformalPValue', () => {
  test('golden values', () => {
    expect(conformalPValue([1, 2, 3, 4], 5)).toBe(0.2);
    expect(conformalPValue([1, 2, 3, 4], 3)).toBe(0.6);
    expect(conformalPValue([], 3)).toBe(1);
  });

  test('falls as the score rises and stays in (0, 1]', () => {
    fc.assert(
      fc.property(
        scores,
        fc.double({ min: 0, max: 1e6, noNaN: true }),
        fc.double({ min: 0, max: 1e6, noNaN: true }),
        (past, a, b) => {
          const low = conformalPValue(past, Math.min(a, b));
          const high = conformalPValue(past, Math.max(a, b));
          expect(high).toBeLessThanOrEqual(low);
          expect(high).toBeGreaterThan(0);
          expect(low).toBeLessThanOrEqual(1);
        },
      ),
    );
  });
});

describe('createScoreRing', () => {
  test('holds the last scores, oldest first, whatever was pushed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), scores, (capacity, pushed) => {
        const ring = createScoreRing(capacity);
        for (const score of pushed) ring.push(score);
        expect([...ring.scores()]).toEqual(pushed.slice(-capacity));
        expect(ring.size).toBe(Math.min(capacity, pushed.length));
        expect([...createScoreRing(capacity, ring.scores()).scores()]).toEqual([...ring.scores()]);
      }),
    );
  });

  test('answers as the plain functions do on its scores', () => {
    const ring = createScoreRing(4, [9, 1, 2, 3, 4]);
    expect(ring.pValue(3)).toBe(conformalPValue([1, 2, 3, 4], 3));
    expect(ring.quantile(0.5)).toBe(conformalQuantile([1, 2, 3, 4], 0.5));
  });
});

describe('adaptAlpha', () => {
  test('a miss widens the interval, a hit narrows it, both within bounds', () => {
    const rule = { target: 0.1 };
    expect(adaptAlpha(0.1, true, rule)).toBeCloseTo(0.091, 12);
    expect(adaptAlpha(0.1, false, rule)).toBeCloseTo(0.101, 12);
    expect(adaptAlpha(0.002, true, rule)).toBe(0.001);
    expect(adaptAlpha(0.4999, false, rule)).toBe(0.5);
  });

  test('the share of misses tends to the target when the scale of the scores drifts', () => {
    let seed = 7;
    const random = (): number => (seed = (seed * 48271) % 2147483647) / 2147483647;
    const ring = createScoreRing(200);
    let alpha = 0.1;
    let misses = 0;
    const steps = 4000;
    for (let t = 0; t < steps; t++) {
      const score = random() * (1 + t / 500);
      if (t >= 200) {
        const missed = score > ring.quantile(1 - alpha);
        if (missed) misses++;
        alpha = adaptAlpha(alpha, missed, { target: 0.1 });
      }
      ring.push(score);
    }
    expect(misses / (steps - 200)).toBeCloseTo(0.1, 1.5);
  });
});
