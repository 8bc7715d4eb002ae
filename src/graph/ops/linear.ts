/** Matrix products and convolution. */
import { ShapeError } from '../../errors.js';
import { defineOp, type Binary, type BinaryWith, type Tensor, type Ternary } from '../ir.js';
import { at, broadcastPosition, fill } from '../ndarray.js';
import { broadcastShapes, size, staticDim, type Dim, type Shape } from '../shape.js';
import { concat, flip, pad, reshape, slice, swapLast, transpose } from './layout.js';
import { sum, sumTo } from './reduce.js';

/** All axes but the last as one. */
export const rows = (x: Tensor): Tensor => {
  const width = x.shape.at(-1)!;
  return reshape(x, { shape: [size(x.shape.slice(0, -1)), width] });
};

/** Matrix product over the last two axes; the axes before broadcast. `[…, rows, inner] · […, inner, columns]`. */
export const matmul: Binary = defineOp({
  name: 'matmul',
  inputs: ['x', 'w'],
  shape: ({ x, w }) => {
    if (x.length < 2 || w.length < 2 || x.at(-1) !== w.at(-2)) {
      throw new ShapeError({
        where: 'matmul',
        what: `x is [${x}] and w is [${w}], but the last axis of x must equal the last but one of w.`,
        mend: 'Transpose w, or change the width of the layer before.',
      });
    }
    return [...broadcastShapes('matmul', x.slice(0, -2), w.slice(0, -2)), x.at(-2)!, w.at(-1)!];
  },
  grad: ({ x, w }, { dy }) => {
    if (w.shape.length === 2) {
      // As one product of two matrices: with w turned around, ONNX Runtime would make one of each slice of dy.
      const dx = matmul(rows(dy), swapLast(w));
      return { x: reshape(dx, { shape: x.shape }), w: matmul(swapLast(rows(x)), rows(dy)) };
    }
    return { x: sumTo(matmul(dy, swapLast(w)), x.shape), w: sumTo(matmul(swapLast(x), dy), w.shape) };
  },
  onnx: () => ({ type: 'MatMul' }),
  run: ({ x, w }, _, [shape]) => {
    const inner = x.shape.at(-1)!;
    const columns = w.shape.at(-1)!;
    return fill(shape!, (index) => {
      const lead = index.slice(0, -2);
      const row = broadcastPosition(x, [...lead, index.at(-2)!, 0]);
      const column = broadcastPosition(w, [...lead, 0, index.at(-1)!]);
      let total = 0;
      for (let k = 0; k < inner; k++) total += x.data[row + k]! * w.data[column + k * columns]!;
      return total;
    });
  },
  samples: [
    [
      [2, 3],
      [3, 4],
    ],
    [
      [2, 2, 3],
      [3, 4],
    ],
    [
      [2, 2, 3],
      [2, 3, 2],
    ],
    [
      [1, 2, 3],
      [2, 3, 2],
    ],
  ],
  affine: true,
});

/** Matrix product plus bias in one node. `x [rows, inner]`, `w [inner, columns]`, `b [columns]`. Made by passes/fuse-bias.ts. */
export const gemm: Ternary = defineOp({
  name: 'gemm',
  inputs: ['x', 'w', 'b'],
  shape: ({ x, w, b }) => {
    if (x.length !== 2 || w.length !== 2 || x[1] !== w[0] || b.length !== 1 || b[0] !== w[1]) {
      throw new ShapeError({
        where: 'gemm',
        what: `[${x}] · [${w}] + [${b}] do not fit.`,
        mend: 'Use [rows, inner], [inner, columns], [columns].',
      });
    }
    return [x[0]!, w[1]!];
  },
  grad: ({ x, w }, { dy }) => ({ x: matmul(dy, swapLast(w)), w: matmul(swapLast(x), dy), b: sum(dy, { axes: [0] }) }),
  onnx: () => ({ type: 'Gemm' }),
  run: ({ x, w, b }, _, [shape]) => {
    const [inner, columns] = w.shape as [number, number];
    return fill(shape!, ([row, column]) => {
      let total = b.data[column!]!;
      for (let k = 0; k < inner; k++) total += x.data[row! * inner + k]! * w.data[k * columns + column!]!;
      return total;
    });
  },
  samples: [[[2, 3], [3, 4], [4]]],
  affine: true,
});

