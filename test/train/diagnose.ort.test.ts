import { expect, test } from 'vitest';
import { createOrtEngine } from '../../src/engine/ort.js';
import { createTrainingStep } from '../../src/engine/training-step.js';
import {
  add,
  createGraph,
  div,
  gradients,
  leafName,
  log,
  matmul,
  mean,
  mul,
  sqrt,
  sub,
  toOnnx,
  where,
} from '../../src/graph/index.js';
import type { GraphBuilder, Tensor } from '../../src/graph/index.js';
import { gradientName } from '../../src/models/assemble.js';
import { diagnose, type Origin } from '../../src/train/diagnose.js';
import { layoutOf } from '../../src/train/plan.js';

const init = { kind: 'constant', value: 1 } as const;
const average = (x: Tensor): Tensor => mean(x, { axes: [...x.shape.keys()] });

/** One step on `x` [2, 2], all weights 1, and its diagnosis. */
async function diagnosed(
  x: readonly number[],
  loss: (g: GraphBuilder, x: Tensor) => Tensor,
): Promise<Origin | undefined> {
  const g = createGraph({ batch: 2, training: true });
  const end = loss(g, g.input('x', [2, 2]));
  const { parameters } = g.finish({ end });
  const found = gradients(end, parameters);
  const graph = g.finish({
    loss: end,
    ...Object.fromEntries(parameters.map((parameter, i) => [gradientName(leafName(parameter)), found[i]!])),
  });
  const [engine, model] = [createOrtEngine(), toOnnx(graph, { name: 'small' })];
  const training = await createTrainingStep({ engine, model, layout: layoutOf(graph), seed: 1 });
  training.load(Object.fromEntries(parameters.map((tensor) => [leafName(tensor), new Float32Array(4).fill(1)])));
  training.step({ x: { data: Float32Array.from(x), dims: [2, 2] } }, { learningRate: 0.1 });
  const origin = await diagnose(engine, model, training, {});
  training.close();
  return origin;
}
const layer = (g: GraphBuilder, name: string, x: Tensor): Tensor =>
  matmul(x, g.scope('model').scope(name).parameter('weight', [2, 2], init));

test('the logarithm of a negative number: the node, what it reads, and the parameter whose gradient is next to it', async () => {
  const origin = await diagnosed([1, 2, -3, 1], (g, x) => average(layer(g, 'out', log(layer(g, 'gate', x)))));
  expect(origin).toEqual({ node: 'model/gate/log', reads: [[-2, 3]], parameter: 'model/out/weight' });
});

test('a gradient that is not finite, of a loss that is', async () => {
  const origin = await diagnosed([1, -1, 2, -2], (g, x) => average(layer(g, 'out', sqrt(layer(g, 'root', x)))));
  expect(origin).toMatchObject({
    node: expect.stringMatching(/^model\/\w+\/div/) as string,
    parameter: 'model/root/weight',
  });
  expect(origin!.reads.some(([low]) => low === 0)).toBe(true);
});

test('infinity that is taken out again is not blamed for what another node does', async () => {
  const origin = await diagnosed([0, 1, 2, 4], (g, x) => {
    const masked = where(x, div(1, x), 0);
    return average(add(masked, log(sub(layer(g, 'gate', x), 3))));
  });
  expect(origin!.node).toBe('model/gate/log');
});

test('what was fed is named, and a step that is all finite has no origin', async () => {
  const square = (g: GraphBuilder, x: Tensor): Tensor => average(mul(layer(g, 'out', x), x));
  expect(await diagnosed([1, Infinity, 0, 0], square)).toEqual({ node: 'x', reads: [], parameter: undefined });
  expect(await diagnosed([1, 2, 3, 4], square)).toBeUndefined();
});
