import { expect, test } from 'vitest';
import {
  constant,
  createGraph,
  evaluate,
  matmul,
  mul,
  ndarray,
  toOnnx,
  topological,
  verify,
} from '../../src/graph/index.js';
import { computeFp16, storeFp16 } from '../../src/quantize/fp16.js';
import { inputLength, network, windowsFor } from './network.js';

test('the file is half as large and the forecast the same to a thousandth', () => {
  const graph = network();
  const stored = storeFp16(graph);
  verify(stored);
  expect(toOnnx(stored).length / toOnnx(graph).length).toBeLessThan(0.6);

  const feeds = { past: ndarray(windowsFor(graph, { count: 4 }).past!, [4, inputLength, 1]) };
  const [expected] = evaluate([graph.outputs.forecast!], feeds, 4);
  const [actual] = evaluate([stored.outputs.forecast!], feeds, 4);
  for (const [i, value] of expected!.data.entries()) expect(Math.abs(actual!.data[i]! - value)).toBeLessThan(2e-3);
});

test('what is short, or beyond what FP16 can hold, stays FP32', () => {
  const g = createGraph();
  const x = g.input('x', ['batch', 64]);
  const graph = g.finish({ y: matmul(mul(x, constant([1e-6])), constant(new Float32Array(64).fill(7e4), [64, 1])) });
  expect(toOnnx(storeFp16(graph))).toEqual(toOnnx(graph));
});

test('computing in FP16 changes the forecast by roundings, and no weight is cast when it runs', () => {
  const graph = network();
  const computed = computeFp16(graph);
  verify(computed);
  const ops = topological([computed.outputs.forecast!]).map(({ op, outputs: [y] }) => `${op.name} ${y!.dtype}`);
  expect(ops.filter((name) => name.startsWith('gemm') || name.startsWith('matmul'))).toEqual([
    'matmul float16',
    'matmul float16',
    'matmul float16',
  ]);
  expect(ops.filter((name) => name.startsWith('castTo'))).toEqual(['castTo float16', 'castTo float32']);
  expect(ops.filter((name) => name === 'constant float32')).toHaveLength(1); // the last bias: no product reads the sum

  const feeds = { past: ndarray(windowsFor(graph, { count: 4 }).past!, [4, inputLength, 1]) };
  const [expected] = evaluate([graph.outputs.forecast!], feeds, 4);
  const [actual] = evaluate([computed.outputs.forecast!], feeds, 4);
  for (const [i, value] of expected!.data.entries()) expect(Math.abs(actual!.data[i]! - value)).toBeLessThan(4e-3);
});
