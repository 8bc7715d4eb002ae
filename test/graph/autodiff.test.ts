import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  add,
  concat,
  createGraph,
  dequantizeLinear,
  div,
  evaluate,
  exp,
  fakeQuantize,
  foldConstants,
  gradients,
  gru,
  integerRange,
  leafName,
  matmul,
  maximum,
  mean,
  mergeEqual,
  mul,
  ndarray,
  neg,
  quantizeLinear,
  reshape,
  sigmoid,
  sign,
  simplify,
  slice,
  softmax,
  softplus,
  sqrt,
  square,
  stopGradient,
  sub,
  sum,
  swapLast,
  tanh,
  verify,
  where,
  type NdArray,
  type Tensor,
} from '../../src/graph/index.js';
import { seeded } from './ops/samples.js';

/** Ways to make a new [3, 3] tensor of two. Smooth, so that finite differences mean something, and bounded. */
const steps: readonly ((a: Tensor, b: Tensor) => Tensor)[] = [
  (a, b) => add(a, b),
  (a, b) => sub(a, b),
  (a, b) => mul(tanh(a), b),
  (a, b) => div(a, add(square(b), 1)),
  (a, b) => matmul(sigmoid(a), b),
  (a, b) => matmul(swapLast(a), tanh(b)),
  (a, b) => mul(softmax(a, { axis: 1 }), b),
  (a, b) => softmax(add(a, b), { axis: 0 }),
  (a, b) => sub(a, mean(b, { axes: [0], keep: true })),
  (a, b) => mul(a, sum(tanh(b), { axes: [1], keep: true })),
  (a, b) => concat([slice(a, { axis: 1, start: 1, end: 3 }), slice(b, { axis: 1, start: 0, end: 1 })], { axis: 1 }),
  (a, b) =>
    reshape(concat([slice(a, { axis: 0, start: 0, end: 1 }), slice(b, { axis: 0, start: 1, end: 3 })], { axis: 0 }), {
      shape: [3, 3],
    }),
  (a, b) => softplus(sub(a, neg(b))),
  (a, b) => mul(exp(neg(square(a))), sqrt(add(square(b), 1))),
];
const step = fc.record({ way: fc.nat(steps.length - 1), a: fc.nat(), b: fc.nat() });

const draw = (seed: number): NdArray => {
  const random = seeded(seed);
  return ndarray(
    Float64Array.from({ length: 9 }, () => 2 * random() - 1),
    [3, 3],
  );
};

test('gradients of random graphs equal finite differences in random directions, before and after the passes', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), fc.nat(1e6), (program, seed) => {
      const g = createGraph();
      const leaves = ['p', 'q'].map((name) => g.parameter(name, [3, 3], { kind: 'constant', value: 0 }));
      const made = [...leaves];
      for (const { way, a, b } of program) made.push(steps[way]!(made[a % made.length]!, made[b % made.length]!));
      const loss = mean(square(made.at(-1)!), { axes: [0, 1] });
      const names = leaves.map(leafName);
      const found = gradients(loss, leaves, { allowUnused: true });

      const feeds = Object.fromEntries(names.map((name, i) => [name, draw(seed + i)]));
      const direction = Object.fromEntries(names.map((name, i) => [name, draw(seed + 10 + i).data]));
      const exact = evaluate(found, feeds);
      const along = exact.reduce(
        (total, { data }, i) => total + data.reduce((dot, value, j) => dot + value * direction[names[i]!]![j]!, 0),
        0,
      );
      const size = 1e-5;
      const shifted = (by: number): number => {
        const moved = names.map((name) => [
          name,
          ndarray(
            feeds[name]!.data.map((value, j) => value + by * direction[name]![j]!),
            [3, 3],
          ),
        ]);
        return evaluate([loss], Object.fromEntries(moved) as Record<string, NdArray>)[0]!.data[0]!;
      };
      const difference = (shifted(size) - shifted(-size)) / (2 * size);
      expect(Math.abs(along - difference)).toBeLessThan(1e-6 * (1 + Math.abs(difference)));

      const graph = g.finish(Object.fromEntries(found.map((tensor, i) => [names[i]!, tensor])));
      verify(graph);
      let current = graph;
      for (const pass of [simplify, foldConstants, mergeEqual]) {
        current = pass.run(current);
        verify(current);
        const values = evaluate(
          names.map((name) => current.outputs[name]!),
          feeds,
        );
        for (const [i, { data }] of values.entries()) {
          for (const [j, value] of exact[i]!.data.entries())
            expect(Math.abs(data[j]! - value)).toBeLessThan(1e-12 * (1 + Math.abs(value)));
        }
      }
    }),
    { numRuns: 60, seed: 4 },
  );
});

