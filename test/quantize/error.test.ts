import { describe, expect, test } from 'vitest';
import type { Engine, FloatTensor } from '../../src/engine/port.js';
import { add, createGraph, sum, type Graph } from '../../src/graph/index.js';
import { forecastError, lossOf, tail } from '../../src/quantize/error.js';

const loss = (small: readonly number[], fp32: readonly number[]) =>
  lossOf({ mae: 0, bySeries: Float64Array.from(small) }, { mae: 0, bySeries: Float64Array.from(fp32) });

describe('lossOf', () => {
  test('is the rise of the only series, in all its figures but what a limit is compared with', () => {
    const { median, p90, gated } = loss([1.01], [1]);
    expect([median, p90, gated]).toEqual([median, median, median]);
    expect(median).toBeCloseTo(0.01);
  });

  test('does not let a few series that lose much hide behind the median', () => {
    const fp32 = new Array<number>(10).fill(1);
    const small = [1, 1, 1, 1, 1, 1, 1, 1, 1.9, 1.9];
    const { median, p90, gated } = loss(small, fp32);
    expect([median, p90]).toEqual([0, expect.closeTo(0.9)]);
    expect(gated).toBeCloseTo(0.9 / tail);
  });

  test('passes no limit when a forecast is not a number, and leaves out series without a known value', () => {
    expect(loss([1, Number.NaN], [1, 1]).gated).toBeNaN();
    expect(loss([1, Number.NaN], [1, Number.NaN]).gated).toBe(0);
  });
});

/** Forecasts zeros. */
const zeros = (fed: Record<string, FloatTensor>[], columns: number): Engine => ({
  name: 'zeros',
  load: () =>
    Promise.resolve({
      inputNames: [],
      outputNames: ['forecast'],
      run: (feeds: Record<string, FloatTensor>) => {
        fed.push(feeds);
        const batch = feeds['past']!.dims[0]!;
        return { forecast: { data: new Float32Array(batch * 2 * columns), dims: [batch, 2, columns] } };
      },
      close: () => undefined,
    } as never),
});

/** `past [batch, 2, series]` plus `static [series, 1]`, so that both are inputs. */
function graphOf(series: number): Graph {
  const g = createGraph();
  const past = g.input('past', ['batch', 2, series]);
  const fixed = g.input('static', [series, 1]);
  return g.finish({ forecast: add(past, sum(fixed, { axes: [0, 1] })) });
}

test('errors are told apart by the series of each window, and unknown values do not count', async () => {
  const g = createGraph();
  const graph = g.finish({ forecast: g.input('past', ['batch', 2, 1]) });
  const windows = {
    past: new Float32Array(6),
    target: Float32Array.of(1, 3, 10, 10, 5, 1e9),
    targetMask: Float32Array.of(1, 1, 1, 1, 1, 0),
    series: Float32Array.of(0, 2, 0),
  };
  const { mae, bySeries } = await forecastError(zeros([], 1), graph, windows, 0);
  expect([...bySeries]).toEqual([3, Number.NaN, 10]);
  expect(mae).toBe(29 / 5);
});

test('series that share a window have an error each, and what all windows share is fed once', async () => {
  const fed: Record<string, FloatTensor>[] = [];
  const windows = {
    past: new Float32Array(4),
    static: Float32Array.of(7, 8),
    target: Float32Array.of(1, 10, 3, 20),
  };
  const { bySeries } = await forecastError(zeros(fed, 4), graphOf(2), windows, 1);
  expect([...bySeries]).toEqual([2, 15]);
  expect(fed).toEqual([
    { past: { data: windows.past, dims: [1, 2, 2] }, static: { data: windows.static, dims: [2, 1] } },
  ]);
});
