import { expect, test } from 'vitest';
import { evaluate, leafName } from '../../src/graph/index.js';
import { trainingGraph } from '../../src/models/index.js';
import { tft } from '../../src/models/tft.js';
import { randomFeeds } from './cases.js';
import { specOf } from './contract.js';

const small = { inputLength: 6, horizon: 3, hidden: 4, heads: 2 };

test('heads that do not divide the width are refused', () => {
  expect(() => tft.parse({ ...small, heads: 3 })).toThrow(/tft\.heads: hidden must be a multiple of heads/);
});

test.each([
  {},
  { cell: 'gru', layers: 2, static: 1 },
  { layers: 2, static: 2, sharedStart: true },
  { future: 2, activation: 'leaky-relu' },
])('with %o it learns, and every parameter has a name of its own in the reference', (options) => {
  const spec = specOf(tft, { ...small, ...options });
  const graph = trainingGraph(spec, { batch: 3 });
  const values = evaluate(Object.values(graph.outputs), randomFeeds(graph, 3, 1));
  expect(values.every(({ data }) => data.every(Number.isFinite))).toBe(true);
  const names = graph.parameters.map((parameter) => {
    const path = leafName(parameter).replace('model/', '');
    return tft.reference.parameter(path, spec.hyperparameters)!.name;
  });
  expect(new Set(names).size).toBe(names.length);
  expect(names.filter((name) => /\/|undefined|NaN/.test(name))).toEqual([]);
});

test('what the steps after a step of the horizon hold does not change its forecast', () => {
  const spec = specOf(tft, { ...small, future: 1 });
  const graph = trainingGraph(spec, { batch: 1, training: false, withForecast: true });
  const feeds = randomFeeds(graph, 1, 2);
  const forecastWith = (lastFuture: number): number[] => {
    const future = { ...feeds['future']!, data: Float64Array.from(feeds['future']!.data) };
    future.data[8] = lastFuture;
    return [...evaluate([graph.outputs['forecast']!], { ...feeds, future })[0]!.data];
  };
  const [before, after] = [forecastWith(-1), forecastWith(1)];
  expect(after.slice(0, 2)).toEqual(before.slice(0, 2));
  expect(after[2]).not.toBeCloseTo(before[2]!, 6);
});
