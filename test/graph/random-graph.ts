/** Small random graphs, as fast-check draws them: what every way to differentiate is compared on. */
import fc from 'fast-check';
import {
  add,
  attention,
  concat,
  createGraph,
  div,
  erf,
  exp,
  flip,
  gather,
  gelu,
  gemm,
  gradients,
  gru,
  leafName,
  lstm,
  matmul,
  mean,
  mul,
  ndarray,
  neg,
  reshape,
  rnn,
  sigmoid,
  sin,
  slice,
  softmax,
  softplus,
  sqrt,
  square,
  sub,
  sum,
  swapLast,
  tanh,
  type Graph,
  type NdArray,
  type Tensor,
} from '../../src/graph/index.js';
import { seeded } from './ops/samples.js';

const square3 = [3, 3];
const flat = (x: Tensor): Tensor => reshape(x, { shape: square3 });
const row = (x: Tensor, start: number): Tensor => slice(x, { axis: 0, start, end: start + 1 }); // [1, 3]
/** Rows as the steps of one window, for recurrent layers. `[3, columns]` → `[3, 1, columns]` */
const steps = (x: Tensor): Tensor => reshape(x, { shape: [3, 1, x.shape[1]!] });
const beside = (...pieces: Tensor[]): Tensor => concat(pieces, { axis: 1 });
const heads = (x: Tensor): Tensor => reshape(x, { shape: [1, ...square3] });

/** Ways to make a new [3, 3] tensor of two. Smooth, so that finite differences mean something, and bounded. */
const ways: readonly ((a: Tensor, b: Tensor) => Tensor)[] = [
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
  (a, b) => beside(slice(a, { axis: 1, start: 1, end: 3 }), slice(b, { axis: 1, start: 0, end: 1 })),
  (a, b) => flat(concat([row(a, 0), slice(b, { axis: 0, start: 1, end: 3 })], { axis: 0 })),
  (a, b) => softplus(sub(a, neg(b))),
  (a, b) => mul(exp(neg(square(a))), sqrt(add(square(b), 1))),
  (a, b) => gemm(tanh(a), b, reshape(row(a, 2), { shape: [3] })),
  (a, b) => add(gather(a, { axis: 1, indices: [2, 0, 0] }), flip(b, { axis: 0 })),
  (a, b) => sub(gelu(a), mul(sin(b), erf(a))),
  (a, b) => flat(attention(heads(a), heads(b), heads(tanh(a)), { scale: 0.5, chunk: 2 })),
  (a, b) => flat(rnn(steps(a), tanh(b), row(a, 1))),
  (a, b) => flat(gru(steps(beside(a, b, a)), tanh(beside(b, b, a)), reshape(a, { shape: [9] }), row(b, 0)).h),
  (a, b) => flat(lstm(steps(beside(a, b, b, a)), tanh(beside(b, a, b, a)), row(a, 0), row(b, 2)).h),
];

export interface RandomProgram {
  /** Each applies a way to two tensors made before, all taken modulo their number. */
  readonly steps: readonly { readonly way: number; readonly a: number; readonly b: number }[];
  readonly seed: number;
}

export const randomProgram: fc.Arbitrary<RandomProgram> = fc.record({
  steps: fc.array(fc.record({ way: fc.nat(ways.length - 1), a: fc.nat(), b: fc.nat() }), {
    minLength: 1,
    maxLength: 8,
  }),
  seed: fc.nat(1e6),
});

/** Values in [-1, 1], `[3, 3]`. */
export const draw = (seed: number): NdArray => {
  const random = seeded(seed);
  return ndarray(
    Float64Array.from({ length: 9 }, () => Math.fround(2 * random() - 1)),
    square3,
  );
};

export interface RandomGraph {
  /** Gives the loss as `loss` and the gradients of the parameters `p` and `q` as `dp` and `dq`. */
  readonly graph: Graph;
  readonly loss: Tensor;
  readonly feeds: Readonly<Record<string, NdArray>>;
}

/** What the program makes of two parameters, as a scalar. */
export function randomGraph({ steps: program, seed }: RandomProgram): RandomGraph {
  const g = createGraph();
  const parameters = ['p', 'q'].map((name) => g.parameter(name, square3, { kind: 'constant', value: 0 }));
  const made = [...parameters];
  for (const { way, a, b } of program) made.push(ways[way]!(made[a % made.length]!, made[b % made.length]!));
  const loss = mean(square(made.at(-1)!), { axes: [0, 1] });
  const found = gradients(loss, parameters, { allowUnused: true });
  const names = parameters.map(leafName);
  return {
    graph: g.finish({ ...Object.fromEntries(names.map((name, i) => [`d${name}`, found[i]!])), loss }),
    loss,
    feeds: Object.fromEntries(names.map((name, i) => [name, draw(seed + i)])),
  };
}
