import { describe, expect, test } from 'vitest';
import { createGraph, evaluate, ndarray, type NdArray } from '../../src/graph/index.js';
import { createLoss, lossFromReference, losses } from '../../src/losses/index.js';
import { logGamma } from '../../src/losses/distribution.js';

interface Given {
  readonly target: readonly number[];
  readonly forecast: readonly number[];
  readonly mask?: readonly number[];
}

/** One window of as many steps as the target has, in sensor units with shift 0 and scale 1. */
function run(
  name: string,
  options: Record<string, unknown>,
  { target, forecast, mask = target.map(() => 1) }: Given,
): { loss: number; decoded: NdArray } {
  const loss = createLoss(name, options);
  const g = createGraph({ batch: 1 });
  const steps = target.length;
  const input = (id: string, shape: readonly number[]) => g.input(id, shape);
  const units = {
    shift: input('shift', [1, 1, 1]),
    scale: input('scale', [1, 1, 1]),
    apply: (x: ReturnType<typeof input>) => x,
    restore: (x: ReturnType<typeof input>) => x,
  };
  const raw = input('forecast', [1, steps, loss.outputs]);
  const truth = input('target', [1, steps, 1]);
  const value = loss.loss(g, {
    forecast: raw,
    target: truth,
    rawTarget: truth,
    mask: input('mask', [1, steps, 1]),
    past: input('past', [1, 3, 1]),
    units,
  });
  const feeds = {
    forecast: ndarray(forecast, [1, steps, loss.outputs]),
    target: ndarray(target, [1, steps, 1]),
    mask: ndarray(mask, [1, steps, 1]),
    past: ndarray([1, 2, 4], [1, 3, 1]),
    shift: ndarray([0], [1, 1, 1]),
    scale: ndarray([1], [1, 1, 1]),
  };
  const [result, decoded] = evaluate([value, loss.decode(g, raw, units)], feeds);
  return { loss: result!.data[0]!, decoded: decoded! };
}

describe('what a loss costs', () => {
  const given = { target: [1, 2, 4], forecast: [2, 2, 1] };
  test.each([
    ['mae', {}, 4 / 3],
    ['mse', {}, 10 / 3],
    ['rmse', {}, Math.sqrt(10 / 3)],
    ['mape', {}, (1 + 0 + 3 / 4) / 3],
    ['smape', {}, (2 * (1 / 3 + 0 + 3 / 5)) / 3],
    ['mase', { seasonality: 1 }, 4 / 3 / 1.5],
    ['huber', { delta: 1 }, (0.5 + 0 + 2.5) / 3],
    ['quantile', { q: 0.9 }, (0.1 * 1 + 0 + 0.9 * 3) / 3],
    ['rel-mse', {}, 10 / 3 / ((9 + 4 + 0) / 3 + 1e-5)], // against the last value of the past, 4
  ])('%s', (name, options, expected) => {
    expect(run(name, options, given).loss).toBeCloseTo(expected, 10);
  });

  test('a masked step does not count, and none at all cost nothing', () => {
    expect(run('mae', {}, { ...given, mask: [1, 1, 0] }).loss).toBeCloseTo(0.5, 12);
    expect(run('mae', {}, { ...given, mask: [0, 0, 0] }).loss).toBe(0);
  });

  test('steps of the horizon count by their weight', () => {
    expect(run('mae', { horizonWeight: [1, 0, 2] }, given).loss).toBeCloseTo((1 + 2 * 3) / 3, 12);
  });
});

describe('quantiles', () => {
  test('levels become the median first, then rising quantiles', () => {
    expect(createLoss('mq', { levels: [80, 90] }).quantiles).toEqual([0.5, 0.05, 0.1, 0.9, 0.95]);
    expect(createLoss('mq', { quantiles: [0.1, 0.5, 0.9] })).toMatchObject({
      quantiles: [0.1, 0.5, 0.9],
      point: 1,
      outputs: 3,
    });
  });

  test('the pinball losses of several quantiles add up', () => {
    const { loss } = run('mq', { quantiles: [0.1, 0.9] }, { target: [1], forecast: [0, 3] });
    expect(loss).toBeCloseTo(0.1 * 1 + 0.1 * 2, 12);
  });

  test('the scaled CRPS is relative to the size of the truth', () => {
    const { loss } = run('scrps', { quantiles: [0.1, 0.9] }, { target: [1, -3], forecast: [0, 3, -3, -3] });
    expect(loss).toBeCloseTo((2 * (0.1 * 1 + 0.1 * 2)) / 4, 5);
  });

  test('a normal distribution gives its quantiles in closed form', () => {
    const { decoded } = run('normal', { levels: [80] }, { target: [1], forecast: [2, Math.log(Math.E - 1)] }); // deviation 1 + 0.2
    expect(decoded.data[0]).toBeCloseTo(2, 12);
    expect(decoded.data[1]).toBeCloseTo(2 - 1.2 * 1.2815515655446004, 9);
    expect(decoded.data[2]).toBeCloseTo(2 + 1.2 * 1.2815515655446004, 9);
  });
});

