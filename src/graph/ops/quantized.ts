/**
 * Ops of quantized models: q = round(x / scale) + zero, ties to even, clipped to the type; x ≈ (q - zero) · scale.
 * Scales and zeros are known when the graph is built, so they are attributes. One of each serves the whole tensor, or
 * there is one for every index of `axis`. https://arxiv.org/abs/1712.05877
 */
import { ShapeError } from '../../errors.js';
import { defineOp, type OpCall, type Operand, type Tensor, type UnaryWith } from '../ir.js';
import { forEachIndex, zip, type NdArray } from '../ndarray.js';
import type { OnnxEmitter } from '../onnx/emitter.js';
import { broadcastShapes, type Shape } from '../shape.js';
import { add, maximum, mul, neg, stopGradient, sub } from './elementwise.js';

export interface IntegerScale {
  readonly scale: readonly number[];
  /** The integer that stands for 0; all 0 when absent. */
  readonly zero?: readonly number[];
  readonly axis?: number;
}
export interface ToInteger extends IntegerScale {
  readonly dtype: 'int8' | 'uint8';
}

export const integerRange = { int8: [-128, 127], uint8: [0, 255] } as const;

/** The nearest integer; halfway between two, the even one, as IEEE 754 and ONNX round. */
export function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
}

/** float32 → int8 or uint8. Divides in float32, as runtimes do, so that ties fall the same way. */
export const quantizeLinear: UnaryWith<ToInteger> = defineOp({
  name: 'quantizeLinear',
  inputs: ['x'],
  dtype: (_, { dtype }: ToInteger) => dtype,
  shape: ({ x }, scaling: ToInteger) => fitting('quantizeLinear', x, scaling),
  grad: 'none',
  onnx: (scaling, emit, { inputs, outputs }) => {
    emit.node('QuantizeLinear', [inputs[0]!, scaleOf(scaling, emit), zeroOf(scaling, scaling.dtype, emit)], {
      attributes: axisOf(scaling),
      outputs,
    });
  },
  run: ({ x }, scaling) => {
    const [low, high] = integerRange[scaling.dtype];
    return perChannel(x, scaling, (value, scale, zero) =>
      Math.min(high, Math.max(low, roundHalfEven(Math.fround(Math.fround(value) / Math.fround(scale))) + zero)),
    );
  },
  samples: [
    { shapes: [[2, 5]], with: { dtype: 'uint8', scale: [1 / 128], zero: [117] } },
    { shapes: [[2, 3]], with: { dtype: 'int8', scale: [0.01, 0.02, 0.005], zero: [0, 0, 0], axis: 1 } },
  ],
});

/** int8, uint8 or int32 → float32. */
export const dequantizeLinear: UnaryWith<IntegerScale> = defineOp({
  name: 'dequantizeLinear',
  inputs: ['x'],
  dtype: () => 'float32',
  shape: ({ x }, scaling: IntegerScale) => fitting('dequantizeLinear', x, scaling),
  grad: 'none',
  onnx: (scaling, emit, { node, inputs, outputs }) => {
    const { dtype } = node.inputs[0]!;
    // A zero point of 0 may be left out, and int32 must have none.
    const bare = scaling.zero === undefined || dtype === 'int32';
    const zero = bare ? [] : [zeroOf(scaling, dtype === 'uint8' ? 'uint8' : 'int8', emit)];
    emit.node('DequantizeLinear', [inputs[0]!, scaleOf(scaling, emit), ...zero], {
      attributes: axisOf(scaling),
      outputs,
    });
  },
  run: ({ x }, scaling) =>
    perChannel(x, scaling, (value, scale, zero) => Math.fround((value - zero) * Math.fround(scale))),
  samples: [
    { shapes: [[2, 5]], with: { scale: [1 / 128], zero: [117] }, dtype: 'uint8' },
    { shapes: [[3, 2]], with: { scale: [0.01, 0.02, 0.005], axis: 0 }, dtype: 'int8' },
  ],
});

interface ToFloat {
  readonly dtype: 'float32' | 'float16';
}

/** Any type → float32 or float16, value by value. On a constant, the runtime does it once, at load. Passes make it, after differentiation. */
export const castTo: UnaryWith<ToFloat> = defineOp({
  name: 'castTo',
  inputs: ['x'],
  dtype: (_, { dtype }: ToFloat) => dtype,
  shape: ({ x }) => x,
  grad: 'none',
  onnx: ({ dtype }) => ({ type: 'Cast', attributes: { to: dtype === 'float32' ? 1 : 10 } }),
  run: ({ x }) => x.data,
  samples: [
    { shapes: [[2, 3]], with: { dtype: 'float32' }, dtype: 'int8' },
    { shapes: [[4]], with: { dtype: 'float32' }, dtype: 'float16' },
    { shapes: [[2, 3]], with: { dtype: 'float16' } },
  ],
});

