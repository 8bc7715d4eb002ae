import { describe, expect, test } from 'vitest';
import { createGraph, evaluate, gradients, ndarray } from '../../src/graph/index.js';
import { pairColumns, stepWeights, taughtLoss } from '../../src/distill/loss.js';
import { createLoss, losses, mae, type Loss } from '../../src/losses/index.js';
import { declaredOnce } from '../../src/models/recursion.js';

const weights = { alpha: 1, truth: 0, scales: 1, spectrum: 0, tilt: 0 };

/** The loss of one window of one series in units that are scaled already. */
function cost(loss: Loss, { forecast, teacher }: { forecast: number[]; teacher: number[] }): number {
  const steps = forecast.length / loss.outputs;
  const g = createGraph({ batch: 1, training: true });
  const target = g.input('target', [1, steps, 1]);
  const one = g.input('one', [1, 1, 1]);
  const value = loss.loss(g.scope('loss'), {
    forecast: g.input('forecast', [1, steps, loss.outputs]),
    target,
    rawTarget: target,
    mask: g.input('mask', [1, steps, 1]),
    past: g.input('past', [1, 3, 1]),
    teacher: g.input('teacher', [1, teacher.length, 1]),
    units: { shift: one, scale: one, apply: (x) => x, restore: (x) => x },
  });
  const feeds = {
    forecast: ndarray(forecast, [1, steps, loss.outputs]),
    target: ndarray(new Array<number>(steps).fill(0), [1, steps, 1]),
    mask: ndarray(new Array<number>(steps).fill(1), [1, steps, 1]),
    past: ndarray([1, 2, 4], [1, 3, 1]),
    teacher: ndarray(teacher, [1, teacher.length, 1]),
    one: ndarray([1], [1, 1, 1]),
  };
  return evaluate([value], feeds)[0]!.data[0]!;
}

describe('what a student pays', () => {
  const teacher = [1, 2, 3, 4];
  const forecast = [1, 4, 2, 4];
  const taught = (changed: Partial<typeof weights> = {}): Loss =>
    taughtLoss(mae(), [[0, 0]], 1, { ...weights, ...changed });

  test('is the squared distance from the teacher at one scale', () => {
    expect(cost(taught(), { forecast, teacher })).toBeCloseTo((4 + 1) / 4, 6);
  });

  test('is the mean of the distances of averages at several', () => {
    // Pairs: 2.5, 3 against 1.5, 3.5; all four: 2.75 against 2.5.
    const expected = ((4 + 1) / 4 + (1 + 0.25) / 2 + 0.0625) / 3;
    expect(cost(taught({ scales: 8 }), { forecast, teacher })).toBeCloseTo(expected, 6);
  });

  test('adds the loss against the truth, each by its weight', () => {
    expect(cost(taught({ truth: 2, alpha: 0.5 }), { forecast, teacher })).toBeCloseTo(2 * (11 / 4) + 0.5 * 1.25, 6);
  });

  test('counts late steps more when tilted, and the mean weight is 1', () => {
    const late = stepWeights(4, 1);
    expect(late[3]! / late[0]!).toBeCloseTo(Math.E, 6);
    expect(late.reduce((a, b) => a + b) / 4).toBeCloseTo(1, 6);
    expect(cost(taught({ tilt: 1 }), { forecast, teacher })).toBeCloseTo((4 * late[1]! + late[2]!) / 4, 6);
  });

  test('is nothing where student and teacher agree, in time and in frequency', () => {
    expect(cost(taught({ scales: 4, spectrum: 1 }), { forecast: teacher, teacher })).toBeCloseTo(0, 9);
  });

  test('does not see a constant shift in frequency, but another period', () => {
    const wave = (period: number): number[] =>
      Array.from({ length: 12 }, (_, i) => Math.sin((2 * Math.PI * i) / period));
    const spectral = (forecast: number[]): number =>
      cost(taught({ spectrum: 1 }), { forecast, teacher: wave(4) }) - cost(taught(), { forecast, teacher: wave(4) });
    expect(spectral(wave(4).map((v) => v + 5))).toBeCloseTo(0, 6);
    expect(spectral(wave(3))).toBeGreaterThan(1);
  });

  test('of equal quantiles each learns from its own', () => {
    const loss = createLoss('mq', { quantiles: [0.5, 0.9] });
    const pairs = pairColumns(loss, { quantiles: [0.1, 0.5, 0.9], point: 1 });
    expect(pairs).toEqual([
      [0, 1],
      [1, 2],
    ]);
    // Teacher column by column, student step by step: 0.5 is off by 1 in one of two steps, 0.9 by 2 in the other.
    const given = { forecast: [3, 5, 4, 8], teacher: [0, 0, 2, 4, 5, 6] };
    expect(cost(taughtLoss(loss, pairs, 3, weights), given)).toBeCloseTo((1 / 2 + 4 / 2) / 2, 6);
  });
});

test('without equal quantiles the point learns from the point', () => {
  expect(pairColumns({ quantiles: [0.1, 0.5], point: 1 }, { quantiles: [], point: 0 })).toEqual([[1, 0]]);
  expect(pairColumns({ quantiles: [0.1, 0.5], point: 1 }, { quantiles: [0.2, 0.8], point: 0 })).toEqual([[1, 0]]);
});

test.each(Object.keys(losses))('a student with the loss %s has a gradient of what its teacher says', (name) => {
  const loss = createLoss(name, { mase: { seasonality: 1 }, quantile: { q: 0.4 }, 'huber-quantile': { q: 0.4 } }[name]);
  const g = createGraph({ batch: 2, training: true });
  const weight = g.parameter('w', [2, 8, loss.outputs], { kind: 'normal', deviation: 1 });
  const input = (id: string, shape: number[]) => g.input(id, shape);
  const value = taughtLoss(loss, pairColumns(loss, { quantiles: [], point: 0 }), 1, { ...weights, truth: 0 }).loss(
    declaredOnce(g.scope('loss')),
    {
      forecast: weight,
      target: input('target', [2, 8, 1]),
      rawTarget: input('target2', [2, 8, 1]),
      mask: input('mask', [2, 8, 1]),
      past: input('past', [2, 3, 1]),
      teacher: input('teacher', [2, 8, 1]),
      units: { shift: input('shift', [2, 1, 1]), scale: input('scale', [2, 1, 1]), apply: (x) => x, restore: (x) => x },
    },
  );
  expect(gradients(value, [weight], { allowUnused: false })).toHaveLength(1);
});
