/** Ops that move elements without changing them. */
import { NeuroDivergentError, ShapeError } from '../../errors.js';
import { defineOp, type OpCall, type Tensor, type UnaryWith } from '../ir.js';
import { at, broadcastPosition, fill } from '../ndarray.js';
import { broadcastShapes, normalizeAxis, sameShape, size, staticDim, type Shape } from '../shape.js';
import { matmul } from './linear.js';
import { sumTo } from './reduce.js';
import { constant } from './leaf.js';

interface ToShape {
  readonly shape: Shape;
}

/** The same elements in another shape. */
export const reshape: UnaryWith<ToShape> = defineOp({
  name: 'reshape',
  inputs: ['x'],
  shape: ({ x }, { shape }: ToShape) => {
    if (size(x) !== size(shape)) {
      throw new ShapeError({
        where: 'reshape',
        what: `[${x}] has ${size(x)} elements and [${shape}] has ${size(shape)}.`,
        mend: 'Keep the number of elements.',
      });
    }
    return shape;
  },
  grad: ({ x }, { dy }) => ({ x: reshape(dy, { shape: x.shape }) }),
  onnx: ({ shape }, emit, { inputs, outputs }) => {
    emit.node('Reshape', [inputs[0]!, emit.shape(shape)], { outputs });
  },
  run: ({ x }) => x.data,
  samples: [{ shapes: [[2, 6]], with: { shape: [3, 4] } }],
  affine: true,
});

/** Repeats axes of size 1 until the shape is reached. */
export const broadcastTo: UnaryWith<ToShape> = defineOp({
  name: 'broadcastTo',
  inputs: ['x'],
  shape: ({ x }, { shape }: ToShape) => {
    if (!sameShape(broadcastShapes('broadcastTo', x, shape), shape)) {
      throw new ShapeError({
        where: 'broadcastTo',
        what: `[${x}] does not broadcast to [${shape}].`,
        mend: 'Only axes of size 1 can be repeated.',
      });
    }
    return shape;
  },
  grad: ({ x }, { dy }) => ({ x: sumTo(dy, x.shape) }),
  onnx: ({ shape }, emit, { node, inputs, outputs }) => {
    const from = node.inputs[0]!.shape;
    // Expand leaves an axis alone where its shape says 1: that is how a batch known only at run time stays what it is.
    const target = shape.map((dim, axis) => (from[axis - shape.length + from.length] === dim ? 1 : dim));
    if (!target.every((dim) => typeof dim === 'number')) {
      throw new NeuroDivergentError('ND_GRAPH_NOT_STATIC', {
        where: 'broadcastTo',
        what: `[${from}] cannot be repeated to [${shape}] while the batch is unknown.`,
        mend: 'Let the operation broadcast by itself, or build the graph with a fixed batch.',
      });
    }
    emit.node('Expand', [inputs[0]!, emit.ints(target)], { outputs });
  },
  run: ({ x }, _, [shape]) => fill(shape!, (index) => x.data[broadcastPosition(x, index)]!),
  samples: [
    { shapes: [[2, 1]], with: { shape: [2, 3] } },
    { shapes: [[3]], with: { shape: [2, 3] } },
  ],
  affine: true,
});

interface Permutation {
  readonly order: readonly number[];
}

/** Axes in another order: axis i of the result is axis `order[i]` of x. */
export const transpose: UnaryWith<Permutation> = defineOp({
  name: 'transpose',
  inputs: ['x'],
  shape: ({ x }, { order }: Permutation) => {
    if (order.length !== x.length || new Set(order).size !== x.length || order.some((axis) => x[axis] === undefined)) {
      throw new ShapeError({
        where: 'transpose',
        what: `[${order}] is no order of the axes of [${x}].`,
        mend: 'Name every axis once.',
      });
    }
    return order.map((axis) => x[axis]!);
  },
  grad: (_, { dy, attributes: { order } }) => ({
    x: transpose(dy, { order: order.map((__, axis) => order.indexOf(axis)) }),
  }),
  onnx: ({ order }) => ({ type: 'Transpose', attributes: { perm: order } }),
  run: ({ x }, { order }, [shape]) =>
    fill(shape!, (index) =>
      at(
        x,
        order.map((_, axis) => index[order.indexOf(axis)]!),
      ),
    ),
  samples: [{ shapes: [[2, 3, 4]], with: { order: [2, 0, 1] } }],
  affine: true,
});

export interface Range {
  readonly axis: number;
  readonly start: number;
  /** First index not taken. */
  readonly end: number;
}

