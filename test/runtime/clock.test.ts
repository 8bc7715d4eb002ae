import { expect, test, vi } from 'vitest';
import { createSystemClock, steady } from '../../src/runtime/clock.js';

/** A machine whose wall clock can be set. */
function machine() {
  const at = { wall: 1_000_000, monotonic: 0 };
  const steps: number[] = [];
  const now = steady(
    () => at.wall,
    () => at.monotonic,
    (step) => steps.push(step),
  );
  return {
    steps,
    now,
    pass: (ms: number): number => {
      at.wall += ms;
      at.monotonic += ms;
      return now();
    },
    set: (ms: number): number => {
      at.wall += ms;
      return now();
    },
  };
}

test('labels follow the wall clock, and a step forward is a gap like any other', () => {
  const { now, pass, set, steps } = machine();
  expect([now(), pass(5), set(1500), pass(10)]).toEqual([1_000_000, 1_000_005, 1_001_505, 1_001_515]);
  expect(steps).toEqual([]); // slewed, not set
  expect(set(3_600_000)).toBe(4_601_515);
  expect(steps).toEqual([3_600_000]);
});

test('after a small step back they wait until the clock has caught up', () => {
  const { pass, set, steps } = machine();
  const before = pass(60_000);
  expect(set(-30_000)).toBe(before);
  expect(pass(20_000)).toBe(before);
  expect(pass(10_500)).toBe(before + 500);
  expect(steps).toEqual([-30_000]);
});

test('a large step back is believed', () => {
  const { pass, set, steps } = machine();
  const before = pass(60_000);
  expect(set(-400_000)).toBe(before - 400_000);
  expect(pass(1000)).toBe(before - 399_000);
  expect(steps).toEqual([-400_000]);
});

test('the clock of the machine counts how often it was set', () => {
  const heard: number[] = [];
  const clock = createSystemClock('trusted', { onStep: (ms) => heard.push(ms) });
  clock.now();
  expect(clock.steps).toBe(0);
  const real = Date.now();
  const set = vi.spyOn(Date, 'now').mockReturnValue(real + 3_600_000);
  clock.now();
  set.mockRestore();
  expect([clock.steps, heard.length]).toEqual([1, 1]);
  clock.now(); // and back again
  expect(clock.steps).toBe(2);
});
