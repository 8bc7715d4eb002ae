import { expect, test } from 'vitest';
import {
  add,
  broadcastTo,
  constant,
  div,
  mul,
  pad,
  reshape,
  simplify,
  slice,
  stopGradient,
  sub,
  transpose,
  type Tensor,
} from '../../../src/graph/index.js';
import { applied, graphOf, opsOf, weights } from './fixture.js';

const ones = constant([1, 1, 1]);
const zeros = constant([0, 0, 0]);

test.each<[string, (x: Tensor) => Tensor]>([
  ['x · 1', (x) => mul(x, 1)],
  ['1 · x', (x) => mul(ones, x)],
  ['x + 0', (x) => add(x, zeros)],
  ['0 + x', (x) => add(0, x)],
  ['x - 0', (x) => sub(x, 0)],
  ['x / 1', (x) => div(x, ones)],
  ['a reshape to the same shape', (x) => reshape(x, { shape: ['batch', 3] })],
  ['a reshape there and back', (x) => reshape(reshape(x, { shape: ['batch', 3, 1] }), { shape: ['batch', 3] })],
  ['a broadcast to the same shape', (x) => broadcastTo(x, { shape: ['batch', 3] })],
  ['a transpose that moves nothing', (x) => transpose(x, { order: [0, 1] })],
  ['two transposes that cancel', (x) => transpose(transpose(x, { order: [1, 0] }), { order: [1, 0] })],
  ['a stopped gradient', (x) => stopGradient(x)],
  ['a part that is the whole', (x) => slice(x, { axis: 1, start: 0, end: 3 })],
])('%s is x', (_, build) => {
  const graph = graphOf((g) => build(g.input('x', ['batch', 3])));
  expect(opsOf(applied(simplify, graph))).toEqual([]);
});

test('two transposes in a row become one', () => {
  const graph = graphOf((g) =>
    transpose(transpose(g.input('x', ['batch', 2, 3]), { order: [1, 2, 0] }), { order: [1, 2, 0] }),
  );
  expect(opsOf(applied(simplify, graph))).toEqual(['transpose']);
});

test.each<[string, (x: Tensor) => Tensor]>([
  ['x · 2', (x) => mul(x, 2)],
  ['a factor of ones with one that is not', (x) => mul(x, constant([1, 1, 2]))],
  ['0 - x', (x) => sub(0, x)],
  ['1 / x', (x) => div(1, x)],
  ['a sum that makes x larger', (x) => add(x, constant(new Float32Array(6), [2, 1, 3]))],
  ['a product of unknowns', (x) => mul(x, x)],
])('%s is left alone', (_, build) => {
  const graph = graphOf((g) => build(g.input('x', [3])));
  expect(opsOf(applied(simplify, graph))).toHaveLength(1);
});

test('what fires inside an update of a state is rewritten there too', () => {
  const graph = graphOf((g) => mul(g.input('x', [3]), weights([3])));
  const extended = { ...graph, updates: { mean: mul(graph.inputs[0]!, 1) } };
  expect(simplify.run(extended).updates['mean']).toBe(graph.inputs[0]);
});

test('stretches that are filled up with zeros and lie side by side become one concat, whatever their order', () => {
  const graph = graphOf((g) => {
    const [a, b, c] = ['a', 'b', 'c'].map((name, i) => g.input(name, [2, i + 1])) as [Tensor, Tensor, Tensor];
    const last = pad(c, { axis: 1, before: 3, after: 0 });
    const middle = pad(b, { axis: 1, before: 1, after: 3 });
    return add(add(last, middle), pad(a, { axis: 1, before: 0, after: 5 }));
  });
  expect(opsOf(applied(simplify, graph))).toEqual(['concat']);
});

test.each<[string, (x: Tensor) => Tensor]>([
  ['stretches that overlap', (x) => add(filled(x, 0, 3), filled(x, 2, 1))],
  ['stretches with a gap', (x) => add(filled(x, 0, 4), filled(x, 4, 0))],
  [
    'stretches of other axes',
    (x) =>
      add(
        filled(x, 0, 3),
        pad(slice(filled(x, 1, 2), { axis: 0, start: 0, end: 1 }), { axis: 0, before: 2, after: 0 }),
      ),
  ],
  ['ends that hold no zeros', (x) => add(filled(x, 0, 3), pad(x, { axis: 1, before: 3, after: 0, value: 1 }))],
])('%s are left alone', (_, build) => {
  const graph = graphOf((g) => build(g.input('x', [3, 3])));
  expect(opsOf(applied(simplify, graph))).toEqual(opsOf(graph));
});
const filled = (x: Tensor, before: number, after: number): Tensor => pad(x, { axis: 1, before, after });

test('a pad of nothing is x', () => {
  const graph = graphOf((g) => pad(g.input('x', [2, 3]), { axis: 1, before: 0, after: 0 }));
  expect(opsOf(applied(simplify, graph))).toEqual([]);
});

test('a part of what was filled up is cut from what was there', () => {
  const padded = (g: Parameters<Parameters<typeof graphOf>[0]>[0]): Tensor =>
    pad(g.input('x', [2, 5]), { axis: 1, before: 2, after: 1, value: 7 });
  const cut = (start: number, end: number): string[] =>
    opsOf(
      applied(
        simplify,
        graphOf((g) => slice(padded(g), { axis: 1, start, end })),
      ),
    );
  expect(cut(2, 7)).toEqual([]); // all that was there
  expect(cut(3, 6)).toEqual(['slice']);
  expect(cut(0, 7)).toEqual(['pad']);
  expect(cut(0, 5)).toEqual(['slice', 'pad']);
  expect(cut(0, 2)).toEqual(['pad', 'slice']); // nothing that was there: left alone
});

test('what is filled up for several readers stays', () => {
  const graph = graphOf((g) => {
    const padded = pad(g.input('x', [2, 5]), { axis: 1, before: 2, after: 0 });
    return add(slice(padded, { axis: 1, start: 0, end: 5 }), slice(padded, { axis: 1, start: 1, end: 6 }));
  });
  expect(opsOf(applied(simplify, graph))).toEqual(['pad', 'slice', 'slice', 'add']);
});

test('a part of a sum of what was filled up is the sum of the parts', () => {
  const sum = (end: number): string[] => {
    const graph = graphOf((g) => {
      const early = pad(g.input('x', [2, 5]), { axis: 1, before: 0, after: 2 });
      const late = pad(g.input('y', [2, 5]), { axis: 1, before: 2, after: 0 });
      return slice(add(early, late), { axis: 1, start: 2, end });
    });
    return opsOf(applied(simplify, graph));
  };
  expect(sum(7)).toEqual(['slice', 'pad', 'add']);
});
