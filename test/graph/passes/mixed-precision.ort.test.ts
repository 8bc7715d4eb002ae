import { expect, test } from 'vitest';
import { createOrtEngine } from '../../../src/engine/ort.js';
import { castTo, evaluate, toOnnx, type Graph } from '../../../src/graph/index.js';
import { createNode } from '../../../src/graph/ir.js';
import { halfOps } from '../../../src/graph/passes/mixed-precision.js';
import { opCases } from '../ops/samples.js';

const engine = createOrtEngine();

test.each(opCases().filter(({ op }) => halfOps.has(op)))('$title runs in ONNX Runtime in FP16', async (opCase) => {
  const { op, inputs, outputs, graph, feeds } = opCase;
  const halves = inputs.map((x) => castTo(x, { dtype: 'float16' }));
  const [y] = createNode(op, halves, outputs[0]!.node.attributes).outputs;
  expect(y!.dtype).toBe('float16');
  const half: Graph = { ...graph, outputs: { y: castTo(y!, { dtype: 'float32' }) } };
  const session = await engine.load(toOnnx(half));
  const single = Object.entries(feeds).map(
    ([name, { data, shape }]) => [name, { data: Float32Array.from(data), dims: shape }] as const,
  );
  const found = session.run(Object.fromEntries(single))['y']!.data;
  session.close();
  const [expected] = evaluate([half.outputs['y']!], feeds);
  for (const [i, value] of expected!.data.entries())
    expect(Math.abs(found[i]! - value)).toBeLessThan(2e-3 * (1 + Math.abs(value))); // a few roundings of 2^-11
});
