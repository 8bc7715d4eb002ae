import { expect, test } from 'vitest';
import { createOrtEngine } from '../../../src/engine/ort.js';
import type { FloatTensor } from '../../../src/engine/port.js';
import {
  attention,
  createGraph,
  gradients,
  leafName,
  matmul,
  mul,
  softmax,
  sum,
  swapLast,
  toOnnx,
  verify,
  type Tensor,
} from '../../../src/graph/index.js';
import { values } from '../passes/fixture.js';

const scale = 0.25;
type Attend = (q: Tensor, k: Tensor, v: Tensor) => Tensor;
const plain: Attend = (q, k, v) => matmul(softmax(mul(matmul(q, swapLast(k)), scale), { axis: -1 }), v);

/** Output and gradients, worked out by ONNX Runtime. */
async function results(
  attend: Attend,
  leading: readonly number[],
  [rows, tokens, width, out]: readonly [number, number, number, number],
): Promise<Record<string, FloatTensor>> {
  const g = createGraph({ batch: 1 });
  const shapes = { q: [rows, width], k: [tokens, width], v: [tokens, out] };
  const inputs = Object.entries(shapes).map(([name, shape]) => g.input(name, [...leading, ...shape]));
  const y = attend(...(inputs as [Tensor, Tensor, Tensor]));
  const loss = sum(mul(y, g.input('dy', y.shape)), { axes: y.shape.map((_, axis) => axis) });
  const [dq, dk, dv] = gradients(loss, inputs) as [Tensor, Tensor, Tensor];
  const graph = g.finish({ y, dq, dk, dv });
  verify(graph);
  const session = await createOrtEngine().load(toOnnx(graph));
  const feeds = graph.inputs.map((tensor, i) => {
    const dims = tensor.shape as readonly number[];
    return [leafName(tensor), { dims, data: Float32Array.from(values(dims, i + 1), (value) => 4 * value) }] as const;
  });
  const found = session.run(Object.fromEntries(feeds));
  session.close();
  return found;
}

test.each([
  { leading: [2, 3], sizes: [64, 64, 16, 16], chunk: 16 },
  { leading: [2, 3], sizes: [37, 37, 8, 8], chunk: 16 }, // rows that no chunk divides
  { leading: [5], sizes: [41, 23, 7, 3], chunk: 40 }, // two chunks of 21, the last with a row of zeros
  { leading: [1, 2], sizes: [1, 19, 4, 6], chunk: 8 },
  { leading: [1], sizes: [13, 1, 4, 6], chunk: 1 },
] as const)('attention in chunks of $chunk over $sizes equals plain attention, gradients too', async (given) => {
  const { leading, sizes, chunk } = given;
  const expected = await results(plain, leading, sizes);
  const found = await results((q, k, v) => attention(q, k, v, { scale, chunk }), leading, sizes);
  for (const [name, { data, dims }] of Object.entries(expected)) {
    expect(found[name]!.dims).toEqual(dims);
    const apart = data.reduce((most, value, i) => Math.max(most, Math.abs(value - found[name]!.data[i]!)), 0);
    expect(apart).toBeLessThan(1e-5);
  }
});
