import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { expect, test } from 'vitest';
import '../../../src/graph/index.js';
import { evaluate } from '../../../src/graph/evaluate.js';
import { gradients } from '../../../src/graph/autodiff.js';
import type { Graph } from '../../../src/graph/builder.js';
import type { DType } from '../../../src/graph/ir.js';
import type { NdArray } from '../../../src/graph/ndarray.js';
import { fromHalf, toHalf } from '../../../src/graph/onnx/half.js';
import { toOnnx } from '../../../src/graph/onnx/write.js';
import { leafName } from '../../../src/graph/ops/leaf.js';
import { differentiableCases, opCases, probeLoss } from './samples.js';

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
    case 'int4':
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
  const values = ({ type, data }: OrtTensor): Float32Array =>
    type === 'float16' ? Float32Array.from(data as Uint16Array, fromHalf) : (data as Float32Array);
  return Object.fromEntries(Object.entries(result).map(([name, tensor]) => [name, values(tensor)]));
}

test.each(opCases())('$title gives in ONNX Runtime what the plain kernel gives', async ({ graph, outputs, feeds }) => {
  const result = await runOnnx(graph, feeds);
  const expected = evaluate(outputs, feeds);
  for (const [i, name] of Object.keys(graph.outputs).entries()) expectClose(result[name]!, expected[i]!.data);
});

test.each(differentiableCases())('so does the gradient of $title', async ({ graph, wrt, outputs, feeds }) => {
  const found = gradients(probeLoss(outputs), wrt);
  const named = Object.fromEntries(found.map((tensor, i) => [`d${i}`, tensor]));
  const result = await runOnnx({ ...graph, outputs: named }, feeds);
  for (const [i, { data }] of evaluate(found, feeds).entries()) expectClose(result[`d${i}`]!, data);
});

function expectClose(actual: Float32Array, expected: Float64Array): void {
  expect(actual.length).toBe(expected.length);
  for (const [i, value] of expected.entries())
    expect(Math.abs(actual[i]! - value)).toBeLessThan(1e-5 * (1 + Math.abs(value)));
}
