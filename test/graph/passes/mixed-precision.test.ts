import { expect, test } from 'vitest';
import {
  add,
  concat,
  constant,
  conv1d,
  createGraph,
  div,
  exp,
  gelu,
  gradients,
  matmul,
  mean,
  mixedPrecision,
  mul,
  relu,
  reshape,
  softmax,
  sqrt,
  square,
  sub,
  tanh,
  topological,
  transpose,
  verify,
  type Graph,
  type GraphBuilder,
  type Tensor,
} from '../../../src/graph/index.js';
import { graphOf, run, weights } from './fixture.js';

const init = { kind: 'uniform', bound: 1 } as const;
const dense = (g: GraphBuilder, name: string, x: Tensor, outputs: number): Tensor =>
  matmul(x, g.parameter(name, [x.shape.at(-1) as number, outputs], init));
const nodesOf = (graph: Graph) =>
  topological([...Object.values(graph.outputs), ...Object.values(graph.updates)]).filter(
    ({ inputs }) => inputs.length > 0,
  );
/** Ops in order; what is computed in FP16 is marked, casts are arrows to the type they give. */
const opsOf = (graph: Graph): string[] =>
  nodesOf(graph).map(({ op, outputs: [y] }) => {
    const half = y!.dtype === 'float16';
    if (op.name === 'castTo') return half ? '→16' : '→32';
    return half ? `${op.name}16` : op.name;
  });

/** The graph after the pass, which kept its rules and outputs, and changed numbers no more than roundings do. */
function mixed(before: Graph): Graph {
  const after = mixedPrecision().run(before);
  verify(after);
  for (const output of Object.values(after.outputs)) expect(output.dtype).toBe('float32');
  const expected = run(before);
  const size = Math.max(...expected.map(Math.abs));
  for (const [i, value] of run(after).entries()) expect(Math.abs(value - expected[i]!)).toBeLessThan(3e-3 * size);
  return after;
}

test('products are computed in FP16, and so is what lies between two of them', () => {
  const after = mixed(graphOf((g) => dense(g, 'w2', relu(dense(g, 'w1', g.input('x', ['batch', 4]), 5)), 3)));
  expect(opsOf(after)).toEqual(['→16', '→16', 'matmul16', 'relu16', '→16', 'matmul16', '→32']);
  expect(run(after)).not.toEqual(run(graphOf((g) => dense(g, 'w2', relu(dense(g, 'w1', g.input('x', ['batch', 4]), 5)), 3)))); // prettier-ignore
});

test('a graph that went through the pass goes through it again unchanged', () => {
  const after = mixed(graphOf((g) => dense(g, 'w2', relu(dense(g, 'w1', g.input('x', ['batch', 4]), 5)), 3)));
  expect(opsOf(mixedPrecision().run(after))).toEqual(opsOf(after));
});

test('parameters stay FP32 inputs, each cast once however often it is read', () => {
  const graph = graphOf((g) => {
    const w = g.parameter('w', [4, 4], init);
    return matmul(matmul(matmul(g.input('x', ['batch', 4]), w), w), transpose(w, { order: [1, 0] }));
  });
  const after = mixed(graph);
  expect(after.parameters).toEqual(graph.parameters);
  expect(opsOf(after)).toEqual(['→16', '→16', 'matmul16', 'matmul16', 'transpose16', 'matmul16', '→32']);
});

test('a bias joins the products around it, and a constant is rounded when the graph is rewritten', () => {
  const after = mixed(
    graphOf((g) => {
      const biased = add(dense(g, 'w1', g.input('x', ['batch', 4]), 5), g.parameter('b', [5], init));
      return matmul(mul(tanh(biased), 0.1), weights([5, 2]));
    }),
  );
  expect(opsOf(after)).toEqual(['→16', '→16', 'matmul16', '→16', 'add16', 'tanh16', 'mul16', 'matmul16', '→32']);
});

test('convolutions and products of activations are products', () => {
  const after = mixed(
    graphOf((g) => {
      const seen = conv1d(g.input('x', ['batch', 2, 6]), g.parameter('w', [3, 2, 2], init), { dilation: 1 });
      return matmul(seen, transpose(gelu(seen), { order: [0, 2, 1] }));
    }),
  );
  expect(opsOf(after)).toEqual(['→16', '→16', 'conv1d16', 'gelu16', 'transpose16', 'matmul16', '→32']);
});

