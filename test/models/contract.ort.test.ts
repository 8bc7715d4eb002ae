import { describe, expect, test } from 'vitest';
import { createOrtEngine } from '../../src/engine/ort.js';
import type { FloatTensor } from '../../src/engine/port.js';
import { evaluate, ndarray, toOnnx, topological, verify, type Graph, type NdArray } from '../../src/graph/index.js';
import { shippedGraph } from '../../src/forecaster/compile.js';
import { inferenceGraph, lossScaleName, trainingGraph } from '../../src/models/assemble.js';
import { tryQuantize } from '../../src/quantize/index.js';
import { planTraining, startingValues } from '../../src/train/plan.js';
import { modelCases, randomFeeds } from './cases.js';
import { specOf } from './contract.js';

const engine = createOrtEngine();

async function runOnnx(graph: Graph, feeds: Record<string, NdArray>): Promise<Record<string, FloatTensor>> {
  const session = await engine.load(toOnnx(graph));
  const single = ({ data, shape }: NdArray): FloatTensor => ({ data: Float32Array.from(data), dims: shape });
  const found = session.run(Object.fromEntries(session.inputNames.map((name) => [name, single(feeds[name]!)])));
  session.close();
  return found;
}

/** All outputs of the graph from ONNX Runtime, beside those of the plain kernels. */
async function compare(graph: Graph, batch: number): Promise<void> {
  const feeds = randomFeeds(graph, batch, 4);
  const found = await runOnnx(graph, feeds);
  const names = Object.keys(graph.outputs);
  for (const [i, expected] of evaluate(Object.values(graph.outputs), feeds, batch).entries()) {
    const { data, dims } = found[names[i]!]!;
    expect(dims, names[i]).toEqual(expected.shape);
    const size = expected.data.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1);
    for (const [element, value] of expected.data.entries())
      expect(Math.abs(data[element]! - value), names[i]).toBeLessThan(1e-5 * size);
  }
}

describe.each(modelCases)('$id', ({ model, hyperparameters }) => {
  test('as ONNX it forecasts what the graph forecasts, for one window and for several', async () => {
    const graph = inferenceGraph(specOf(model, hyperparameters, 'mq'));
    await compare(graph, 1);
    await compare(graph, 3);
  });

  test('as ONNX its loss and gradients are those of the graph', async () => {
    await compare(trainingGraph(specOf(model, hyperparameters, 'normal'), { batch: 3 }), 3);
  });

  // As small as a tuner tries, but large enough that a product is worth eight bits.
  const place = ['bitcn', 'gru', 'rnn'].includes(model.id) ? -1 : 0;
  const small = Object.entries(model.search as Record<string, unknown[]>).map(([name, all]) => [name, all.at(place)]);
  // Both pick what is largest, delays or periods; on noise others are nearly as large, and roundings decide.
  const bound = ['autoformer', 'timesnet'].includes(model.id) ? 0.2 : 0.01;
  test.skipIf(model.id === 'timellm')(
    // its weights are the user's language model
    `in INT8 its forecasts stay within ${100 * bound} % of their size`,
    async () => {
      const { series } = hyperparameters;
      const spec = specOf(model, {
        inputLength: 48,
        horizon: 24,
        series,
        ...(Object.fromEntries(small) as Record<string, unknown>),
      });
      const graph = shippedGraph({ spec, values: startingValues(planTraining(spec, { batch: 1, seed: 1 })) });
      const feeds = randomFeeds(graph, 32, 5);
      const { forecast } = await runOnnx(graph, feeds);
      const past = Object.fromEntries(Object.entries(feeds).map(([name, { data }]) => [name, Float32Array.from(data)]));
      const windows = { ...past, target: forecast!.data.map((value, i) => value + Math.sin(i)) };
      const family = model.capabilities.quantization;
      const { model: int8 } = await tryQuantize({ graph, to: 'int8', engine, calibration: windows, validation: windows, family }); // prettier-ignore
      const session = await engine.load(int8);
      const found = session.run(
        Object.fromEntries(session.inputNames.map((name) => [name, { data: past[name]!, dims: feeds[name]!.shape }])),
      );
      session.close();
      let [difference, size] = [0, 0];
      for (const [i, value] of forecast!.data.entries()) {
        difference += Math.abs(found['forecast']!.data[i]! - value);
        size += Math.abs(value);
      }
      expect(difference / size).toBeLessThan(bound);
    },
  );

  test('in mixed precision it runs as ONNX, and the gradients are those of FP32 but for roundings', async () => {
    const spec = specOf(model, hyperparameters);
    const [exact, mixed] = [trainingGraph(spec, { batch: 3 }), trainingGraph(spec, { batch: 3, mixed: true })];
    verify(mixed);
    expect(topological(Object.values(mixed.outputs)).some(({ outputs: [y] }) => y!.dtype === 'float16')).toBe(true);
    const scale = 1024;
    const feeds = { ...randomFeeds(exact, 3, 4), [lossScaleName]: ndarray([scale], []) };
    const names = Object.keys(exact.outputs);
    const expected = evaluate(Object.values(exact.outputs), feeds, 3);
    const plain = evaluate(Object.values(mixed.outputs), feeds, 3); // rounds every tensor that is FP16
    const found = await runOnnx(mixed, feeds); // rounds less: ONNX Runtime's CPU provider computes these nodes in FP32
    for (const values of [plain.map(({ data }) => data), names.map((name) => found[name]!.data)]) {
      let [error, size] = [0, 0];
      for (const [i, { data }] of expected.entries()) {
        const unit = names[i] === 'loss' ? 1 : scale;
        for (const [element, value] of data.entries()) {
          error += (values[i]![element]! / unit - value) ** 2;
          size += value ** 2;
        }
      }
      expect(Math.sqrt(error / size)).toBeLessThan(2e-2); // a rounding is 5e-4; deep models amplify it
    }
  });
});
