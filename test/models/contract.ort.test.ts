import { describe, expect, test } from 'vitest';
import { createOrtEngine } from '../../src/engine/ort.js';
import type { FloatTensor } from '../../src/engine/port.js';
import { evaluate, toOnnx, type Graph, type NdArray } from '../../src/graph/index.js';
import { inferenceGraph, trainingGraph } from '../../src/models/assemble.js';
import { modelCases, randomFeeds } from './cases.js';
import { specOf } from './contract.js';

const engine = createOrtEngine();

/** All outputs of the graph from ONNX Runtime, beside those of the plain kernels. */
async function compare(graph: Graph, batch: number): Promise<void> {
  const feeds = randomFeeds(graph, batch, 4);
  const session = await engine.load(toOnnx(graph));
  const single = ({ data, shape }: NdArray): FloatTensor => ({ data: Float32Array.from(data), dims: shape });
  const found = session.run(Object.fromEntries(session.inputNames.map((name) => [name, single(feeds[name]!)])));
  session.close();
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
});