test('what only moves the operand of a product moves halves, unless something else reads it in FP32', () => {
  const moved = (also: (x: Tensor) => Tensor) =>
    graphOf((g) => {
      const x = reshape(g.input('x', ['batch', 2, 2]), { shape: ['batch', 4] });
      return add(dense(g, 'w', x, 4), also(x));
    });
  expect(opsOf(mixed(moved(() => constant(1))))).toEqual(['→16', 'reshape16', '→16', 'matmul16', '→32', 'add']);
  expect(opsOf(mixed(moved(exp)))).toEqual(['reshape', '→16', '→16', 'matmul16', '→32', 'exp', 'add']);
});

test.each<[string, (x: Tensor) => Tensor, string[]]>([
  ['softmax', (x) => softmax(mul(x, 0.5), { axis: -1 }), ['mul', 'softmax']],
  [
    'a norm, its square too',
    (x) => div(x, sqrt(mean(square(x), { axes: [1], keep: true }))),
    ['mul', 'mean', 'sqrt', 'div'],
  ],
  ['a sum with an FP32 operand', (x) => add(x, exp(x)), ['exp', 'add']],
  ['a term too small for FP16', (x) => add(x, 1e-6), ['add']],
])('%s between two products stays FP32', (_, between, ops) => {
  const after = mixed(graphOf((g) => dense(g, 'w2', between(dense(g, 'w1', g.input('x', ['batch', 4]), 5)), 3)));
  expect(opsOf(after)).toEqual(['→16', '→16', 'matmul16', '→32', ...ops, '→16', '→16', 'matmul16', '→32']);
});

test('what leads to no product stays FP32: a last activation, a square that is averaged', () => {
  const after = mixed(
    graphOf((g) => mean(square(relu(dense(g, 'w', g.input('x', ['batch', 4]), 5))), { axes: [1], keep: true })),
  );
  expect(opsOf(after)).toEqual(['→16', '→16', 'matmul16', '→32', 'relu', 'mul', 'mean']);
});

test('a product with a constant that FP16 cannot reach, and a graph without products, stay as they are', () => {
  const far = graphOf((g) => matmul(g.input('x', ['batch', 2]), constant([7e4, 1], [2, 1])));
  expect(opsOf(mixed(far))).toEqual(['matmul']);
  const none = graphOf((g) => concat([relu(g.input('x', ['batch', 2])), g.input('z', ['batch', 1])], { axis: 1 }));
  expect(opsOf(mixed(none))).toEqual(['relu', 'concat']);
});

/** A product in the model and one in the loss, with the gradient of the parameter. */
function training(scale: number) {
  const g = createGraph({ batch: 3 });
  const forecast = dense(g, 'w', g.input('x', [3, 4]), 4);
  const error = matmul(sub(forecast, g.input('target', [3, 4])), weights([4, 4]));
  const loss = mean(square(error), { axes: [0, 1] });
  const { parameters } = g.finish({ loss });
  const [dForecast, dw] = gradients(loss, [forecast, ...parameters], { seed: scale });
  return g.finish({ loss, forecast, 'grad/forecast': dForecast!, y: dw! });
}

test('the loss stays FP32 with its own products, forward and backward; those of the model do not', () => {
  const count = (graph: Graph) => opsOf(graph).filter((name) => name.startsWith('matmul')).sort(); // prettier-ignore
  const around = mixedPrecision({ loss: { from: 'forecast', gradient: 'grad/forecast' } }).run(training(1));
  verify(around);
  expect(count(around)).toEqual(['matmul', 'matmul', 'matmul16', 'matmul16']);
  expect(count(mixedPrecision().run(training(1)))).toEqual(['matmul16', 'matmul16', 'matmul16', 'matmul16']);
});

test('gradients below what FP16 can hold vanish without a loss scale, and survive with one', () => {
  const tiny = 2 ** -28;
  const lossScale = 2 ** 27;
  const exact = run(training(1));
  const found = (seed: number) => run(mixedPrecision().run(training(seed)));
  expect(found(tiny).every((value) => value === 0)).toBe(true);
  for (const [i, value] of found(tiny * lossScale).entries())
    expect(value / (tiny * lossScale)).toBeCloseTo(exact[i]!, 3);
});
