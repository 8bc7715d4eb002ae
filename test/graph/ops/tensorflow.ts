/**
 * TensorFlow.js as an oracle: an independent implementation of the ops and of their gradients.
 * `@tensorflow/tfjs-node` is used where it is installed.
 */
import type * as TensorFlow from '@tensorflow/tfjs';
import { topological, type Tensor as GraphTensor } from '../../../src/graph/ir.js';
import type { NdArray } from '../../../src/graph/ndarray.js';
import { constantValues, leafName } from '../../../src/graph/ops/leaf.js';

const native: string = '@tensorflow/tfjs-node'; // a string to the compiler, which need not find it
const { default: tf } = await import(native)
  .catch(() => import('@tensorflow/tfjs'))
  .then((module) => module as { default: typeof TensorFlow });
tf.env().set('IS_TEST', true); // no advertisement on the terminal

export type Tensor = TensorFlow.Tensor;
type Tensor3D = TensorFlow.Tensor3D;
type Attributes = Record<string, number> & {
  readonly axes: number[];
  readonly indices: number[];
  readonly keep?: boolean;
  readonly order: number[];
  readonly shape: number[];
};
/** All outputs of the op; inputs and attributes as our op takes them. */
type Oracle = (inputs: Tensor[], attributes: Attributes) => Tensor | Tensor[];

/** Of the logistic function, from its value. */
const slope = (y: Tensor): Tensor => tf.mul(y, tf.sub(1, y));
const asOne = (mask: Tensor): Tensor => tf.cast(mask, 'float32');
const onAxis = <T>(x: Tensor, axis: number, other: T, chosen: T): T[] =>
  x.shape.map((_, i) => (i === (axis + x.rank) % x.rank ? chosen : other));

