import { expect, test } from 'vitest';
import { constant, createGraph, evaluate, matmul, mul, ndarray, toOnnx, verify } from '../../src/graph/index.js';
import { storeFp16 } from '../../src/quantize/fp16.js';
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