describe('gradients', () => {
  const scalar = (name: string) => {
    const g = createGraph();
    return g.parameter(name, [1], { kind: 'constant', value: 0 });
  };

  test('a tensor used twice gets the sum of both', () => {
    const x = scalar('x');
    const [dx] = gradients(sum(add(square(x), mul(x, 3)), { axes: [0] }), [x]);
    expect(evaluate([dx!], { x: ndarray([5], [1]) })[0]!.data[0]).toBe(13);
  });

  test('nothing flows through a stopped gradient', () => {
    const x = scalar('x');
    const [dx] = gradients(sum(mul(x, stopGradient(x)), { axes: [0] }), [x]);
    expect(evaluate([dx!], { x: ndarray([5], [1]) })[0]!.data[0]).toBe(5);
  });

  test('a parameter that the loss does not depend on is an error, or zero where that is intended', () => {
    const [x, unused] = [scalar('x'), scalar('unused')];
    const loss = sum(x, { axes: [0] });
    expect(() => gradients(loss, [unused])).toThrow(/^unused: No gradient flows.*\[ND_GRADIENT_MISSING_RULE\]$/);
    const [zero] = gradients(loss, [unused], { allowUnused: true });
    expect(evaluate([zero!], { unused: ndarray([7], [1]) })[0]!.data[0]).toBe(0);
  });

  test('an op that lets no gradient through is named, with its place, even where unused parameters are allowed', () => {
    const w = createGraph().scope('model').scope('gate').parameter('weight', [1], { kind: 'constant', value: 0 });
    const x = scalar('x');
    const blocked = sum(mul(x, sign(mul(w, 2))), { axes: [0] });
    expect(() => gradients(blocked, [x, w], { allowUnused: true })).toThrow(
      /^model\/gate\/weight: .*: sign in model\/gate lets none through\. .*\[ND_GRADIENT_MISSING_RULE\]$/,
    );
    expect(() => gradients(sum(where(w, x, 1), { axes: [0] }), [w])).toThrow('where in model/gate lets none through');
    const [stopped] = gradients(sum(mul(x, stopGradient(w)), { axes: [0] }), [w], { allowUnused: true });
    expect(evaluate([stopped!], { 'model/gate/weight': ndarray([7], [1]) })[0]!.data[0]).toBe(0);
  });

  test('has the shape of its tensor, even when the loss broadcasts it', () => {
    const g = createGraph();
    const x = g.parameter('x', [2, 1], { kind: 'constant', value: 0 });
    const [dx] = gradients(mean(add(x, g.input('z', [2, 3])), { axes: [0, 1] }), [x]);
    expect(dx!.shape).toEqual([2, 1]);
  });

  test('of equal maxima, the first operand gets it', () => {
    const [a, b] = [scalar('a'), scalar('b')];
    const found = gradients(sum(maximum(a, b), { axes: [0] }), [a, b]);
    const tie = { a: ndarray([2], [1]), b: ndarray([2], [1]) };
    expect(evaluate(found, tie).map(({ data }) => data[0])).toEqual([1, 0]);
  });

  test('flow through one of several outputs', () => {
    const g = createGraph({ batch: 2 });
    const [x, w, b, h0] = [g.input('x', [3, 2, 6]), g.input('w', [2, 6]), g.input('b', [6]), g.input('h0', [2, 2])];
    const { h } = gru(x, w, b, h0);
    expect(gradients(mean(h, { axes: [0, 1, 2] }), [w])[0]!.shape).toEqual([2, 6]);
  });
});

describe('fakeQuantize', () => {
  const scaling = { dtype: 'int8', scale: [0.1] } as const;
  const g = createGraph();
  const x = g.parameter('x', [5], { kind: 'constant', value: 0 });
  const feeds = { x: ndarray([-20, -0.26, 0.04, 0.26, 20], [5]) };
  const y = fakeQuantize(x, scaling);

  test('gives what quantizing and back gives', () => {
    const [fake, real] = evaluate([y, dequantizeLinear(quantizeLinear(x, scaling), scaling)], feeds);
    for (const [i, value] of real!.data.entries()) expect(fake!.data[i]).toBeCloseTo(value, 6);
    expect(real!.data[0]).toBeCloseTo(integerRange.int8[0] * 0.1, 6);
  });

  test('lets the gradient through inside the range and stops it outside', () => {
    expect([...evaluate(gradients(sum(y, { axes: [0] }), [x]), feeds)[0]!.data]).toEqual([0, 1, 1, 1, 0]);
  });
});
