import { expect, test } from 'vitest';
import { createOrtEngine } from '../../../src/engine/ort.js';
import {
  createGraph,
  evaluate,
  gradients,
  leafName,
  matmul,
  mul,
  rematerialize,
  sum,
  tanh,
  toOnnx,
  topological,
  verify,
  type Graph,
  type Tensor,
} from '../../../src/graph/index.js';
import { values } from './fixture.js';

/** tanh layers with a skip around each, and the gradients of all their weights. */
function trained(layers: number): Graph {
  const g = createGraph({ batch: 3, training: true });
  let x = g.input('x', [3, 4]);
  const all: Tensor[] = [];
  for (let layer = 0; layer < layers; layer++) {
    const weight = g.parameter(`w${layer}`, [4, 4], { kind: 'constant', value: 0 });
    all.push(weight);
    x = mul(tanh(matmul(x, weight)), tanh(x));
  }
  const loss = sum(mul(x, x), { axes: [0, 1] });
  const found = gradients(loss, all);
  return g.finish({ loss, ...Object.fromEntries(found.map((tensor, i) => [`grad/w${i}`, tensor])) });
}
const feedsOf = (graph: Graph) =>
  Object.fromEntries(
    [...graph.inputs, ...graph.parameters].map((tensor, i) => {
      const shape = tensor.shape as readonly number[];
      return [leafName(tensor), { data: values(shape, i + 1), shape }];
    }),
  );
const count = (graph: Graph, name: string): number =>
  topological(Object.values(graph.outputs)).filter(({ op }) => op.name === name).length;

test('rematerialize computes all but the last stretch again, and changes no number', async () => {
  const plain = trained(6);
  const after = rematerialize({ stretches: 3 }).run(plain);
  verify(after);
  expect(count(after, 'zeroAfter')).toBe(2);
  expect(count(after, 'tanh')).toBeGreaterThan(count(plain, 'tanh'));

  const feeds = feedsOf(plain);
  const expected = evaluate(Object.values(plain.outputs), feeds);
  const found = evaluate(Object.values(after.outputs), feeds);
  for (const [i, { data }] of expected.entries()) expect([...found[i]!.data]).toEqual([...data]);

  const session = await createOrtEngine().load(toOnnx(after));
  const given = Object.entries(feeds).map(([name, { data, shape }]) => [name, { data: Float32Array.from(data), dims: shape }]); // prettier-ignore
  const result = session.run(Object.fromEntries(given) as Parameters<typeof session.run>[0]);
  for (const [i, name] of Object.keys(after.outputs).entries())
    for (const [j, value] of expected[i]!.data.entries()) expect(result[name]!.data[j]).toBeCloseTo(value, 5);
  session.close();
});

test('rematerialize leaves a graph of one stretch, and one without gradients', () => {
  const plain = trained(2);
  expect(count(rematerialize({ stretches: 1 }).run(plain), 'tanh')).toBe(count(plain, 'tanh'));
  const forward = { ...plain, outputs: { loss: plain.outputs['loss']! } };
  expect(rematerialize({ stretches: 3 }).run(forward).outputs).toEqual(forward.outputs);
});
