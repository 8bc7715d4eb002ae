import { describe, expect, test } from 'vitest';
import {
  add,
  bindParameters,
  createGraph,
  evaluate,
  foldConstants,
  fuseBias,
  fuseRecurrent,
  leafName,
  ndarray,
  runPasses,
  simplify,
  topological,
  verify,
  type Graph,
  type GraphBuilder,
  type NdArray,
  type Tensor,
} from '../../../src/graph/index.js';
import { gru } from '../../../src/graph/ops/gru.js';
import { gruLayer, lstmLayer, type RecurrentLayer } from '../../../src/models/blocks/recurrent-encoder.js';
import { seeded } from '../ops/samples.js';

const random = (shape: readonly number[], seed: number): NdArray => {
  const next = seeded(seed);
  return ndarray(
    Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => Math.fround(next() - 0.5)),
    shape,
  );
};

/** A graph whose parameters are constants, as when it ships. */
function shipped(build: (g: GraphBuilder, x: Tensor) => Tensor): Graph {
  const g = createGraph();
  const graph = g.finish({ y: build(g, g.input('x', [5, 'batch', 3])) });
  const values = graph.parameters.map((p, i) => [leafName(p), random(p.shape as number[], i).data]);
  return bindParameters(graph, Object.fromEntries(values) as Record<string, Float64Array>);
}
const twoLayers =
  (layer: RecurrentLayer, bias = true) =>
  (g: GraphBuilder, x: Tensor): Tensor =>
    layer(g.scope('second'), layer(g.scope('first'), x, { hidden: 4, bias }), { hidden: 2, bias });

const ops = (graph: Graph): string[] => topological(Object.values(graph.outputs)).map(({ op }) => op.name);
const run = (graph: Graph): Float64Array => evaluate([graph.outputs['y']!], { x: random([5, 2, 3], 9) }, 2)[0]!.data;

describe.each([
  ['gru', gruLayer],
  ['lstm', lstmLayer],
] as const)('fuse-recurrent on %s', (name, layer) => {
  test.each([
    ['with biases', true, [simplify, foldConstants, fuseBias]],
    ['without biases', false, [simplify, foldConstants, fuseBias]],
    ['before any other pass', true, []],
  ] as const)('makes one node of each layer and changes no number, %s', (_, bias, before) => {
    const plain = shipped(twoLayers(layer, bias));
    const fused = runPasses(plain, [...before, fuseRecurrent, simplify, foldConstants]);
    verify(fused);
    expect(ops(fused).filter((op) => op === `${name}Fused`)).toHaveLength(2);
    expect(ops(fused)).not.toContain(name);
    expect(ops(fused)).not.toContain('transpose'); // weights are turned once, not at every run
    const expected = run(plain);
    for (const [i, value] of run(fused).entries()) expect(value).toBeCloseTo(expected[i]!, 12);
  });
});

test('fuse-recurrent leaves a layer whose gates are read', () => {
  const graph = shipped((g, x) => {
    const states = gruLayer(g.scope('layer'), x, { hidden: 4, bias: true });
    return add(states, states.node.outputs[2]!); // the update gate
  });
  expect(ops(fuseRecurrent.run(graph))).toContain('gru');
});

test('fuse-recurrent leaves a layer that starts from a state of its own', () => {
  const graph = shipped((g, x) => {
    const states = gruLayer(g.scope('layer'), x, { hidden: 4, bias: true });
    const [read, w, b] = states.node.inputs as [Tensor, Tensor, Tensor];
    return gru(read, w, b, g.input('start', ['batch', 4])).h;
  });
  expect(ops(fuseRecurrent.run(graph))).toContain('gru');
});

test('fuse-recurrent leaves a layer whose input is no product', () => {
  const g = createGraph();
  const x = g.input('x', [5, 'batch', 12]);
  const states = gruLayer(g.scope('layer'), g.input('y', [5, 'batch', 3]), { hidden: 4, bias: true });
  const [, w, b, start] = states.node.inputs as [Tensor, Tensor, Tensor, Tensor];
  expect(ops(fuseRecurrent.run(g.finish({ y: gru(x, w, b, start).h })))).toContain('gru');
});
