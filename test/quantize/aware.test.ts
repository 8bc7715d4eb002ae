import { expect, test } from 'vitest';
import {
  constant,
  createGraph,
  evaluate,
  gradients,
  matmul,
  conv1d,
  mean,
  ndarray,
  relu,
  verify,
  topological,
} from '../../src/graph/index.js';
import { quantizationAware } from '../../src/quantize/index.js';
import { quantizeWeight } from '../../src/quantize/layers.js';

const wide = 1024;
const values = (count: number, seed: number): Float64Array =>
  Float64Array.from({ length: count }, (_, i) => Math.sin(seed + i * 1.7));

function network() {
  const g = createGraph({ batch: 2, training: true });
  const weight = g.parameter('layer/weight', [wide, 2], { kind: 'normal', deviation: 1 });
  const small = g.parameter('small/weight', [2, 3], { kind: 'normal', deviation: 1 });
  const x = g.input('x', [2, wide]);
  const y = matmul(relu(matmul(x, weight)), small);
  return { x, weight, small, graph: g.finish({ y, loss: mean(y, { axes: [0, 1] }) }) };
}
const feeds = {
  x: ndarray(values(2 * wide, 1), [2, wide]),
  'layer/weight': ndarray(values(2 * wide, 2), [wide, 2]),
  'small/weight': ndarray(values(6, 3), [2, 3]),
};

test('weights and inputs of a large product are seen as INT8 stores them, others as they are', () => {
  const { graph, weight } = network();
  const aware = quantizationAware({ activations: true }).run(graph);
  verify(aware);
  const rounds = topological(Object.values(aware.outputs)).filter(({ op }) => op.name === 'throughIntegers');
  expect(rounds).toHaveLength(3); // the weight, the input, and its zero
  const seen = rounds.find(({ inputs }) => inputs[0] === weight)!.outputs[0]!;
  const known = constant(feeds['layer/weight'].data, [wide, 2]);
  const stored = quantizeWeight({ weight: known, axis: 1 });
  for (const [i, value] of evaluate([seen], feeds)[0]!.data.entries())
    expect(value).toBeCloseTo(stored.values[i]! * stored.scale[i % 2]!, 5);
});

test('the result is near, and the gradient is that of the rounded network, straight through', () => {
  const { graph, weight } = network();
  const aware = quantizationAware({ activations: true }).run(graph);
  const [exact, near] = [graph, aware].map(({ outputs }) => evaluate([outputs['y']!], feeds)[0]!.data);
  // Sums of a thousand terms that cancel: what rounding costs is large beside what is left.
  const off = Math.hypot(...Array.from(exact!, (value, i) => value - near![i]!));
  expect(off / Math.hypot(...Array.from(exact!))).toBeLessThan(0.2);
  expect(near).not.toEqual(exact);
  const slopes = [graph, aware].map(({ outputs }) => evaluate(gradients(outputs['loss']!, [weight]), feeds)[0]!.data);
  const difference = Math.hypot(...Array.from(slopes[0]!, (value, i) => value - slopes[1]![i]!));
  expect(difference).toBeLessThan(0.2 * Math.hypot(...Array.from(slopes[0]!)));
});

test('a model whose activations stay in FP32 has its weights rounded alone; a convolution has a scale per output', () => {
  const g = createGraph({ batch: 1, training: true });
  const kernel = g.parameter('conv/weight', [8, 16, 8], { kind: 'normal', deviation: 1 });
  const graph = g.finish({ y: conv1d(g.input('x', [1, 16, 20]), kernel, { dilation: 1 }) });
  const aware = quantizationAware({ activations: false }).run(graph);
  const rounds = topological(Object.values(aware.outputs)).filter(({ op }) => op.name === 'throughIntegers');
  expect(rounds.map(({ inputs }) => inputs[1]!.shape)).toEqual([[8, 1, 1]]);
});
