/** A stream for tests: windows go step by step through a graph of one step. */
import { expect } from 'vitest';
import { evaluate, leafName, verify, type Graph, type NdArray } from '../../src/graph/index.js';
import { ndarray } from '../../src/graph/ndarray.js';
import { inferenceGraph, statisticsGraph, stepGraph, type ForecastSpec } from '../../src/models/assemble.js';
import { randomFeeds } from './cases.js';

type Arrays = Record<string, NdArray>;

/** Runs one step: outputs by name. */
export type Step = (feeds: Arrays) => Record<string, NdArray>;

export const plainStep =
  (graph: Graph, batch: number): Step =>
  (feeds) => {
    const names = Object.keys(graph.outputs);
    const values = evaluate(Object.values(graph.outputs), feeds, batch);
    return Object.fromEntries(names.map((name, i) => [name, values[i]!]));
  };

/** The inputs of a graph of one step that are carried, with zeros of their shapes. */
export const carriedZeros = (graph: Graph, batch: number): Arrays =>
  Object.fromEntries(
    graph.inputs
      .filter((input) => `${leafName(input)}/next` in graph.outputs)
      .map((input) => {
        const shape = input.shape.map((dim) => (typeof dim === 'number' ? dim : batch));
        return [leafName(input), ndarray(new Float64Array(shape.reduce((a, b) => a * b, 1)), shape)];
      }),
  );

/** Columns of `[batch, time, columns]`, from a step on. */
export function cutSteps({ data, shape }: NdArray, from: number, count: number): NdArray {
  const [batch, time, columns] = shape as [number, number, number];
  const kept = Float64Array.from({ length: batch * count * columns }, (_, i) => {
    const [row, rest] = [Math.floor(i / (count * columns)), i % (count * columns)];
    return data[row * time * columns + from * columns + rest]!;
  });
  return ndarray(kept, [batch, count, columns]);
}

/** Feeds a window of all inputs of a model, step by step from zeros, and returns the last forecast. */
export function streamWindow(step: Step, carried: Arrays, feeds: Arrays, horizon: number): NdArray {
  const { past, historic, future, ...others } = feeds;
  const time = past!.shape[1]!;
  let [state, forecast] = [carried, past!];
  for (let t = 0; t < time; t++) {
    const found = step({
      ...others,
      ...state,
      past: cutSteps(past!, t, 1),
      ...(historic && { historic: cutSteps(historic, t, 1) }),
      ...(future && { future: cutSteps(future, t, 1 + horizon) }),
    });
    forecast = found['forecast']!;
    state = Object.fromEntries(Object.keys(state).map((name) => [name, found[`${name}/next`]!]));
  }
  return forecast;
}

/** Windows step by step from zeros, three streams side by side, beside the graph that reads them whole; both in float64. */
export function expectStreams(spec: ForecastSpec): void {
  const heldScale = spec.scaler !== 'identity';
  const [window, step] = [inferenceGraph(spec), stepGraph(spec, { heldScale })];
  verify(step);
  expect(step.parameters.map(leafName).sort()).toEqual(window.parameters.map(leafName).sort());
  const feeds = randomFeeds(window, 3, 1);
  const statistics = heldScale ? plainStep(statisticsGraph(spec), 3)(feeds) : {};
  const [expected] = evaluate([window.outputs['forecast']!], feeds, 3);
  const { horizon } = spec.hyperparameters as { horizon: number };
  const found = streamWindow(plainStep(step, 3), carriedZeros(step, 3), { ...feeds, ...statistics }, horizon);
  expect(found.shape).toEqual(expected!.shape);
  for (const [i, value] of expected!.data.entries()) expect(found.data[i]).toBeCloseTo(value, 11);
}
