import { expect, test } from 'vitest';
import { createOrtEngine } from '../../src/engine/ort.js';
import { createRandom } from '../../src/engine/random.js';
import {
  add,
  constant,
  conv1d,
  createGraph,
  evaluate,
  fuseBias,
  leafName,
  ndarray,
  printGraph,
  relu,
  runPasses,
  toOnnx,
  topological,
  verify,
  type Graph,
} from '../../src/graph/index.js';
import { findLayers, type Precision } from '../../src/quantize/layers.js';
import { observe, rewrite } from '../../src/quantize/rewrite.js';
import { targets } from '../../src/quantize/targets.js';
import type { WindowArrays } from '../../src/quantize/windows.js';
import { horizon, inputLength, network, windowsFor } from './network.js';

const engine = createOrtEngine();
const float = runPasses(network(), [fuseBias]);
const windows = windowsFor(float, { count: 256 });

async function quantized(graph: Graph, calibration: WindowArrays, precision: Precision = 'int8'): Promise<Graph> {
  const layers = findLayers(graph, { activations: true, int8From: 0 });
  const histograms = await observe(engine, graph, layers, calibration);
  return rewrite(graph, new Map(layers.map((layer) => [layer, precision])), {
    histograms,
    method: 'minmax',
    target: targets.any,
  });
}

test('every product stands between quantize and dequantize nodes, no Gemm is left to be fused in floats, and the forecast is never quantized', async () => {
  const graph = await quantized(float, windows);
  verify(graph);
  // Long biases are stored in FP16; the cast is beside the point.
  const lines = printGraph(graph)
    .trim()
    .split('\n')
    .filter((line) => !line.includes('castTo'));
  const scaled = ['constant', 'dequantizeLinear'];
  const product = ['quantizeLinear', 'dequantizeLinear', ...scaled, 'matmul', 'constant', 'neg', 'sub'];
  expect(lines.map((line) => line.replace(/^\S+ = (\w+).*/, '$1').replace(/^return.*/, 'return'))).toEqual([
    ...['input', 'reshape', ...product, 'relu', ...product, 'relu', ...product, 'reshape', 'return'],
  ]);
});

test('ONNX Runtime and the plain kernels agree on 256 windows: to one step before the last layer', async () => {
  const graph = await quantized(float, windows);
  const codes = topological(Object.values(graph.outputs)).filter(({ op }) => op.name === 'dequantizeLinear');
  const activations = codes.filter(({ inputs }) => inputs[0]!.dtype === 'uint8');
  const watching = {
    ...graph,
    outputs: {
      ...graph.outputs,
      ...Object.fromEntries(activations.map(({ outputs }, i) => [`activation${i}`, outputs[0]!])),
    },
  };
  const session = await engine.load(toOnnx(watching));
  const found = session.run({ past: { data: windows.past!, dims: [256, inputLength, 1] } });
  session.close();

  const names = Object.keys(watching.outputs);
  const expected = evaluate(
    Object.values(watching.outputs),
    { past: ndarray(windows.past!, [256, inputLength, 1]) },
    256,
  );
  for (const [i, { attributes }] of activations.entries()) {
    const { scale } = attributes as { scale: readonly [number] };
    const plain = expected[names.indexOf(`activation${i}`)]!.data;
    const steps = plain.map((value, j) => Math.abs(value - found[`activation${i}`]!.data[j]!) / scale[0]);
    expect(Math.max(...steps)).toBeLessThan(1.001);
    expect(steps.filter((step) => step > 0.5).length / steps.length).toBeLessThan(0.01);
  }
  const errors = expected[0]!.data.map((value, j) => Math.abs(value - found.forecast!.data[j]!));
  expect(Math.max(...errors)).toBeLessThan(0.05);
});

test('ONNX Runtime takes the pattern: no product runs in floats', async () => {
  const fast = await engine.load(toOnnx(await quantized(float, windows)));
  const { forecast } = fast.run({ past: { data: windows.past!, dims: [256, inputLength, 1] } });
  fast.close();
  // A float product of dequantized numbers would differ from the integer product in the last bits; equal bits for windows
  // run one by one and together are only promised by integers.
  const single = await engine.load(toOnnx(await quantized(float, windows)));
  for (const row of [0, 100, 255]) {
    const alone = single.run({
      past: { data: windows.past!.subarray(row * inputLength, (row + 1) * inputLength), dims: [1, inputLength, 1] },
    });
    expect(alone.forecast!.data).toEqual(forecast!.data.slice(row * horizon, (row + 1) * horizon));
  }
  single.close();
});

test('weights stored in int8 change the file, not the graph: a quarter of the bytes, activations untouched', async () => {
  const graph = await quantized(float, windows, 'int8-weights');
  verify(graph);
  expect(toOnnx(graph).length / toOnnx(float).length).toBeLessThan(0.4);
  expect(printGraph(graph)).not.toContain('quantizeLinear');
});

test('a convolution is quantized on both sides, and close to the float one', async () => {
  const random = createRandom(2);
  const draw = (...shape: number[]) =>
    constant(
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random() - 0.5),
      shape,
    );
  const g = createGraph();
  const x = g.input('x', ['batch', 16, 30]);
  const hidden = relu(add(conv1d(x, draw(32, 16, 3), { dilation: 2 }), draw(32, 1)));
  const graph = g.finish({ forecast: conv1d(hidden, draw(8, 32, 4), { dilation: 1 }) });
  const calibration = {
    x: Float32Array.from({ length: 20 * 16 * 30 }, () => 2 * random() - 1),
    target: new Float32Array(),
  };
  const result = await quantized(graph, calibration);
  verify(result);
  expect(printGraph(result).match(/= quantizeLinear/g)).toHaveLength(4);

  const outputs = await Promise.all(
    [graph, result].map(async (model) => {
      const session = await engine.load(toOnnx(model));
      const { forecast } = session.run({ [leafName(x)]: { data: calibration.x, dims: [20, 16, 30] } });
      session.close();
      return forecast!.data;
    }),
  );
  const signal = outputs[0]!.reduce((sum, value) => sum + value * value, 0);
  const noise = outputs[0]!.reduce((sum, value, i) => sum + (value - outputs[1]![i]!) ** 2, 0);
  expect(10 * Math.log10(signal / noise)).toBeGreaterThan(25);
});
