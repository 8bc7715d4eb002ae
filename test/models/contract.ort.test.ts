import { describe, expect, test } from 'vitest';
import { createOrtEngine } from '../../src/engine/ort.js';
import type { FloatTensor } from '../../src/engine/port.js';
import { createRandom } from '../../src/engine/random.js';
import { evaluate, ndarray, toOnnx, topological, verify, type Graph, type NdArray } from '../../src/graph/index.js';
import { inferenceGraph, lossScaleName, trainingGraph } from '../../src/models/assemble.js';
import { targets, tryQuantize } from '../../src/quantize/index.js';
import { trainBriefly, type Readings } from '../quantize/trained.js';
import { modelCases, randomFeeds, wideCases } from './cases.js';
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

/** A sine of 16 steps for each series, and noise that nobody can forecast, so that a relative rise of the error means something. */
function noisySines(series: number): Readings {
  const random = createRandom(3, 'noise');
  const at = (i: number): number => Math.sin((2 * Math.PI * Math.floor(i / series)) / 16 + (i % series));
  return { series, values: Float32Array.from({ length: 1000 * series }, (_, i) => at(i) + 0.4 * (random() - 0.5)) };
}

/**
 * How much INT8 may add to the error, by class, when products are in integers however small they are. A and B keep all
 * layers in eight bits; of C, which chooses by data, layers may step back.
 */
const bounds = { A: 0.005, B: 0.005, C: 0.01 };

test.for(wideCases)(
  '$id in INT8 adds no more to the error than its class may',
  async ({ model, hyperparameters }, { skip }) => {
    if (model.prompt) skip('it needs a language model of the user');
    const { series, quantization: family } = model.capabilities;
    const readings = noisySines(series === 'many' ? 3 : 1);
    const trained = await trainBriefly(model, engine, {
      readings,
      hyperparameters,
      steps: 30,
      batch: 32,
      learningRate: 3e-3,
    });
    const options = { ...trained, engine, family, target: { ...targets.any, int8From: 0 }, maxLoss: bounds[family] };
    const { report } = await tryQuantize({ ...options, to: 'int8' });
    expect(Math.abs(report.maeLoss)).toBeLessThanOrEqual(bounds[family]);
    const eight = report.layers.filter(({ precision }) => precision.startsWith('int8'));
    expect(eight.length).toBeGreaterThanOrEqual(family === 'C' ? report.layers.length / 2 : report.layers.length);
    expect(eight.length).toBeGreaterThan(0);
  },
);
