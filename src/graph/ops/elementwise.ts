/** Ops that work element by element; two operands broadcast as in numpy. */
import {
  commonType,
  defineOp,
  toTensor,
  type Binary,
  type Operand,
  type Tensor,
  type Ternary,
  type Unary,
  type UnaryWith,
} from '../ir.js';
import { zip } from '../ndarray.js';
import { broadcastShapes } from '../shape.js';
import { sumTo } from './reduce.js';
import { erfOf } from './special.js';

/** Elementwise sum; shapes broadcast. */
export const add: Binary = defineOp({
  name: 'add',
  inputs: ['a', 'b'],
  shape: ({ a, b }) => broadcastShapes('add', a, b),
  grad: ({ a, b }, { dy }) => ({ a: sumTo(dy, a.shape), b: sumTo(dy, b.shape) }),
  onnx: () => ({ type: 'Add' }),
  run: ({ a, b }, _, [shape]) => zip((p, q) => p + q, a, b, shape!),
  samples: [
    [
      [2, 3],
      [2, 3],
    ],
    [[2, 3], [3]],
    [
      [2, 1],
      [1, 3],
    ],
  ],
  affine: true,
});

/** Elementwise difference; shapes broadcast. */
export const sub: Binary = defineOp({
  name: 'sub',
  inputs: ['a', 'b'],
  shape: ({ a, b }) => broadcastShapes('sub', a, b),
  grad: ({ a, b }, { dy }) => ({ a: sumTo(dy, a.shape), b: neg(sumTo(dy, b.shape)) }),
  onnx: () => ({ type: 'Sub' }),
  run: ({ a, b }, _, [shape]) => zip((p, q) => p - q, a, b, shape!),
  samples: [
    [
      [2, 3],
      [2, 3],
    ],
    [[2, 3], [3]],
    [
      [2, 1],
      [1, 3],
    ],
  ],
  affine: true,
});

/** Elementwise product; shapes broadcast. */
export const mul: Binary = defineOp({
  name: 'mul',
  inputs: ['a', 'b'],
  shape: ({ a, b }) => broadcastShapes('mul', a, b),
  grad: ({ a, b }, { dy }) => ({ a: sumTo(mul(dy, b), a.shape), b: sumTo(mul(dy, a), b.shape) }),
  onnx: () => ({ type: 'Mul' }),
  run: ({ a, b }, _, [shape]) => zip((p, q) => p * q, a, b, shape!),
  samples: [
    [
      [2, 3],
      [2, 3],
    ],
    [[2, 3], [3]],
    [
      [2, 1],
      [1, 3],
    ],
  ],
  affine: true,
});

/** Elementwise quotient; shapes broadcast. */
export const div: Binary = defineOp({
  name: 'div',
  inputs: ['a', 'b'],
  shape: ({ a, b }) => broadcastShapes('div', a, b),
  grad: ({ a, b }, { y, dy }) => ({ a: sumTo(div(dy, b), a.shape), b: neg(sumTo(div(mul(dy, y), b), b.shape)) }),
  onnx: () => ({ type: 'Div' }),
  run: ({ a, b }, _, [shape]) => zip((p, q) => p / q, a, b, shape!),
  samples: [
    [
      [2, 3],
      [2, 3],
    ],
    [[2, 3], [3]],
    [
      [2, 1],
      [1, 3],
    ],
  ],
  domain: [0.5, 2],
});

/** The larger of two; where they are equal the gradient goes to the first. */
export const maximum: Binary = defineOp({
  name: 'maximum',
  inputs: ['a', 'b'],
  shape: ({ a, b }) => broadcastShapes('maximum', a, b),
  grad: ({ a, b }, { dy }) => {
    const second = greater(b, a);
    return { a: sumTo(mul(dy, sub(1, second)), a.shape), b: sumTo(mul(dy, second), b.shape) };
  },
  onnx: () => ({ type: 'Max' }),
  run: ({ a, b }, _, [shape]) => zip(Math.max, a, b, shape!),
  samples: [
    [
      [2, 3],
      [2, 3],
    ],
    [[2, 3], [3]],
  ],
});

