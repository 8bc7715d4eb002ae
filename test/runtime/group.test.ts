import { describe, expect, test } from 'vitest';
import { createRandom } from '../../src/engine/random.js';
import { fitGroup, groupMinimum, judgeGroup } from '../../src/runtime/group.js';
import type { GroupMode } from '../../src/runtime/group.js';

/** A pump: flow and pressure move together, power follows with noise, the room's temperature wanders. */
function pump(rows: number, seed: number, change: (row: number[], i: number) => number[] = (row) => row): number[][] {
  const random = createRandom('pump', seed);
  const noise = (): number => random() + random() + random() - 1.5; // deviation 1/2
  let room = 20;
  return Array.from({ length: rows }, (_, i) => {
    const load = noise();
    room += 0.1 * noise();
    return change([30 + load + 0.1 * noise(), 5 + 0.5 * load + 0.05 * noise(), 200 + 10 * noise(), room], i);
  });
}

/** The chances of the rows after the first 400. */
function chances(rows: number[][], mode?: GroupMode) {
  const fitted = fitGroup(rows.slice(0, 400), mode);
  let { state } = fitted;
  return rows.slice(400).map((row) => {
    const judged = judgeGroup(fitted.model, state, row);
    state = judged.state;
    return judged.verdict;
  });
}

const alarms = (verdicts: readonly { p: number }[]): number => verdicts.filter(({ p }) => p < 1e-4).length;

describe('a group of sensors', () => {
  test('is quiet while nothing happens, however far the room drifts', () => {
    for (const seed of [1, 2, 3]) expect(alarms(chances(pump(1400, seed)))).toBeLessThan(30);
  });

  test('notices a level that left, names the sensor and what was usual', () => {
    const verdicts = chances(pump(700, 4, ([flow, ...rest], i) => [flow! - (i >= 500 ? 3 : 0), ...rest]));
    expect(alarms(verdicts.slice(0, 100))).toBe(0);
    expect(alarms(verdicts.slice(110))).toBe(190);
    expect(verdicts.at(-1)).toMatchObject({ sensor: 0 });
    expect(verdicts.at(-1)!.expected).toBeCloseTo(30, 0);
    expect(verdicts.at(-1)!.spread).toBeLessThan(1);
  });

  test('notices sensors that no longer fit together, each of them within its usual range', () => {
    const apart = pump(700, 5, ([flow, pressure, ...rest], i) =>
      i < 500 ? [flow!, pressure!, ...rest] : [flow! + 0.4, pressure! - 0.2, ...rest],
    );
    const verdicts = chances(apart, 'reconstruction');
    expect(alarms(verdicts.slice(120))).toBeGreaterThan(150);
    expect(verdicts.at(-1)!.residual).toBeGreaterThan(verdicts.at(-1)!.hotelling);
  });

  test('lets a level follow only where it must, and never in reconstruction', () => {
    const rows = pump(400, 6);
    const { gains } = fitGroup(rows).model;
    expect(gains.slice(0, 3)).toEqual([0, 0, 0]);
    expect(gains[3]).toBeGreaterThan(0);
    expect(fitGroup(rows, 'reconstruction').model.gains).toEqual([0, 0, 0, 0]);
  });

  test('takes a sensor that never moved, and is plain data', () => {
    const rows = pump(groupMinimum, 7).map((row) => [...row, 1]);
    const { model, state } = fitGroup(rows);
    const [again, stateAgain] = JSON.parse(JSON.stringify([model, state])) as [typeof model, typeof state];
    const next = [30, 5, 200, 20, 2];
    expect(judgeGroup(again, stateAgain, next)).toEqual(judgeGroup(model, state, next));
    expect(judgeGroup(model, state, next).verdict).toMatchObject({ sensor: 4, p: 1e-9 });
  });

  test('of one sensor has no residual, and says so by a chance of one', () => {
    const { model, state } = fitGroup(pump(400, 8).map(([flow]) => [flow!]));
    expect(model.residual).toBeNull();
    expect(judgeGroup(model, state, [30]).verdict.p).toBeGreaterThan(0.1);
  });
});
