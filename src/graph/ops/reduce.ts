/** Ops that fold axes away, and the way back. */
import { NeuroDivergentError } from '../../errors.js';
import { defineOp, type Tensor, type Unary, type UnaryWith } from '../ir.js';
import { at, fill, reduce } from '../ndarray.js';
import { normalizeAxis, sameShape, staticDim, type Shape } from '../shape.js';
import { div, exp, log, mul, sub } from './elementwise.js';
import { broadcastTo, reshape } from './layout.js';

interface Axes {
  readonly axes: readonly number[];
  /** Keep the folded axes with size 1. */
  readonly keep?: boolean;
}

const folded = (where: string, shape: Shape, { axes, keep = false }: Axes): Shape => {
  const positive = axes.map((axis) => normalizeAxis(where, shape, axis));
  return keep
    ? shape.map((dim, axis) => (positive.includes(axis) ? 1 : dim))
    : shape.filter((_, axis) => !positive.includes(axis));
};
const kept = (x: Tensor, { axes }: Axes): Shape => folded('sum', x.shape, { axes, keep: true });
const positiveAxes = (shape: Shape, axes: readonly number[]): number[] =>
  axes.map((axis) => normalizeAxis('sum', shape, axis));

/** Sum over axes. */
export const sum: UnaryWith<Axes> = defineOp({
  name: 'sum',
  inputs: ['x'],
  shape: ({ x }, attributes: Axes) => folded('sum', x, attributes),
  grad: ({ x }, { dy, attributes }) => ({
    x: broadcastTo(reshape(dy, { shape: kept(x, attributes) }), { shape: x.shape }),
  }),
  onnx: ({ axes, keep = false }, emit, { inputs, outputs }) => {
    emit.node('ReduceSum', [inputs[0]!, emit.ints(axes)], { attributes: { keepdims: keep ? 1 : 0 }, outputs });
  },
  run: ({ x }, { axes }) => reduce(x, positiveAxes(x.shape, axes), 0, (acc, value) => acc + value),
  samples: [
    { shapes: [[2, 3, 4]], with: { axes: [1] } },
    { shapes: [[2, 3]], with: { axes: [0, 1], keep: true } },
  ],
});

/** Mean over axes of fixed size. */
export const mean: UnaryWith<Axes> = defineOp({
  name: 'mean',
  inputs: ['x'],
  shape: ({ x }, attributes: Axes) => folded('mean', x, attributes),
  grad: ({ x }, { dy, attributes }) => {
    const count = positiveAxes(x.shape, attributes.axes).reduce((n, axis) => n * staticDim('mean', x.shape, axis), 1);
    return { x: broadcastTo(reshape(mul(dy, 1 / count), { shape: kept(x, attributes) }), { shape: x.shape }) };
  },
  onnx: ({ axes, keep = false }, emit, { inputs, outputs }) => {
    emit.node('ReduceMean', [inputs[0]!, emit.ints(axes)], { attributes: { keepdims: keep ? 1 : 0 }, outputs });
  },
  run: ({ x }, { axes }, [shape]) => {
    const total = reduce(x, positiveAxes(x.shape, axes), 0, (acc, value) => acc + value);
    const count =
      x.data.length /
      Math.max(
        shape!.reduce((product, dim) => product * dim, 1),
        1,
      );
    return total.map((value) => value / count);
  },
  samples: [
    { shapes: [[2, 3, 4]], with: { axes: [1] } },
    { shapes: [[2, 3]], with: { axes: [-1], keep: true } },
  ],
});

interface Axis {
  readonly axis: number;
}

/** Maximum along one axis, which is dropped. Among equals the first gets the gradient, as in PyTorch's pooling. */
export const max: UnaryWith<Axis> = defineOp({
  name: 'max',
  inputs: ['x'],
  shape: ({ x }, { axis }: Axis) => folded('max', x, { axes: [axis] }),
  grad: ({ x }, { dy, attributes: { axis } }) => {
    const spread = reshape(dy, { shape: folded('max', x.shape, { axes: [axis], keep: true }) });
    return { x: mul(spread, firstMax(x, { axis })) };
  },
  onnx: ({ axis }, emit, { inputs, outputs }) => {
    emit.node('ReduceMax', [inputs[0]!, emit.ints([axis])], { attributes: { keepdims: 0 }, outputs });
  },
  run: ({ x }, { axis }) => reduce(x, positiveAxes(x.shape, [axis]), Number.NEGATIVE_INFINITY, Math.max),
  samples: [
    { shapes: [[2, 3, 4]], with: { axis: 1 } },
    { shapes: [[2, 3]], with: { axis: -1 } },
  ],
});