/** 1 where a > b, else 0. Flat almost everywhere. */
export const greater: Binary = defineOp({
  name: 'greater',
  inputs: ['a', 'b'],
  shape: ({ a, b }) => broadcastShapes('greater', a, b),
  grad: 'none',
  onnx: (_, emit, { inputs, outputs }) => {
    const [mask] = emit.node('Greater', inputs);
    emit.node('Cast', [mask!], { attributes: { to: 1 }, outputs });
  },
  run: ({ a, b }, _, [shape]) => zip((p, q) => (p > q ? 1 : 0), a, b, shape!),
  samples: [
    [
      [2, 3],
      [2, 3],
    ],
    [[2, 3], [3]],
  ],
});

/** 1 where a = b, else 0. Flat almost everywhere. */
export const equal: Binary = defineOp({
  name: 'equal',
  inputs: ['a', 'b'],
  shape: ({ a, b }) => broadcastShapes('equal', a, b),
  grad: 'none',
  onnx: (_, emit, { inputs, outputs }) => {
    const [mask] = emit.node('Equal', inputs);
    emit.node('Cast', [mask!], { attributes: { to: 1 }, outputs });
  },
  run: ({ a, b }, _, [shape]) => zip((p, q) => (p === q ? 1 : 0), a, b, shape!),
  samples: [
    [
      [2, 3],
      [2, 3],
    ],
    [[2, 3], [3]],
  ],
});

/** a where the mask is not 0, else b. Unlike a product with the mask, it keeps NaN and infinity of the other side out. */
export const where: Ternary = defineOp({
  name: 'where',
  inputs: ['mask', 'a', 'b'],
  dtype: ([, a, b]) => commonType({ name: 'where' }, [a!, b!]),
  shape: ({ mask, a, b }) => broadcastShapes('where', mask, broadcastShapes('where', a, b)),
  grad: ({ mask, a, b }, { dy }) => ({ a: sumTo(where(mask, dy, 0), a.shape), b: sumTo(where(mask, 0, dy), b.shape) }),
  onnx: (_, emit, { inputs: [mask, a, b], outputs }) => {
    const [condition] = emit.node('Cast', [mask!], { attributes: { to: 9 } });
    emit.node('Where', [condition!, a!, b!], { outputs });
  },
  run: ({ mask, a, b }, _, [shape]) => {
    const first = zip((m, value) => (m === 0 ? Number.NaN : value), mask, a, shape!);
    const second = zip((m, value) => (m === 0 ? value : Number.NaN), mask, b, shape!);
    return first.map((value, i) => (Number.isNaN(value) ? second[i]! : value));
  },
  samples: [
    [
      [2, 3],
      [2, 3],
      [2, 3],
    ],
    [[2, 1], [2, 3], [3]],
  ],
});

/** Of float32. */
const largestFloat = 2 ** 128 - 2 ** 104;

/** x where `by` > 0, else 0: the backward pass of every op that cuts at zero. */
export const gate: Binary = defineOp({
  name: 'gate',
  inputs: ['x', 'by'],
  shape: ({ x, by }) => broadcastShapes('gate', x, by),
  grad: ({ x, by }, { dy }) => ({ x: sumTo(gate(dy, by), x.shape) }),
  onnx: (_, emit, { node, inputs: [x, by], outputs }) => {
    const { dtype } = node.outputs[0]!;
    if (dtype === 'float32') {
      // 0 below and 1 above, exactly: a quarter of the time of Greater and Where.
      const [mask] = emit.node('HardSigmoid', [by!], {
        attributes: { alpha: { float: largestFloat }, beta: { float: 0 } },
      });
      emit.node('Mul', [x!, mask!], { outputs });
      return;
    }
    const zero = emit.scalar(0, dtype); // `alpha` would be infinite as a half, and infinity times 0 is not a number
    const [mask] = emit.node('Greater', [by!, zero]);
    emit.node('Where', [mask!, x!, zero], { outputs });
  },
  run: ({ x, by }, _, [shape]) => zip((value, key) => (key > 0 ? value : 0), x, by, shape!),
  samples: [
    [
      [2, 3],
      [2, 3],
    ],
  ],
});