describe('a spline quantile function', () => {
  const softplus = (x: number): number => Math.log1p(Math.exp(x));
  // One piece per gap: 2 knots and 2 heights that softmax takes out, both tails, then the first quantile and two rises.
  const raw = [0, 0, 0, 0, 0.3, -0.2, 1, 0.5, 1.5];
  const options = { quantiles: [0.1, 0.5, 0.9], pieces: 1 };
  const y = [1, 1 + softplus(0.5) + 1e-4, 1 + softplus(0.5) + softplus(1.5) + 2e-4];

  test('gives the quantiles asked for, which rise', () => {
    const { decoded } = run('isqf', options, { target: [0], forecast: raw });
    for (const [i, value] of y.entries()) expect(decoded.data[i]).toBeCloseTo(value, 6);
    expect(createLoss('isqf', { levels: [80, 90] })).toMatchObject({ outputs: 47, point: 0 });
    expect(() => createLoss('isqf', { quantiles: [0.5] })).toThrow(/isqf\.quantiles/);
  });

  test.each([-3, 1.2, 2.9, 8])(
    'costs the softplus of twice its mean pinball loss over all levels: truth %f',
    (truth) => {
      const quantileAt = (level: number): number => {
        if (level < 0.1) return y[0]! + Math.log(level / 0.1) / (softplus(0.3) + 1e-4);
        if (level >= 0.9) return y[2]! - Math.log((1 - level) / 0.1) / (softplus(-0.2) + 1e-4);
        const gap = level < 0.5 ? 0 : 1;
        return y[gap]! + ((level - [0.1, 0.5][gap]!) / 0.4) * (y[gap + 1]! - y[gap]!);
      };
      const count = 200_000;
      let crps = 0;
      for (let i = 0; i < count; i++) {
        const level = (i + 0.5) / count;
        const error = truth - quantileAt(level);
        crps += (2 * Math.max(level * error, (level - 1) * error)) / count;
      }
      expect(run('isqf', options, { target: [truth], forecast: raw }).loss).toBeCloseTo(softplus(crps), 4);
    },
  );
});

test('log Γ equals the logarithms of factorials', () => {
  const g = createGraph();
  const x = g.input('x', [6]);
  const [found] = evaluate([logGamma(x)], { x: ndarray([0.5, 1, 2, 5, 11, 100], [6]) });
  const expected = [Math.log(Math.sqrt(Math.PI)), 0, 0, Math.log(24), Math.log(3628800), 359.1342053695754];
  for (const [i, value] of expected.entries()) expect(found!.data[i]).toBeCloseTo(value, 8);
});

describe('by name', () => {
  test('an unknown name and an unknown or impossible option are refused', () => {
    expect(() => createLoss('mea')).toThrow(/There is no loss "mea".*\[ND_CONFIG_OUT_OF_RANGE\]/);
    expect(() => createLoss('huber', { detla: 2 })).toThrow(/detla/);
    expect(() => createLoss('quantile', { q: 2 })).toThrow(/quantile\.q/);
  });

  test("the reference library's way to write a loss gives the same loss", () => {
    expect(lossFromReference({ name: 'MQLoss', args: { level: [80] } })?.quantiles).toEqual([0.5, 0.1, 0.9]);
    expect(
      lossFromReference({ name: 'DistributionLoss', args: { distribution: 'Normal', level: [80], num_samples: 40 } })
        ?.name,
    ).toBe('normal');
    expect(lossFromReference({ name: 'Accuracy', args: {} })?.name).toBe('accuracy');
    expect(losses['accuracy']).toBeUndefined(); // nobody can learn from it
    expect(lossFromReference({ name: 'Unheard', args: {} })).toBeUndefined();
    expect(new Set(Object.values(losses).map(({ reference }) => reference)).size).toBe(Object.keys(losses).length);
  });
});
