import { describe, expect, test } from 'vitest';
import { createGraph, evaluate, gradients, mul, ndarray, sum, type NdArray } from '../../../src/graph/index.js';
import { scalerNames, windowScaler, type ScalerName } from '../../../src/models/blocks/window-scaler.js';
import { fixtures } from '../../fixtures.js';

/** [batch, time, columns, series] with one mask per series → one row of windows per series, [batch, time, columns]. */
function ofSeries({ data, shape }: NdArray, series: number): NdArray {
  const count = shape[3]!;
  return ndarray(
    data.filter((_, i) => i % count === series),
    shape.slice(0, 3),
  );
}

function expectClose(actual: NdArray, expected: NdArray): void {
  const size = Math.max(...expected.data.map(Math.abs));
  expect(actual.data.length).toBe(expected.data.length);
  for (const [i, value] of expected.data.entries())
    expect(Math.abs(actual.data[i]! - value)).toBeLessThan(1e-5 + 1e-4 * size);
}

const cases = fixtures('scalers');

describe.skipIf(cases.length === 0).each(cases)('scaler fixture $file', ({ info, tensors }) => {
  const series = tensors['input/x']!.shape[3]!;
  const name = info['scaler_type'] as ScalerName;

  test.each(Array.from({ length: series }, (_, i) => i))('column %i scales and comes back as in the reference', (n) => {
    const take = (tensor: string): NdArray => ofSeries(tensors[tensor]!, n);
    const g = createGraph({ batch: tensors['input/x']!.shape[0]! });
    const [x, mask, z2] = ['x', 'mask', 'z2'].map((input) => g.input(input, take(`input/${input}`).shape));
    const { shift, scale, scaled, restore } = windowScaler(g, name).target(x!, mask!);
    const learned = {
      bias: ndarray(tensors['param/revin_bias']?.data ?? [], [tensors['param/revin_bias']?.data.length ?? 0]),
      weight: ndarray(tensors['param/revin_weight']?.data ?? [], [tensors['param/revin_weight']?.data.length ?? 0]),
    };
    const feeds = { x: take('input/x'), mask: take('input/mask'), z2: take('input/z2'), ...learned };
    const [gotShift, gotScale, z, inverse, inverse2] = evaluate(
      [shift, scale, scaled, restore(scaled), restore(z2!)],
      feeds,
      z2!.shape[0] as number,
    );
    if (name !== 'identity') {
      expectClose(gotShift!, take('output/x_shift'));
      expectClose(gotScale!, take('output/x_scale'));
    }
    expectClose(z!, take('output/z'));
    expectClose(inverse!, take('output/inverse'));
    expectClose(inverse2!, take('output/inverse2'));

    if (tensors['grad/revin_bias'] === undefined || series > 1) return;
    const probe = g.input('r', z2!.shape);
    const total = sum(mul(restore(z2!), probe), { axes: [0, 1, 2] });
    const found = evaluate(gradients(total, g.finish({ total }).parameters), { ...feeds, r: take('input/r') });
    expectClose(found[0]!, tensors['grad/revin_bias']);
    expectClose(found[1]!, tensors['grad/revin_weight']!);
  });
});

describe.each(scalerNames)('%s', (name) => {
  test('brings a scaled window back to itself, wherever it was observed', () => {
    const g = createGraph();
    const past = g.input('past', ['batch', 5, 1]);
    const { scaled, restore } = windowScaler(g, name).target(past, g.input('mask', ['batch', 5, 1]));
    const window = ndarray([3, 9, 4, 0, 7], [1, 5, 1]);
    const learned = { bias: ndarray([0], [1]), weight: ndarray([1], [1]) };
    const [back] = evaluate([restore(scaled)], { past: window, mask: ndarray([1, 1, 1, 0, 1], [1, 5, 1]), ...learned });
    for (const [i, value] of window.data.entries()) expect(back!.data[i]).toBeCloseTo(value, 4);
  });

  test('gives finite numbers for a constant window and for one that was never observed', () => {
    const g = createGraph();
    const past = g.input('past', ['batch', 4, 1]);
    const { scaled } = windowScaler(g, name).target(past, g.input('mask', ['batch', 4, 1]));
    const [z] = evaluate(
      [scaled],
      { past: ndarray([7, 7, 7, 7, 0, 0, 0, 0], [2, 4, 1]), mask: ndarray([1, 1, 1, 1, 0, 0, 0, 0], [2, 4, 1]) },
      2,
    );
    expect(z!.data.every(Number.isFinite)).toBe(true);
  });
});

test('the identity scaler asks for no mask', () => {
  const g = createGraph();
  const { scaled } = windowScaler(g, 'identity').target(
    g.input('past', ['batch', 4, 1]),
    g.input('mask', ['batch', 4, 1]),
  );
  expect(g.finish({ scaled }).inputs).toHaveLength(1);
});

describe('windows of many series', () => {
  const column = (value: (step: number) => number): number[] => Array.from({ length: 4 }, (_, step) => value(step));
  const [first, second] = [column((step) => 2 * step), column((step) => 100 - 7 * step)];
  const both = first.flatMap((value, step) => [value, second[step]!]); // [time, series]

  test('several outputs of a series come back with the statistics of that series', () => {
    const g = createGraph();
    const past = g.input('past', [g.batch, 4, 2]);
    const forecast = g.input('forecast', [g.batch, 1, 4]); // [series, output]
    const { shift, scale, restore } = windowScaler(g, 'standard').target(past, g.input('mask', [g.batch, 4, 2]));
    const feeds = {
      past: ndarray(both, [1, 4, 2]),
      mask: ndarray(new Array<number>(8).fill(1), [1, 4, 2]),
      forecast: ndarray([0, 1, 0, 1], [1, 1, 4]),
    };
    const [restored, shifts, scales] = evaluate([restore(forecast), shift, scale], feeds, 1);
    const [low, high] = [shifts!.data, scales!.data];
    expect(Array.from(restored!.data)).toEqual([low[0]!, low[0]! + high[0]!, low[1]!, low[1]! + high[1]!]);
  });

  test.each(scalerNames)('%s scales their covariates as those of single series', (name) => {
    const mask = [1, 1, 0, 1];
    const scaled = (x: NdArray, observed: NdArray): number[] => {
      const g = createGraph();
      const result = windowScaler(g, name).covariate(g.input('x', x.shape), 4, g.input('mask', observed.shape));
      return Array.from(evaluate([result], { x, mask: observed })[0]!.data);
    };
    const together = scaled(
      ndarray(both, [1, 1, 4, 2]),
      ndarray(
        mask.flatMap((value) => [value, value]),
        [1, 4, 2],
      ),
    );
    for (const [series, values] of [first, second].entries()) {
      const alone = scaled(ndarray(values, [1, 4, 1]), ndarray(mask, [1, 4, 1]));
      expect(together.filter((_, i) => i % 2 === series)).toEqual(alone);
    }
  });
});