export const oracles: Record<string, Oracle> = {
  add: ([a, b]) => tf.add(a!, b!),
  sub: ([a, b]) => tf.sub(a!, b!),
  mul: ([a, b]) => tf.mul(a!, b!),
  div: ([a, b]) => tf.div(a!, b!),
  maximum: ([a, b]) => tf.maximum(...sameShape(a!, b!)),
  greater: ([a, b]) => asOne(tf.greater(a!, b!)),
  equal: ([a, b]) => asOne(tf.equal(a!, b!)),
  where: ([mask, a, b]) => tf.where(tf.notEqual(mask!, 0), a!, b!),
  gate: ([x, by]) => tf.where(tf.greater(by!, 0), x!, 0),
  neg: ([x]) => tf.neg(x!),
  exp: ([x]) => tf.exp(x!),
  log: ([x]) => tf.log(x!),
  sqrt: ([x]) => tf.sqrt(x!),
  abs: ([x]) => tf.abs(x!),
  sign: ([x]) => tf.sign(x!),
  cos: ([x]) => tf.cos(x!),
  sin: ([x]) => tf.sin(x!),
  relu: ([x]) => tf.relu(x!),
  sigmoid: ([x]) => tf.sigmoid(x!),
  tanh: ([x]) => tf.tanh(x!),
  softplus: ([x]) => tf.softplus(x!),
  erf: ([x]) => tf.erf(x!),
  gelu: ([x]) => tf.mul(tf.mul(x!, 0.5), tf.add(1, tf.erf(tf.div(x!, Math.SQRT2)))),
  elu: ([x], { alpha }) => tf.add(tf.relu(x!), tf.mul(alpha!, tf.expm1(tf.neg(tf.relu(tf.neg(x!)))))),
  stopGradient: ([x]) => tf.clone(x!),

  reshape: ([x], { shape }) => tf.reshape(x!, shape),
  broadcastTo: ([x], { shape }) => tf.broadcastTo(x!, shape),
  transpose: ([x], { order }) => tf.transpose(x!, order),
  slice: ([x], { axis, start, end }) =>
    tf.slice(x!, onAxis(x!, axis!, 0, start!), onAxis(x!, axis!, -1, end! - start!)),
  pad: ([x], { axis, before, after, value = 0 }) =>
    tf.pad(x!, onAxis<[number, number]>(x!, axis!, [0, 0], [before!, after!]), value),
  flip: ([x], { axis }) => tf.reverse(x!, axis),
  concat: (pieces, { axis }) => tf.concat(pieces, axis),
  gather: ([x], { axis, indices }) => tf.gather(x!, tf.tensor1d(indices, 'int32'), axis),

  matmul: ([x, w]) => product(x!, w!),
  cross: ([a, b]) => tf.matMul(a!, b!, true),
  gemm: ([x, w, b]) => tf.add(tf.matMul(x!, w!), b!),
  conv1d: ([x, w], { dilation }) => {
    const kernel = tf.transpose(spread(w!, dilation!), [2, 1, 0]) as Tensor3D; // [kernel, in, out]
    const series = tf.transpose(x!, [0, 2, 1]) as Tensor3D; // [batch, time, in]
    return tf.transpose(tf.conv1d(series, kernel, 1, 'valid'), [0, 2, 1]);
  },

  sum: ([x], { axes, keep }) => tf.sum(x!, axes, keep),
  mean: ([x], { axes, keep }) => tf.mean(x!, axes, keep),
  max: ([x], { axis }) => tf.max(x!, axis),
  firstMax: ([x], { axis }) => {
    const last = x!.rank - 1;
    const order = onAxis(x!, axis!, -1, last); // oneHot puts its axis last
    let rest = 0;
    return tf.transpose(
      asOne(tf.oneHot(tf.cast(tf.argMax(x!, axis), 'int32'), x!.shape.at(axis!)!)),
      order.map((place) => (place < 0 ? rest++ : place)),
    );
  },
  softmax: ([x], { axis }) => {
    const order = x!.shape.map((_, i) => i);
    const along = (axis! + x!.rank) % x!.rank;
    [order[along], order[x!.rank - 1]] = [x!.rank - 1, along]; // softmax knows the last axis alone; the swap undoes itself
    return tf.transpose(tf.softmax(tf.transpose(x!, order)), order);
  },
  normalizeRows: ([x, weight, bias], { eps }) => {
    const { mean, variance } = tf.moments(x!, -1, true);
    const inverse = tf.rsqrt(tf.add(variance, eps!));
    return [tf.add(tf.mul(tf.mul(tf.sub(x!, mean), inverse), weight!), bias!), mean, inverse];
  },
  sort: ([x]) => tf.reverse(tf.topk(x!, x!.shape.at(-1)).values, -1),

  rnn: ([x, w, h0]) => {
    let h = h0!;
    return tf.stack(tf.unstack(x!).map((input) => (h = tf.tanh(tf.add(input, tf.matMul(h, w!))))));
  },
  attention: ([q, k, v], { scale }) => tf.matMul(tf.softmax(tf.mul(tf.matMul(q!, k!, false, true), scale!)), v!),
  multiHeadAttention: ([q, k, v], { heads, scale }) => {
    const apart = (x: Tensor): Tensor =>
      tf.transpose(tf.reshape(x, [x.shape[0], x.shape[1]!, heads!, x.shape[2]! / heads!]), [0, 2, 1, 3]);
    const weights = tf.softmax(tf.mul(tf.matMul(apart(q!), apart(k!), false, true), scale!));
    return tf.reshape(tf.transpose(tf.matMul(weights, apart(v!)), [0, 2, 1, 3]), q!.shape);
  },

  gru: ([x, w, b, h0]) => {
    let h = h0!;
    const steps = tf.unstack(x!).map((input) => {
      const [xr, xz, xn] = tf.split(input, 3, 1);
      const [hr, hz, hn] = tf.split(tf.add(tf.matMul(h, w!), b!), 3, 1);
      const r = tf.sigmoid(tf.add(xr!, hr!));
      const z = tf.sigmoid(tf.add(xz!, hz!));
      const n = tf.tanh(tf.add(xn!, tf.mul(r, hn!)));
      const before = h;
      h = tf.add(tf.mul(tf.sub(1, z), n), tf.mul(z, h));
      const kn = tf.mul(tf.sub(1, z), tf.sub(1, tf.square(n)));
      const kr = tf.mul(tf.mul(kn, hn!), slope(r));
      const k = tf.concat([kr, tf.mul(tf.sub(before, n), slope(z)), tf.mul(kn, r)], 1);
      return [h, before, z, kn, k];
    });
    return overTime(steps);
  },
  lstm: ([x, w, h0, c0]) => {
    let [h, c] = [h0!, c0!];
    const steps = tf.unstack(x!).map((input) => {
      const parts = tf.split(tf.add(input, tf.matMul(h, w!)), 4, 1);
      const [i, f, o] = [parts[0]!, parts[1]!, parts[3]!].map((part) => tf.sigmoid(part)) as [Tensor, Tensor, Tensor];
      const g = tf.tanh(parts[2]!);
      const before = h;
      const kf = tf.mul(c, slope(f));
      c = tf.add(tf.mul(f, c), tf.mul(i, g));
      const seen = tf.tanh(c);
      h = tf.mul(o, seen);
      const kg = tf.mul(i, tf.sub(1, tf.square(g)));
      return [h, before, f, tf.mul(o, tf.sub(1, tf.square(seen))), tf.mul(g, slope(i)), kf, kg, tf.mul(seen, slope(o))];
    });
    return [...overTime(steps), c];
  },
};

