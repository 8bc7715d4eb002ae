import { describe, expect, test } from 'vitest';
import { evaluate, leafName, slice, type Graph, type NdArray, type Tensor } from '../../src/graph/index.js';
import { trainingGraph } from '../../src/models/assemble.js';
import { findModel, inferenceGraph, type ForecastSpec } from '../../src/models/index.js';
import { randomFeeds } from './cases.js';
import { specOf } from './contract.js';

const task = { inputLength: 5, horizon: 4, historic: 1, future: 2, static: 1, hidden: 3, layers: 2 };
const recurrent = [
  ['rnn', { recurrent: true }],
  ['gru', { recurrent: true }],
  ['lstm', { recurrent: true }],
  ['deepar', {}],
] as const;
const spec = (id: string, options: object): ForecastSpec => specOf(findModel(id), { ...task, ...options });

const steps = (x: Tensor, start: number, end: number): Tensor => slice(x, { axis: 1, start, end });
const value = (graph: Graph, feeds: Record<string, NdArray>, x: Tensor = graph.outputs['forecast']!): number[] =>
  Array.from(evaluate([x], feeds, 2)[0]!.data);
/** One column of a fed array `[batch, time, columns]` moved at one step. */
const moved = (array: NdArray, step: number): NdArray => {
  const [, time, columns] = array.shape as [number, number, number];
  return { ...array, data: array.data.map((v, i) => (Math.floor(i / columns) % time === step ? v + 1 : v)) };
};

describe.each(recurrent)('%s %o', (id, options) => {
  const graph = inferenceGraph({ ...spec(id, options), scaler: 'identity' });
  const feeds = randomFeeds(graph, 2, 1);
  const forecast = graph.outputs['forecast']!;

  test('a covariate of the horizon moves its own step and those that read it, none before', () => {
    const changed = { ...feeds, future: moved(feeds['future']!, task.inputLength + 2) };
    expect(value(graph, changed, steps(forecast, 0, 2))).toEqual(value(graph, feeds, steps(forecast, 0, 2)));
    for (const step of [2, 3])
      expect(value(graph, changed, steps(forecast, step, step + 1))).not.toEqual(
        value(graph, feeds, steps(forecast, step, step + 1)),
      );
  });

  test('the first covariate of a window is never read: a step has those of the next', () => {
    for (const name of ['historic', 'future'])
      expect(value(graph, { ...feeds, [name]: moved(feeds[name]!, 0) })).toEqual(value(graph, feeds));
  });

  test('the forecast does not depend on how far it goes', () => {
    const shorter = inferenceGraph({ ...spec(id, { ...options, horizon: 2 }), scaler: 'identity' });
    const known = { ...feeds, future: feeds['future']! };
    const [, time, columns] = known.future.shape as [number, number, number];
    const cut = {
      shape: [2, time - 2, columns],
      data: known.future.data.filter((_, i) => Math.floor(i / columns) % time < time - 2),
    };
    expect(value(shorter, { ...feeds, future: cut })).toEqual(value(graph, feeds, steps(forecast, 0, 2)));
  });

  test('it learns one step ahead of the truth: told its own forecasts, it makes the same ones', () => {
    const all = { ...options, trainHorizon: task.horizon, dropout: 0 };
    const taught = trainingGraph({ ...spec(id, all), scaler: 'identity' }, { batch: 2, withForecast: true });
    const own = value(graph, feeds);
    const target = { shape: [2, task.horizon, 1], data: Float64Array.from(own) };
    const fed = { ...feeds, target, targetMask: { ...target, data: target.data.map(() => 1) } };
    for (const [i, v] of value(taught, fed).entries()) expect(v).toBeCloseTo(own[i]!, 12);
    expect(taught.parameters.map(leafName)).toEqual(graph.parameters.map(leafName));
  });

  test('it learns from no more steps than it forecasts', () => {
    expect(() => spec(id, { ...options, trainHorizon: task.horizon + 1 })).toThrow(/trainHorizon: .*horizon/);
  });
});
