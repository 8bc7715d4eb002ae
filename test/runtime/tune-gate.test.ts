import { expect, test } from 'vitest';
import type { Forecaster } from '../../src/runtime/forecaster.js';
import { judgeTuned } from '../../src/runtime/tune-gate.js';
import { stretchesOf } from '../../src/runtime/tune-windows.js';
import type { Place } from '../../src/runtime/tune-windows.js';

const task = { inputLength: 2, horizon: 6 };

/** Windows of a constant series, of which step 5 of 12 was imputed. */
function places(level: number, count = 30): Place[] {
  const readings = Array.from({ length: 12 }, (_, i) => ({ timeMs: i * 10, value: level })).filter((_, i) => i !== 5);
  const [stretch] = stretchesOf([...readings, { timeMs: 120, value: level }], { cadenceMs: 10, aggregate: 'mean', impute: 'linear', maxGap: 3, latenessMs: 0, inputLength: 2 }); // prettier-ignore
  return Array.from({ length: count }, () => ({ stretch: stretch!, start: 0 }));
}

/** Forecasts the last value, and is wrong by so much in each step. */
const wrongBy = (errors: readonly number[]): Forecaster =>
  ({
    forecast:
      ({ past }: { past: Float32Array }) =>
      () => ({
        forecast: { p50: Float32Array.from(errors, (off) => past.at(-1)! + off) },
      }),
  }) as unknown as Forecaster;

const held = new Map([['boiler', places(20)]]);
const even = (off: number): number[] => Array.from({ length: 6 }, () => off);

test('a model that is better everywhere passes, with figures for each part of the horizon', () => {
  const { gate, mae, halfWidths } = judgeTuned(wrongBy(even(2)), wrongBy([1, 1, -1, 1, 1, 1.5]), held, task);
  expect(gate).toMatchObject({
    better: true,
    why: 'its error is 45.0 % lower',
    windows: 30,
    thirds: [0.5, 0.5, 0.625],
  });
  expect(gate.streams).toEqual({ boiler: gate.ratio });
  expect(mae).toBeCloseTo(1.1, 5); // step 3 of the horizon is not known
  expect(halfWidths(0.9)).toEqual([1, 1, 1, Infinity, 1, 1.5]);
});

test.each([
  ['as good', even(2), 'its error is 0.0 % higher, at least 1 % lower is asked for'],
  ['better by too little', even(1.99), 'its error is 0.5 % lower, at least 1 % lower is asked for'],
  ['worse at the end', [0, 0, 0, 0, 2, 2.1], 'its error is 2.5 % higher in part 3 of 3 of the horizon'],
  ['no number', [0, 0, 0, 0, 0, Number.NaN], 'it gave something that is no number'],
])('one that is %s does not', (_, errors, why) => {
  const { gate } = judgeTuned(wrongBy(even(2)), wrongBy(errors), held, task);
  expect(gate).toMatchObject({ better: false, why: expect.stringMatching(why) as string });
});

test('streams count alike whatever their unit, and none may lose', () => {
  const twice = new Map([...held, ['kettle', places(2000)]]);
  const scaled = (near: number, far: number): Forecaster =>
    ({
      forecast:
        ({ past }: { past: Float32Array }) =>
        () => ({
          forecast: { p50: new Float32Array(6).fill(past.at(-1)! + (past.at(-1)! < 100 ? near : far)) },
        }),
    }) as unknown as Forecaster;
  const { gate } = judgeTuned(scaled(1, 100), scaled(0.5, 80), twice, task);
  expect(gate).toMatchObject({ better: true, streams: { boiler: 0.5, kettle: 0.8 } });
  expect(gate.ratio).toBeCloseTo(0.65, 6);
  expect(judgeTuned(scaled(1, 100), scaled(0.1, 101), twice, task).gate).toMatchObject({
    better: false,
    why: 'its error is 1.0 % higher on kettle',
  });
});

test('a model that never misses stays, since nothing is better', () => {
  expect(judgeTuned(wrongBy(even(0)), wrongBy(even(0)), held, task).gate).toMatchObject({ better: false, ratio: 1 });
});

test('a model that gives nothing has an error without end', () => {
  const silent = { forecast: () => () => ({ forecast: undefined }) } as unknown as Forecaster;
  expect(judgeTuned(wrongBy(even(1)), silent, held, task).gate).toMatchObject({
    better: false,
    why: 'it gave something that is no number',
  });
});
