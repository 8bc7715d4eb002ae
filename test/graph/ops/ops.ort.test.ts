import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import '../../../src/graph/index.js';
import { evaluate } from '../../../src/graph/evaluate.js';
import { gradients } from '../../../src/graph/autodiff.js';
import type { Graph } from '../../../src/graph/builder.js';
import type { DType } from '../../../src/graph/ir.js';
import type { NdArray } from '../../../src/graph/ndarray.js';
import { toHalf } from '../../../src/graph/onnx/half.js';
import { toOnnx } from '../../../src/graph/onnx/write.js';
import { leafName } from '../../../src/graph/ops/leaf.js';
import { opCases } from './samples.js';
import { probeLoss } from './ops.test.js';

function ortTensor(dtype: DType, { data, shape }: NdArray): OrtTensor {
  switch (dtype) {
    case 'float32':
      return new OrtTensor(dtype, Float32Array.from(data), [...shape]);
    case 'float16':
      return new OrtTensor(dtype, Uint16Array.from(data, toHalf), [...shape]);
    case 'int8':
      return new OrtTensor(dtype, Int8Array.from(data), [...shape]);
    case 'uint8':
      return new OrtTensor(dtype, Uint8Array.from(data), [...shape]);
    case 'int32':
    case 'int64':
      throw new Error(`no op takes ${dtype}`);
  }
}

async function runOnnx(graph: Graph, feeds: Record<string, NdArray>): Promise<Record<string, Float32Array>> {
  const session = await InferenceSession.create(toOnnx(graph), { intraOpNumThreads: 1, logSeverityLevel: 3 });
  const given = Object.fromEntries(
    graph.inputs.map((input) => [leafName(input), ortTensor(input.dtype, feeds[leafName(input)]!)]),
  );
  const result = await session.run(given);
  return Object.fromEntries(Object.entries(result).map(([name, tensor]) => [name, tensor.data as Float32Array]));
}

describe.each(opCases())('$title', ({ op, graph, inputs, outputs, feeds }) => {
  test('ONNX Runtime computes what the plain kernel computes', async () => {
    const result = await runOnnx(graph, feeds);
    const expected = evaluate(outputs, feeds);
    for (const [i, name] of Object.keys(graph.outputs).entries()) expectClose(result[name]!, expected[i]!.data);
  });

  test.skipIf(op.grad === 'none')('its gradient does so too', async () => {
    const wrt = inputs.filter((input) => {
      try {
        gradients(probeLoss(outputs), [input]);
        return true;
      } catch {
        return false;
      }
    });
    const found = gradients(probeLoss(outputs), wrt);
    const names = wrt.map((_, i) => `d${i}`);
    const result = await runOnnx(
      { ...graph, outputs: Object.fromEntries(names.map((name, i) => [name, found[i]!])) },
      feeds,
    );
    const expected = evaluate(found, feeds);
    for (const [i, name] of names.entries()) expectClose(result[name]!, expected[i]!.data);
  });
});

function expectClose(actual: Float32Array, expected: Float64Array): void {
  expect(actual.length).toBe(expected.length);
  for (const [i, value] of expected.entries())
    expect(Math.abs(actual[i]! - value)).toBeLessThan(1e-5 * (1 + Math.abs(value)));
}