/** -x. */
export const neg: Unary = defineOp({
  name: 'neg',
  inputs: ['x'],
  shape: ({ x }) => x,
  grad: (_, { dy }) => ({ x: neg(dy) }),
  onnx: () => ({ type: 'Neg' }),
  run: ({ x }) => x.data.map((v) => -v),
  samples: [[[2, 3]]],
  affine: true,
});

/** e^x. */
export const exp: Unary = defineOp({
  name: 'exp',
  inputs: ['x'],
  shape: ({ x }) => x,
  grad: (_, { y, dy }) => ({ x: mul(dy, y) }),
  onnx: () => ({ type: 'Exp' }),
  run: ({ x }) => x.data.map(Math.exp),
  samples: [[[2, 3]]],
});

/** Natural logarithm. */
export const log: Unary = defineOp({
  name: 'log',
  inputs: ['x'],
  shape: ({ x }) => x,
  grad: ({ x }, { dy }) => ({ x: div(dy, x) }),
  onnx: () => ({ type: 'Log' }),
  run: ({ x }) => x.data.map(Math.log),
  samples: [[[2, 3]]],
  domain: [0.5, 2],
});

/** Square root. */
export const sqrt: Unary = defineOp({
  name: 'sqrt',
  inputs: ['x'],
  shape: ({ x }) => x,
  grad: (_, { y, dy }) => ({ x: div(mul(dy, 0.5), y) }),
  onnx: () => ({ type: 'Sqrt' }),
  run: ({ x }) => x.data.map(Math.sqrt),
  samples: [[[2, 3]]],
  domain: [0.5, 2],
});

/** |x|; its slope at 0 is 0, as in PyTorch. */
export const abs: Unary = defineOp({
  name: 'abs',
  inputs: ['x'],
  shape: ({ x }) => x,
  grad: ({ x }, { dy }) => ({ x: mul(dy, sign(x)) }),
  onnx: () => ({ type: 'Abs' }),
  run: ({ x }) => x.data.map(Math.abs),
  samples: [[[2, 3]]],
});

/** -1, 0 or 1. Flat almost everywhere. */
export const sign: Unary = defineOp({
  name: 'sign',
  inputs: ['x'],
  shape: ({ x }) => x,
  grad: 'none',
  onnx: () => ({ type: 'Sign' }),
  run: ({ x }) => x.data.map(Math.sign),
  samples: [[[2, 3]]],
});

/** Cosine, x in radians. */
export const cos: Unary = defineOp({
  name: 'cos',
  inputs: ['x'],
  shape: ({ x }) => x,
  grad: ({ x }, { dy }) => ({ x: neg(mul(dy, sin(x))) }),
  onnx: () => ({ type: 'Cos' }),
  run: ({ x }) => x.data.map(Math.cos),
  samples: [[[2, 3]]],
});

/** Sine, x in radians. */
export const sin: Unary = defineOp({
  name: 'sin',
  inputs: ['x'],
  shape: ({ x }) => x,
  grad: ({ x }, { dy }) => ({ x: mul(dy, cos(x)) }),
  onnx: () => ({ type: 'Sin' }),
  run: ({ x }) => x.data.map(Math.sin),
  samples: [[[2, 3]]],
});

/** max(x, 0). */
export const relu: Unary = defineOp({
  name: 'relu',
  inputs: ['x'],
  shape: ({ x }) => x,
  grad: (_, { y, dy }) => ({ x: gate(dy, y) }),
  onnx: () => ({ type: 'Relu' }),
  run: ({ x }) => x.data.map((v) => Math.max(v, 0)),
  samples: [[[2, 3]]],
});