/** A stretch of one axis. */
export const slice: UnaryWith<Range> = defineOp({
  name: 'slice',
  inputs: ['x'],
  shape: ({ x }, { axis, start, end }: Range) => {
    const along = normalizeAxis('slice', x, axis);
    const length = staticDim('slice', x, along);
    if (start < 0 || end > length || start >= end) {
      throw new ShapeError({
        where: 'slice',
        what: `${start} to ${end} does not lie in axis ${axis} of [${x}].`,
        mend: 'Keep 0 <= start < end <= size.',
      });
    }
    return x.with(along, end - start);
  },
  grad: ({ x }, { dy, attributes: { axis, start, end } }) => ({
    x: pad(dy, {
      axis,
      before: start,
      after: staticDim('slice', x.shape, normalizeAxis('slice', x.shape, axis)) - end,
    }),
  }),
  onnx: ({ axis, start, end }, emit, { inputs, outputs }) => {
    emit.node('Slice', [inputs[0]!, emit.ints([start]), emit.ints([end]), emit.ints([axis])], { outputs });
  },
  run: ({ x }, { axis, start }, [shape]) => {
    const along = normalizeAxis('slice', shape!, axis);
    return fill(shape!, (index) => at(x, index.with(along, index[along]! + start)));
  },
  samples: [
    { shapes: [[2, 5]], with: { axis: 1, start: 1, end: 4 } },
    { shapes: [[4, 2]], with: { axis: -2, start: 2, end: 4 } },
  ],
  affine: true,
});

export interface Padding {
  readonly axis: number;
  readonly before: number;
  readonly after: number;
  /** What the new elements hold; 0 when absent. */
  readonly value?: number;
}

/** Makes one axis longer at both ends. */
export const pad: UnaryWith<Padding> = defineOp({
  name: 'pad',
  inputs: ['x'],
  shape: ({ x }, { axis, before, after }: Padding) => {
    const along = normalizeAxis('pad', x, axis);
    return x.with(along, staticDim('pad', x, along) + before + after);
  },
  grad: ({ x }, { dy, attributes: { axis, before } }) => {
    const length = staticDim('pad', x.shape, normalizeAxis('pad', x.shape, axis));
    return { x: slice(dy, { axis, start: before, end: before + length }) };
  },
  onnx: ({ axis, before, after, value = 0 }, emit, { node, inputs, outputs }) => {
    // Pads of all axes: when ONNX Runtime moves a Transpose across Pad, it overlooks the input that names the axes.
    const { shape, dtype } = node.inputs[0]!;
    const along = normalizeAxis('pad', shape, axis);
    const everyAxis = (amount: number): number[] => shape.map((_, i) => (i === along ? amount : 0));
    emit.node('Pad', [inputs[0]!, emit.ints([...everyAxis(before), ...everyAxis(after)]), emit.scalar(value, dtype)], {
      outputs,
    });
  },
  run: ({ x }, { axis, before, value = 0 }, [shape]) => {
    const along = normalizeAxis('pad', x.shape, axis);
    return fill(shape!, (index) => {
      const from = index[along]! - before;
      return from < 0 || from >= x.shape[along]! ? value : at(x, index.with(along, from));
    });
  },
  samples: [
    { shapes: [[2, 3]], with: { axis: 1, before: 2, after: 1 } },
    { shapes: [[2, 3]], with: { axis: 0, before: 0, after: 1, value: 7 } },
  ],
  affine: true,
});

interface Axis {
  readonly axis: number;
}

/** One axis backwards. */
export const flip: UnaryWith<Axis> = defineOp({
  name: 'flip',
  inputs: ['x'],
  shape: ({ x }, { axis }: Axis) => {
    normalizeAxis('flip', x, axis);
    return x;
  },
  grad: (_, { dy, attributes: { axis } }) => ({ x: flip(dy, { axis }) }),
  onnx: ({ axis }, emit, { inputs, outputs }) => {
    const beforeFirst = -Number.MAX_SAFE_INTEGER;
    emit.node('Slice', [inputs[0]!, emit.ints([-1]), emit.ints([beforeFirst]), emit.ints([axis]), emit.ints([-1])], {
      outputs,
    });
  },
  run: ({ x }, { axis }, [shape]) => {
    const along = normalizeAxis('flip', x.shape, axis);
    return fill(shape!, (index) => at(x, index.with(along, shape![along]! - 1 - index[along]!)));
  },
  samples: [{ shapes: [[2, 5]], with: { axis: 1 } }],
  affine: true,
});