/** 1 at the first largest element along an axis, else 0. Flat almost everywhere. */
export const firstMax: UnaryWith<Axis> = defineOp({
  name: 'firstMax',
  inputs: ['x'],
  shape: ({ x }, { axis }: Axis) => {
    normalizeAxis('firstMax', x, axis);
    return x;
  },
  grad: 'none',
  onnx: ({ axis }, emit, { node, inputs, outputs }) => {
    const [winner] = emit.node('ArgMax', inputs, { attributes: { axis, keepdims: 0 } });
    const depth = emit.ints([
      staticDim('firstMax', node.inputs[0]!.shape, normalizeAxis('firstMax', node.inputs[0]!.shape, axis)),
    ]);
    const values = emit.constant(Float32Array.of(0, 1), [2]);
    emit.node('OneHot', [winner!, depth, values], { attributes: { axis }, outputs });
  },
  run: ({ x }, { axis }, [shape]) => {
    const along = normalizeAxis('firstMax', x.shape, axis);
    return fill(shape!, (index) => {
      const values = Array.from({ length: x.shape[along]! }, (_, i) => at(x, index.with(along, i)));
      return values.indexOf(Math.max(...values)) === index[along] ? 1 : 0;
    });
  },
  samples: [
    { shapes: [[2, 3, 4]], with: { axis: 1 } },
    { shapes: [[2, 3]], with: { axis: -1 } },
  ],
});

/** Shares that add up to 1 along an axis. */
export const softmax: UnaryWith<Axis> = defineOp({
  name: 'softmax',
  inputs: ['x'],
  shape: ({ x }, { axis }: Axis) => {
    normalizeAxis('softmax', x, axis);
    return x;
  },
  grad: (_, { y, dy, attributes: { axis } }) => {
    const weighted = mul(dy, y);
    return { x: sub(weighted, mul(y, sum(weighted, { axes: [axis], keep: true }))) };
  },
  onnx: ({ axis }) => ({ type: 'Softmax', attributes: { axis } }),
  run: ({ x }, { axis }, [shape]) => {
    const along = normalizeAxis('softmax', x.shape, axis);
    const line = (index: readonly number[]): number[] =>
      Array.from({ length: x.shape[along]! }, (_, i) => at(x, index.with(along, i)));
    return fill(shape!, (index) => {
      const values = line(index);
      const top = Math.max(...values);
      return Math.exp(at(x, index) - top) / values.reduce((acc, value) => acc + Math.exp(value - top), 0);
    });
  },
  samples: [
    { shapes: [[2, 3, 4]], with: { axis: 1 } },
    { shapes: [[2, 3]], with: { axis: -1 } },
  ],
});

/** Values in rising order along the last axis. */
export const sort: Unary = defineOp({
  name: 'sort',
  inputs: ['x'],
  shape: ({ x }) => x,
  grad: 'none',
  onnx: (_, emit, { node, inputs, outputs }) => {
    const length = staticDim('sort', node.inputs[0]!.shape, node.inputs[0]!.shape.length - 1);
    emit.node('TopK', [inputs[0]!, emit.ints([length])], {
      attributes: { axis: -1, largest: 0, sorted: 1 },
      outputs: [outputs[0]!, ''],
    });
  },
  run: ({ x }) => {
    const length = x.shape.at(-1)!;
    const result = Float64Array.from(x.data);
    for (let start = 0; start < result.length; start += length) result.subarray(start, start + length).sort();
    return result;
  },
  samples: [[[2, 5]]],
});

/** log Σ e^x along an axis, kept with size 1; the maximum is taken out first so that nothing overflows. */
export function logSumExp(x: Tensor, { axis }: Axis): Tensor {
  const top = reshape(max(x, { axis }), { shape: folded('logSumExp', x.shape, { axes: [axis], keep: true }) });
  const rest = log(sum(exp(sub(x, top)), { axes: [axis], keep: true }));
  return addTo(rest, top);
}
const addTo = (a: Tensor, b: Tensor): Tensor => sub(a, mul(b, -1));

/** Adds up what broadcasting has spread, so that a gradient gets the shape of its operand. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const extra = x.shape.length - shape.length;
  const axes = x.shape.flatMap((dim, axis) => (axis < extra || (shape[axis - extra] === 1 && dim !== 1) ? [axis] : []));
  const total = axes.length === 0 ? x : sum(x, { axes, keep: true });
  return sameShape(total.shape, shape) ? total : reshape(total, { shape });
}

/** Σ x·w / Σ w over everything: a weighted mean that needs no batch size. 0 / 0 gives NaN: the caller keeps Σ w > 0. */
export function weightedMean(x: Tensor, weight: Tensor): Tensor {
  if (x.shape.length !== weight.shape.length) {
    throw new NeuroDivergentError('ND_SHAPE_MISMATCH', {
      where: 'weightedMean',
      what: `values [${x.shape}] and weights [${weight.shape}] differ in rank.`,
      mend: 'Give the weights the rank of the values.',
    });
  }
  const axes = x.shape.map((_, axis) => axis);
  return div(sum(mul(x, weight), { axes }), sum(weight, { axes }));
}
