import { expect, test } from 'vitest';
import {
  add,
  attention,
  div,
  fuseAttention,
  matmul,
  mul,
  reshape,
  runPasses,
  simplify,
  softmax,
  swapLast,
  transpose,
  type GraphBuilder,
  type Tensor,
} from '../../../src/graph/index.js';
import { applied, graphOf, opsOf, weights } from './fixture.js';

const heads = (g: GraphBuilder, name: string): Tensor => g.input(name, ['batch', 2, 5, 3]);
const scores = (g: GraphBuilder): Tensor => mul(matmul(heads(g, 'q'), swapLast(heads(g, 'k'))), 0.5);

test.each([
  ['multiplied', scores],
  ['divided', (g: GraphBuilder) => div(matmul(heads(g, 'q'), swapLast(heads(g, 'k'))), 2)],
  ['as they are', (g: GraphBuilder) => matmul(heads(g, 'q'), swapLast(heads(g, 'k')))],
] as const)('fuse-attention makes one node of attention with scores %s, and changes no number', (_, of) => {
  const after = applied(
    fuseAttention,
    graphOf((g) => matmul(softmax(of(g), { axis: -1 }), heads(g, 'v'))),
  );
  expect(opsOf(after)).toContain('multiHeadAttention');
  expect(opsOf(after)).not.toContain('softmax');
});

test('fuse-attention takes attention in chunks too, and what splits heads before it falls away', () => {
  const graph = graphOf((g) => {
    const apart = (name: string): Tensor =>
      transpose(reshape(g.input(name, ['batch', 5, 6]), { shape: ['batch', 5, 2, 3] }), { order: [0, 2, 1, 3] });
    const mixed = attention(apart('q'), apart('k'), apart('v'), { scale: 0.5, chunk: 2 });
    return reshape(transpose(mixed, { order: [0, 2, 1, 3] }), { shape: ['batch', 5, 6] });
  });
  const after = applied({ name: 'both', run: (before) => runPasses(before, [fuseAttention, simplify]) }, graph);
  expect(opsOf(after)).toEqual(['multiHeadAttention']);
});

test.each<[string, (g: GraphBuilder) => Tensor]>([
  ['a mask', (g) => matmul(softmax(add(scores(g), weights([5, 5])), { axis: -1 }), heads(g, 'v'))],
  ['a softmax over the rows', (g) => matmul(softmax(scores(g), { axis: 2 }), heads(g, 'v'))],
  ['values that all heads share', (g) => matmul(softmax(scores(g), { axis: -1 }), g.input('v', ['batch', 1, 5, 3]))],
  [
    'weights that are read elsewhere',
    (g) => {
      const shares = softmax(scores(g), { axis: -1 });
      return matmul(matmul(shares, shares), heads(g, 'v'));
    },
  ],
  [
    'scores that are read elsewhere',
    (g) => {
      const similarity = scores(g);
      return add(matmul(softmax(similarity, { axis: -1 }), heads(g, 'v')), matmul(similarity, heads(g, 'w')));
    },
  ],
])('fuse-attention leaves attention with %s', (_, build) => {
  expect(opsOf(applied(fuseAttention, graphOf(build)))).toContain('softmax');
});