/** aᵀ·b in one node: `a [rows, p]`, `b [rows, q]` → `[p, q]`. Made by passes/fuse-cross.ts. */
export const cross: Binary = defineOp({
  name: 'cross',
  inputs: ['a', 'b'],
  shape: ({ a, b }) => {
    if (a.length !== 2 || b.length !== 2 || a[0] !== b[0]) {
      throw new ShapeError({
        where: 'cross',
        what: `[${a}] and [${b}] do not fit.`,
        mend: 'Use [rows, p], [rows, q].',
      });
    }
    return [a[1]!, b[1]!];
  },
  grad: ({ a, b }, { dy }) => ({ a: matmul(b, swapLast(dy)), b: matmul(a, dy) }),
  onnx: () => ({ type: 'Gemm', attributes: { transA: 1 } }),
  run: ({ a, b }, _, [shape]) => {
    const [p, q] = shape as [number, number];
    return fill(shape!, ([i, j]) => {
      let total = 0;
      for (let row = 0; row < a.shape[0]!; row++) total += a.data[row * p + i!]! * b.data[row * q + j!]!;
      return total;
    });
  },
  samples: [
    [
      [3, 2],
      [3, 4],
    ],
  ],
});

interface Dilation {
  /** Distance between the taps of the kernel, in time steps. */
  readonly dilation: number;
}

const outputLength = (x: Shape, w: Shape, dilation: number): number =>
  staticDim('conv1d', x, 2) - (staticDim('conv1d', w, 2) - 1) * dilation;

/** Convolution over the last axis, no padding, stride 1. `x [batch, in, time]`, `w [out, in, kernel]` → `[batch, out, time - (kernel - 1)·dilation]`. */
export const conv1d: BinaryWith<Dilation> = defineOp({
  name: 'conv1d',
  inputs: ['x', 'w'],
  shape: ({ x, w }, { dilation }: Dilation) => {
    if (x.length !== 3 || w.length !== 3 || x[1] !== w[1] || outputLength(x, w, dilation) < 1) {
      throw new ShapeError({
        where: 'conv1d',
        what: `x [${x}] and w [${w}] with dilation ${dilation} do not fit.`,
        mend: 'Use x [batch, in, time] and w [out, in, kernel], and a time longer than (kernel - 1)·dilation.',
      });
    }
    return [x[0]!, w[0]!, outputLength(x, w, dilation)];
  },
  grad: ({ x, w }, { dy, attributes: { dilation } }) => {
    const kernel = staticDim('conv1d', w.shape, 2);
    const reach = (kernel - 1) * dilation;
    const reversed = flip(transpose(w, { order: [1, 0, 2] }), { axis: 2 });
    const dx = conv1d(pad(dy, { axis: 2, before: reach, after: reach }), reversed, { dilation });
    return { x: dx, w: weightGradient(x, dy, kernel, dilation) };
  },
  onnx: ({ dilation }) => ({ type: 'Conv', attributes: { dilations: [dilation] } }),
  run: ({ x, w }, { dilation }, [shape]) =>
    fill(shape!, ([b, o, t]) => {
      let total = 0;
      for (let i = 0; i < w.shape[1]!; i++) {
        for (let k = 0; k < w.shape[2]!; k++) total += at(x, [b!, i, t! + k * dilation]) * at(w, [o!, i, k]);
      }
      return total;
    }),
  samples: [
    {
      shapes: [
        [2, 2, 7],
        [3, 2, 2],
      ],
      with: { dilation: 2 },
    },
    {
      shapes: [
        [1, 3, 5],
        [2, 3, 3],
      ],
      with: { dilation: 1 },
    },
  ],
});

/** dw as one product: every tap's stretch of x stacked, against dy. */
function weightGradient(x: Tensor, dy: Tensor, kernel: number, dilation: number): Tensor {
  const [, inputs] = x.shape as [Dim, number];
  const [, outputs, steps] = dy.shape as [Dim, number, number];
  const taps = Array.from({ length: kernel }, (_, k) =>
    slice(x, { axis: 2, start: k * dilation, end: k * dilation + steps }),
  );
  const stacked = concat(taps, { axis: 1 }); // [batch, kernel·in, time]
  const flat = (t: Tensor): Tensor => {
    const moved = transpose(t, { order: [1, 0, 2] }); // [channel, batch, time]
    return reshape(moved, { shape: [moved.shape[0]!, size(moved.shape.slice(1))] });
  };
  const product = matmul(flat(dy), swapLast(flat(stacked))); // [out, kernel·in]
  return transpose(reshape(product, { shape: [outputs, kernel, inputs] }), { order: [0, 2, 1] });
}