/** Where TensorFlow.js does not differentiate through a broadcast, both are spread out before. */
function sameShape(a: Tensor, b: Tensor): [Tensor, Tensor] {
  const shape = tf.broadcast_util.assertAndGetBroadcastShape(a.shape, b.shape);
  return [tf.broadcastTo(a, shape), tf.broadcastTo(b, shape)];
}

/** The same for the axes before the last two. */
function product(x: Tensor, w: Tensor): Tensor {
  const lead = tf.broadcast_util.assertAndGetBroadcastShape(x.shape.slice(0, -2), w.shape.slice(0, -2));
  const wide = (t: Tensor): Tensor => tf.broadcastTo(t, [...lead, ...t.shape.slice(-2)]);
  return tf.matMul(wide(x), wide(w));
}

/** A kernel with zeros between its taps instead of a dilation, through which TensorFlow.js cannot differentiate. */
function spread(w: Tensor, dilation: number): Tensor {
  const [outputs, inputs, taps] = w.shape as [number, number, number];
  const padded = tf.pad(tf.reshape<TensorFlow.Rank.R2>(w, [outputs * inputs * taps, 1]), [[0, 0], [0, dilation - 1]]); // prettier-ignore
  return tf.slice(tf.reshape(padded, [outputs, inputs, taps * dilation]), [0, 0, 0], [-1, -1, (taps - 1) * dilation + 1]); // prettier-ignore
}

/** From outputs per step to steps per output. */
const overTime = (steps: readonly Tensor[][]): Tensor[] =>
  steps[0]!.map((_, output) => tf.stack(steps.map((step) => step[output]!)));

type Leaves = Readonly<Record<string, Tensor>>;

const leavesOf = (feeds: Readonly<Record<string, NdArray>>): Leaves =>
  Object.fromEntries(
    Object.entries(feeds).map(([name, { data, shape }]) => [name, tf.tensor(Float32Array.from(data), [...shape])]),
  );

function run(outputs: readonly GraphTensor[], leaves: Leaves): Tensor[] {
  const values = new Map<GraphTensor, Tensor>();
  for (const { op, inputs, attributes, outputs: made } of topological(outputs)) {
    const constant = constantValues(made[0]!);
    if (constant !== undefined)
      values.set(made[0]!, tf.tensor(Float32Array.from(constant), made[0]!.shape as number[]));
    else if (inputs.length === 0) values.set(made[0]!, leaves[leafName(made[0]!)]!);
    else {
      const found = oracles[op.name]!(inputs.map((input) => values.get(input)!), attributes as Attributes); // prettier-ignore
      for (const [i, value] of [found].flat().entries()) values.set(made[i]!, value);
    }
  }
  return outputs.map((output) => values.get(output)!);
}

/** What `evaluate` gives, with the oracles for kernels. */
export const evaluateInTensorFlow = (
  outputs: readonly GraphTensor[],
  feeds: Readonly<Record<string, NdArray>>,
): Tensor[] => run(outputs, leavesOf(feeds));

/** What `gradients` gives and `evaluate` works out, but differentiated by TensorFlow.js. `wrt` are leaves. */
export function gradientsInTensorFlow(
  loss: GraphTensor,
  wrt: readonly GraphTensor[],
  feeds: Readonly<Record<string, NdArray>>,
): Tensor[] {
  const leaves = leavesOf(feeds);
  const names = wrt.map(leafName);
  const lossAt = (...at: Tensor[]): Tensor => {
    const [value] = run([loss], { ...leaves, ...Object.fromEntries(names.map((name, i) => [name, at[i]!])) });
    return tf.addN([value!, ...at.map((x) => tf.sum(tf.mul(x, 0)))]); // it insists that the loss depends on each
  };
  return tf.grads(lossAt)(names.map((name) => leaves[name]!));
}
