import { expect, test } from 'vitest';
import { constant, createGraph, gru, mul, printGraph, softmax } from '../../src/graph/index.js';

test('one line per node, named by its leaf or by a number', () => {
  const g = createGraph();
  const x = g.input('x', ['batch', 3]);
  const mean = g.state('mean', [3], { kind: 'constant', value: 0 });
  g.update(mean, mul(mean, 0.5));
  const y = softmax(mul(mul(x, g.scope('out').parameter('weight', [3], { kind: 'constant', value: 1 })), mean), {
    axis: 1,
  });
  expect(printGraph(g.finish({ y }))).toBe(`x = input({"shape":["batch",3]}) [batch,3]
out/weight = parameter({"shape":[3],"init":{"kind":"constant","value":1}}) [3]
%2 = mul(x, out/weight) [batch,3]
mean = state({"shape":[3],"init":{"kind":"constant","value":0}}) [3]
%4 = mul(%2, mean) [batch,3]
%5 = softmax(%4, {"axis":1}) [batch,3]
%6 = constant({"data":"0.5","shape":[],"dtype":"float32"}) []
%7 = mul(mean, %6) [3]
return y = %5
return update mean = %7
`);
});

test('a long constant is a count and a sum', () => {
  const g = createGraph();
  const text = printGraph(g.finish({ y: mul(g.input('x', [9]), constant([1, 2, 3, 4, 5, 6, 7, 8, 9])) }));
  expect(text).toContain('"data":"9 values, sum 45.0000"');
});

test('a node with several outputs names them all', () => {
  const g = createGraph({ batch: 2 });
  const [x, w, b, h0] = [g.input('x', [3, 2, 6]), g.input('w', [2, 6]), g.input('b', [6]), g.input('h0', [2, 2])];
  expect(printGraph(g.finish({ y: gru(x, w, b, h0).h }))).toContain('%4, %5, %6, %7, %8 = gru(x, w, b, h0)');
});
