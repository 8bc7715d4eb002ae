import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  add,
  createGraph,
  dequantizeLinear,
  evaluate,
  fakeQuantize,
  foldConstants,
  gradients,
  gru,
  integerRange,
  maximum,
  mean,
  mergeEqual,
  mul,
  ndarray,
  quantizeLinear,
  sign,
  simplify,
  square,
  stopGradient,
  sum,
  verify,
  where,
  type Graph,
  type NdArray,
  type Tensor,
} from '../../src/graph/index.js';
import { draw, randomGraph, randomProgram } from './random-graph.js';

test('gradients of random graphs equal finite differences in random directions, before and after the passes', () => {
  fc.assert(
    fc.property(randomProgram, (program) => {
      const { graph, loss, feeds } = randomGraph(program);
      const outputs = (of: Graph): Tensor[] => [of.outputs['dp']!, of.outputs['dq']!];
      const direction = { p: draw(program.seed + 10).data, q: draw(program.seed + 11).data };
      const exact = evaluate(outputs(graph), feeds);
      const dot = (a: Float64Array, b: Float64Array): number => a.reduce((total, value, i) => total + value * b[i]!, 0);
      const along = dot(exact[0]!.data, direction.p) + dot(exact[1]!.data, direction.q);
      const size = 1e-5;
      const shifted = (by: number): number => {
        const moved = (name: 'p' | 'q'): NdArray => ({
          ...feeds[name]!,
          data: feeds[name]!.data.map((value, i) => value + by * direction[name][i]!),
        });
        return evaluate([loss], { p: moved('p'), q: moved('q') })[0]!.data[0]!;
      };
      const difference = (shifted(size) - shifted(-size)) / (2 * size);
      expect(Math.abs(along - difference)).toBeLessThan(1e-6 * (1 + Math.abs(difference)));

      verify(graph);
      let current = graph;
      for (const pass of [simplify, foldConstants, mergeEqual]) {
        current = pass.run(current);
        verify(current);
        for (const [i, { data }] of evaluate(outputs(current), feeds).entries()) {
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
  const y = fakeQuantize(x, 0.1, 0, { low: -128, high: 127 });

  test('gives what quantizing and back gives', () => {
    const [fake, real] = evaluate([y, dequantizeLinear(quantizeLinear(x, scaling), scaling)], feeds);
    for (const [i, value] of real!.data.entries()) expect(fake!.data[i]).toBeCloseTo(value, 6);
    expect(real!.data[0]).toBeCloseTo(integerRange.int8[0] * 0.1, 6);
  });

  test('lets the gradient through inside the range and stops it outside', () => {
    expect([...evaluate(gradients(sum(y, { axes: [0] }), [x]), feeds)[0]!.data]).toEqual([0, 1, 1, 1, 0]);
  });
});
