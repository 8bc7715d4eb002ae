import { expect, test } from 'vitest';
import { add, castTo, concat, createGraph, exp, gelu, peakBytes, reshape, totalBytes } from '../../src/graph/index.js';

test('the peak is that of the widest place: leaves and outputs are brought by whoever runs the graph', () => {
  const g = createGraph();
  const x = g.input('x', [10]); // 40 bytes, not counted
  const wide = concat([gelu(x), x], { axis: 0 }); // 40, then 80
  const y = gelu(gelu(reshape(wide, { shape: [4, 5] }))); // 80 from the 80 before; the last 80 are the output
  expect(peakBytes(g.finish({ y }))).toBe(80 + 80);
});

test('what is read later stays', () => {
  const g = createGraph();
  const early = gelu(g.input('x', [100]));
  const late = gelu(gelu(gelu(early)));
  expect(peakBytes(g.finish({ y: gelu(late) }))).toBe(800);
  expect(peakBytes(g.finish({ y: gelu(add(late, early)) }))).toBe(1200);
});

test('an elementwise op writes over what nothing else reads, and element types count by their width', () => {
  const g = createGraph();
  const half = castTo(g.input('x', [100]), { dtype: 'float16' }); // 200
  const wide = castTo(half, { dtype: 'float32' }); // 400
  expect(peakBytes(g.finish({ y: gelu(exp(wide)) }))).toBe(600);
  expect(totalBytes([half, wide])).toBe(600);
});
