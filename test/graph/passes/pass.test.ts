import { expect, test } from 'vitest';
import {
  add,
  constant,
  definePass,
  exp,
  mul,
  neg,
  operands,
  runPasses,
  substitute,
  verify,
} from '../../../src/graph/index.js';
import { applied, graphOf, opsOf, run } from './fixture.js';

const doubleNegation = definePass('double-negation', [
  ({ outputs: [y] }) => {
    const outer = operands(y!, neg);
    return outer && operands(outer.x!, neg)?.x;
  },
]);

test('rules run until none fires, and a graph in which none fires is returned as it is', () => {
  const graph = graphOf((g) => neg(neg(neg(neg(neg(g.input('x', [2])))))));
  expect(opsOf(applied(doubleNegation, graph))).toEqual(['neg']);
  const still = graphOf((g) => neg(g.input('x', [2])));
  expect(doubleNegation.run(still).outputs['y']).toBe(still.outputs['y']);
});

test('a rule sees how many read a tensor, outputs of the graph included', () => {
  const seen: number[] = [];
  const spy = definePass('spy', [
    (node, users) => {
      if (node.op === exp.op) seen.push(users(node.outputs[0]!));
      return undefined;
    },
  ]);
  const graph = graphOf((g) => {
    const y = exp(g.input('x', [2]));
    return add(mul(y, y), y);
  });
  spy.run({ ...graph, outputs: { ...graph.outputs, inside: graph.outputs['y']!.node.inputs[1]! } });
  expect(seen).toEqual([4]);
});

test('passes run in the order they are given', () => {
  const first = definePass('first', [(node) => (node.op === exp.op ? neg(node.inputs[0]!) : undefined)]);
  const second = definePass('second', [(node) => (node.op === neg.op ? mul(node.inputs[0]!, 2) : undefined)]);
  const graph = graphOf((g) => exp(g.input('x', [2])));
  expect(opsOf(runPasses(graph, [first, second]))).toEqual(['mul']);
  expect(opsOf(runPasses(graph, [second, first]))).toEqual(['neg']);
});

test('substitute exchanges tensors wherever they are read', () => {
  const graph = graphOf((g) => {
    const x = g.input('x', [2]);
    return add(mul(x, 2), x);
  });
  const [x] = graph.inputs;
  const replaced = substitute(graph, new Map([[x!, constant([1, 10])]]));
  verify({ ...replaced, inputs: [] });
  expect([...run({ ...replaced, inputs: [] })]).toEqual([3, 30]);
});