const joinOp: OpCall<[...(Tensor | Axis)[]]> = defineOp({
  name: 'concat',
  inputs: ['x...'],
  shape: (_, { axis }: Axis, all) => {
    const along = normalizeAxis('concat', all[0]!, axis);
    for (const shape of all) {
      if (shape.length !== all[0]!.length || shape.some((dim, i) => i !== along && dim !== all[0]![i])) {
        throw new ShapeError({
          where: 'concat',
          what: `[${shape}] does not fit beside [${all[0]}] on axis ${axis}.`,
          mend: 'All other axes must agree.',
        });
      }
    }
    return all[0]!.with(
      along,
      all.reduce((total, shape) => total + staticDim('concat', shape, along), 0),
    );
  },
  grad: (_, { dy, attributes: { axis } }, all) => {
    let start = 0;
    return Object.fromEntries(
      all.map((x, i) => {
        const length = staticDim('concat', x.shape, normalizeAxis('concat', x.shape, axis));
        start += length;
        return [`x${i}`, slice(dy, { axis, start: start - length, end: start })];
      }),
    );
  },
  onnx: ({ axis }) => ({ type: 'Concat', attributes: { axis } }),
  run: (_, { axis }, [shape], all) => {
    const along = normalizeAxis('concat', shape!, axis);
    return fill(shape!, (index) => {
      let from = index[along]!;
      let piece = 0;
      while (from >= all[piece]!.shape[along]!) from -= all[piece++]!.shape[along]!;
      return at(all[piece]!, index.with(along, from));
    });
  },
  samples: [
    {
      shapes: [
        [2, 3],
        [2, 1],
        [2, 2],
      ],
      with: { axis: 1 },
    },
    {
      shapes: [
        [1, 2],
        [3, 2],
      ],
      with: { axis: -2 },
    },
  ],
  affine: true,
});

/** Tensors side by side along one axis; a single tensor is itself. */
export const concat = (pieces: readonly Tensor[], attributes: Axis): Tensor =>
  pieces.length === 1 ? pieces[0]! : joinOp(...pieces, attributes);
export const concatOp = joinOp.op;

interface Indices {
  readonly axis: number;
  /** Which elements of the axis, in which order; known when the graph is built. */
  readonly indices: readonly number[];
}

/** Chosen elements of one axis. The gradient adds up what was taken more than once, as a product with a 0-1 matrix. */
export const gather: UnaryWith<Indices> = defineOp({
  name: 'gather',
  inputs: ['x'],
  shape: ({ x }, { axis, indices }: Indices) => {
    const along = normalizeAxis('gather', x, axis);
    const length = staticDim('gather', x, along);
    if (indices.some((i) => i < 0 || i >= length)) {
      throw new ShapeError({
        where: 'gather',
        what: `an index lies outside axis ${axis} of [${x}].`,
        mend: `Use indices from 0 to ${length - 1}.`,
      });
    }
    return x.with(along, indices.length);
  },
  grad: ({ x }, { dy, attributes: { axis, indices } }) => {
    const along = normalizeAxis('gather', x.shape, axis);
    const length = staticDim('gather', x.shape, along);
    const spread = new Float32Array(indices.length * length);
    for (const [row, column] of indices.entries()) spread[row * length + column] = 1;
    const last = x.shape.length - 1;
    const swap = x.shape.map((_, i) => (i === along ? last : i === last ? along : i));
    const product = (rows: Tensor): Tensor => matmul(rows, constant(spread, [indices.length, length]));
    return { x: along === last ? product(dy) : transpose(product(transpose(dy, { order: swap })), { order: swap }) };
  },
  onnx: ({ axis, indices }, emit, { inputs, outputs }) => {
    emit.node('Gather', [inputs[0]!, emit.ints(indices)], { attributes: { axis }, outputs });
  },
  run: ({ x }, { axis, indices }, [shape]) => {
    const along = normalizeAxis('gather', x.shape, axis);
    return fill(shape!, (index) => at(x, index.with(along, indices[index[along]!]!)));
  },
  samples: [
    { shapes: [[2, 4]], with: { axis: 1, indices: [3, 0, 0, 2, 1] } },
    { shapes: [[3, 2, 2]], with: { axis: 0, indices: [2, 2] } },
  ],
  affine: true,
});

/** The last two axes exchanged. */
export function swapLast(x: Tensor): Tensor {
  const rank = x.shape.length;
  return transpose(x, { order: x.shape.map((_, i) => (i === rank - 1 ? rank - 2 : i === rank - 2 ? rank - 1 : i)) });
}
