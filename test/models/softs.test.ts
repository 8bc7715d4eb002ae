import { describe, expect, test } from 'vitest';
import { evaluate, topological, type NdArray } from '../../src/graph/index.js';
import { inferenceGraph, trainingGraph, type Model } from '../../src/models/index.js';
import { softs } from '../../src/models/softs.js';
import { softssharp } from '../../src/models/softssharp.js';
import { randomFeeds } from './cases.js';
import { specOf } from './contract.js';

const small = { inputLength: 4, horizon: 2, series: 3, hidden: 4, core: 3, feedForward: 3, layers: 1, dropout: 0 };

/** The last axis in another order. */
const reordered = ({ data, shape }: NdArray, order: readonly number[]): NdArray => ({
  data: data.map((_, i) => data[i - (i % order.length) + order[i % order.length]!]!),
  shape,
});

describe('the order of the series', () => {
  const order = [2, 0, 1];
  const forecasts = (model: Model): [NdArray, NdArray] => {
    const graph = inferenceGraph(specOf(model, small));
    const feeds = randomFeeds(graph, 2, 1);
    const turned = { ...feeds, past: reordered(feeds['past']!, order), mask: reordered(feeds['mask']!, order) };
    const run = (given: Record<string, NdArray>): NdArray => evaluate([graph.outputs['forecast']!], given, 2)[0]!;
    return [reordered(run(feeds), order), run(turned)];
  };
  const largestDifference = ([a, b]: [NdArray, NdArray]): number =>
    Math.max(...a.data.map((value, i) => Math.abs(value - b.data[i]!)));

  test('is nothing to SOFTS', () => expect(largestDifference(forecasts(softs))).toBeLessThan(1e-12));
  test('is something to SOFTSSharp', () => expect(largestDifference(forecasts(softssharp))).toBeGreaterThan(1e-3));
});

test('in training one series fills each column of the core, as often as its share of the softmax says', () => {
  const runs = 400;
  const spec = specOf(softs, { ...small, horizon: 1, core: 1 });
  const graph = trainingGraph(spec, { batch: runs, withForecast: true });
  const { past, mask, ...feeds } = randomFeeds(graph, runs, 2);
  const same = ({ data, shape }: NdArray): NdArray => ({ data: data.map((_, i) => data[i % 12]!), shape });
  const given = { ...feeds, past: same(past!), mask: same(mask!) };
  const evaluation = trainingGraph(spec, { batch: runs, training: false });
  const softmax = topological([evaluation.outputs['loss']!]).find(({ op }) => op.name === 'softmax')!.outputs[0]!;
  const [forecast, shares] = [...evaluate([graph.outputs['forecast']!], given), ...evaluate([softmax], given)];

  // The windows are equal, so there are as many different forecasts as series that can win.
  const wins = new Map<string, number>();
  for (let run = 0; run < runs; run++) {
    const key = forecast!.data[3 * run]!.toFixed(9);
    wins.set(key, (wins.get(key) ?? 0) + 1);
  }
  const ascending = (values: Iterable<number>): number[] => [...values].sort((a, b) => a - b);
  const expected = ascending(shares!.data.slice(0, 3));
  expect(wins.size).toBe(3);
  for (const [i, count] of ascending(wins.values()).entries()) expect(count / runs).toBeCloseTo(expected[i]!, 1);
});

test('a step of SOFTSSharp without the codes is counted, and their scale gets no gradient', () => {
  const graph = trainingGraph(specOf(softssharp, small), { batch: 2 });
  const scale = 'model/layer0/attention/position/scale';
  const outputs = [graph.updates[`${scale}/missed`]!, graph.outputs[`grad/${scale}`]!];
  const feeds = randomFeeds(graph, 2, 3);
  const at = (draw: number): number[] => {
    const given = {
      'model/layer0/attention/position/skip': { data: Float64Array.of(draw), shape: [1] },
      [`${scale}/missed`]: { data: Float64Array.of(5), shape: [1] },
    };
    return evaluate(outputs, { ...feeds, ...given }).map(({ data }) => data[0]!);
  };
  expect(at(0.6)).toEqual([6, 0]);
  const [missed, gradient] = at(0.4);
  expect(missed).toBe(5);
  expect(gradient).not.toBe(0);
});