/** Logistic function. dy/dx = y (1 - y), so the gradient reuses the output. */
export const sigmoid: Unary = defineOp({
  name: 'sigmoid',
  inputs: ['x'],
  shape: ({ x }) => x,
  grad: (_, { y, dy }) => ({ x: mul(dy, sub(y, mul(y, y))) }),
  onnx: () => ({ type: 'Sigmoid' }),
  run: ({ x }) => x.data.map((v) => 1 / (1 + Math.exp(-v))),
  samples: [[[2, 3]]],
});

/** Hyperbolic tangent. dy/dx = 1 - y². */
export const tanh: Unary = defineOp({
  name: 'tanh',
  inputs: ['x'],
  shape: ({ x }) => x,
  grad: (_, { y, dy }) => ({ x: mul(dy, sub(1, mul(y, y))) }),
  onnx: () => ({ type: 'Tanh' }),
  run: ({ x }) => x.data.map(Math.tanh),
  samples: [[[2, 3]]],
});

/** log(1 + e^x), without overflow. */
export const softplus: Unary = defineOp({
  name: 'softplus',
  inputs: ['x'],
  shape: ({ x }) => x,
  grad: ({ x }, { dy }) => ({ x: mul(dy, sigmoid(x)) }),
  onnx: () => ({ type: 'Softplus' }),
  run: ({ x }) => x.data.map((v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)))),
  samples: [[[2, 3]]],
});

/** The error function. dy/dx = 2/√π e^(-x²). */
export const erf: Unary = defineOp({
  name: 'erf',
  inputs: ['x'],
  shape: ({ x }) => x,
  grad: ({ x }, { dy }) => ({ x: mul(dy, mul(exp(neg(mul(x, x))), 2 / Math.sqrt(Math.PI))) }),
  onnx: () => ({ type: 'Erf' }),
  run: ({ x }) => x.data.map(erfOf),
  samples: [[[2, 3]]],
});

/** x Φ(x), with the exact normal distribution function (https://arxiv.org/abs/1606.08415). */
export const gelu: Unary = defineOp({
  name: 'gelu',
  inputs: ['x'],
  shape: ({ x }) => x,
  grad: ({ x }, { dy }) => {
    const probability = mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5);
    const density = mul(exp(mul(mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return { x: mul(dy, add(probability, mul(x, density))) };
  },
  onnx: () => ({ type: 'Gelu' }),
  run: ({ x }) => x.data.map((v) => v * 0.5 * (1 + erfOf(v * Math.SQRT1_2))),
  samples: [[[2, 3]]],
});

/** x, or alpha (e^x - 1) below zero. */
export const elu: UnaryWith<{ alpha: number }> = defineOp({
  name: 'elu',
  inputs: ['x'],
  shape: ({ x }) => x,
  grad: ({ x }, { y, dy, attributes: { alpha } }) => ({ x: where(greater(x, 0), dy, mul(dy, add(y, alpha))) }),
  onnx: ({ alpha }: { alpha: number }) => ({ type: 'Elu', attributes: { alpha: { float: alpha } } }),
  run: ({ x }, { alpha }) => x.data.map((v) => (v > 0 ? v : alpha * Math.expm1(v))),
  samples: [{ shapes: [[2, 3]], with: { alpha: 1.5 } }],
});

/** x; lets no gradient through. */
export const stopGradient: Unary = defineOp({
  name: 'stopGradient',
  inputs: ['x'],
  shape: ({ x }) => x,
  grad: 'none',
  onnx: () => ({ type: 'Identity' }),
  run: ({ x }) => x.data,
  samples: [[[2, 3]]],
  affine: true,
});

/** x². */
export const square = (x: Operand): Tensor => mul(x, x);

/** The sum of one or more tensors. */
export const addAll = (terms: readonly Tensor[]): Tensor =>
  terms.slice(1).reduce((sum, term) => add(sum, term), toTensor(terms[0]!));