interface IntegerLimits {
  readonly low: number;
  readonly high: number;
}

/**
 * To integers from `low` to `high` and back, in float32 throughout: (clip(round(x / scale) + zero) - zero) · scale. Scale and
 * zero are tensors that broadcast to x, so they may follow weights that still change.
 */
export const throughIntegers: OpCall<[x: Tensor, scale: Operand, zero: Operand, limits: IntegerLimits]> = defineOp({
  name: 'throughIntegers',
  inputs: ['x', 'scale', 'zero'],
  shape: ({ x, scale, zero }) => {
    const shape = broadcastShapes('throughIntegers', x, broadcastShapes('throughIntegers', scale, zero));
    if (shape.join() === x.join()) return x;
    throw new ShapeError({
      where: 'throughIntegers',
      what: `scale [${scale}] and zero [${zero}] do not broadcast to x [${x}].`,
      mend: 'Give one for the whole tensor, or one for each index of an axis.',
    });
  },
  grad: 'none',
  onnx: ({ low, high }, emit, { inputs: [x, scale, zero], outputs }) => {
    const limit = (value: number): string => emit.constant(Float32Array.of(value), []);
    const [steps] = emit.node('Div', [x!, scale!]);
    const [whole] = emit.node('Round', [steps!]);
    const [moved] = emit.node('Add', [whole!, zero!]);
    const [clipped] = emit.node('Clip', [moved!, limit(low), limit(high)]);
    const [back] = emit.node('Sub', [clipped!, zero!]);
    emit.node('Mul', [back!, scale!], { outputs });
  },
  run: ({ x, scale, zero }, { low, high }, [shape]) => {
    const steps = { data: zip((v, s) => roundHalfEven(Math.fround(v / s)), x, scale, shape!), shape: shape! };
    const clipped = zip((q, z) => Math.min(high, Math.max(low, q + z)) - z, steps, zero, shape!);
    return zip((q, s) => q * s, { data: clipped, shape: shape! }, scale, shape!);
  },
  samples: [
    { shapes: [[2, 3], [], []], with: { low: -63, high: 63 } },
    { shapes: [[2, 3], [1, 3], []], with: { low: 0, high: 255 } },
  ],
  domain: [0.05, 1],
});

/**
 * The same with the gradient passed straight through the rounding and stopped outside the limits: training with it is
 * quantization-aware. https://arxiv.org/abs/1308.3432
 */
export function fakeQuantize(x: Tensor, scale: Operand, zero: Operand, limits: IntegerLimits): Tensor {
  const edge = (integer: number): Tensor => mul(sub(integer, zero), scale);
  const clipped = neg(maximum(neg(maximum(x, edge(limits.low))), neg(edge(limits.high))));
  return add(clipped, stopGradient(sub(throughIntegers(x, scale, zero, limits), clipped)));
}

function fitting(where: string, x: Shape, { scale, zero, axis }: IntegerScale): Shape {
  const count = axis === undefined ? 1 : x[axis];
  if (scale.length !== count || (zero !== undefined && zero.length !== count)) {
    throw new ShapeError({
      where,
      what: `[${x}] needs ${String(count)} scales${axis === undefined ? '' : ` along axis ${axis}`}, but there are ${scale.length} (zeros: ${zero?.length ?? 'none'}).`,
      mend: 'Give one for the whole tensor, or name an axis and give one for each of its indices.',
    });
  }
  return x;
}

const axisOf = ({ axis }: IntegerScale): { axis?: number } => (axis === undefined ? {} : { axis });

const dimsOf = ({ scale, axis }: IntegerScale): number[] => (axis === undefined ? [] : [scale.length]);

const scaleOf = (scaling: IntegerScale, emit: OnnxEmitter): string =>
  emit.constant(Float32Array.from(scaling.scale), dimsOf(scaling));

function zeroOf(scaling: IntegerScale, dtype: 'int8' | 'uint8', emit: OnnxEmitter): string {
  const zeros = scaling.zero ?? scaling.scale.map(() => 0);
  return emit.constant(dtype === 'int8' ? Int8Array.from(zeros) : Uint8Array.from(zeros), dimsOf(scaling));
}

function perChannel(
  x: NdArray,
  { scale, zero, axis }: IntegerScale,
  f: (value: number, scale: number, zero: number) => number,
): Float64Array {
  const result = new Float64Array(x.data.length);
  forEachIndex(x.shape, (index, position) => {
    const channel = axis === undefined ? 0 : index[axis]!;
    result[position] = f(x.data[position]!, scale[channel]!, zero?.[channel] ?? 0);
  });
  return result;
}
