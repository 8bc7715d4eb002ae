import { expect, test } from 'vitest';
import {
  add,
  concat,
  cutRecurrent,
  gru,
  lstm,
  matmul,
  reshape,
  rnn,
  slice,
  tanh,
  type GraphBuilder,
  type Tensor,
} from '../../../src/graph/index.js';
import { applied, graphOf, opsOf, weights } from './fixture.js';

const [time, batch, hidden] = [7, 2, 3];
const state = weights([batch, hidden], 9);

/** A layer on what its input adds to the gates: all steps in one product. */
const layers: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  rnn: (x) => rnn(sideOf(x, 1), weights([hidden, hidden], 2), state),
  gru: (x) => gru(sideOf(x, 3), weights([hidden, 3 * hidden], 3), weights([3 * hidden], 4), state).h,
  lstm: (x) => lstm(sideOf(x, 4), weights([hidden, 4 * hidden], 5), state, weights([batch, hidden], 6)).h,
};
function sideOf(x: Tensor, gates: number): Tensor {
  const columns = x.shape[2] as number;
  const flat = reshape(x, { shape: [time * batch, columns] });
  const product = add(matmul(flat, weights([columns, gates * hidden], 7)), weights([gates * hidden], 8));
  return reshape(product, { shape: [time, batch, gates * hidden] });
}
const input = (g: GraphBuilder): Tensor => g.input('x', [time, batch, 4]);
const lastOf = (states: Tensor, steps: number): Tensor => slice(states, { axis: 0, start: time - steps, end: time });

test.each(Object.entries(layers))('a layer of kind %s becomes a chain of pieces, and what it reads is cut with it', (name, layer) => {
  const ops = opsOf(applied(cutRecurrent(3), graphOf((g) => layer(input(g)))));
  expect(ops.filter((op) => op === name)).toHaveLength(3); // of 2, 3 and 2 steps
  expect(ops.filter((op) => op === 'matmul')).toHaveLength(3);
}); // prettier-ignore

test('the pieces of the next layer read those of the first, and the last steps are those of the last piece', () => {
  const graph = graphOf((g) => lastOf(layers['gru']!(layers['lstm']!(input(g))), 2));
  const ops = opsOf(applied(cutRecurrent(3), graph));
  expect(ops).not.toContain('concat');
});

test('the cell after the last step is that of the last piece', () => {
  const graph = graphOf((g) => {
    const { h, last } = lstm(sideOf(input(g), 4), weights([hidden, 4 * hidden], 5), state, state);
    return add(last, reshape(lastOf(h, 1), { shape: [batch, hidden] }));
  });
  expect(opsOf(applied(cutRecurrent(3), graph))).toContain('lstm');
});

test.each([
  ['a layer no longer than a piece', (g) => layers['lstm']!(input(g))],
  ['the steps of what is no layer', (g) => lastOf(tanh(input(g)), 2)],
  ['columns side by side', (g) => slice(concat([input(g), input2(g)], { axis: 2 }), { axis: 2, start: 1, end: 6 })],
] as const satisfies readonly (readonly [string, Parameters<typeof graphOf>[0]])[])('%s is left alone', (_, build) => {
  const graph = graphOf(build);
  expect(opsOf(applied(cutRecurrent(time), graph))).toEqual(opsOf(graph));
});
const input2 = (g: GraphBuilder): Tensor => g.input('y', [time, batch, 4]);
