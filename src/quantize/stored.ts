/**
 * Weights that are stored in few bits and computed with in FP32: blocks of neighbours share a scale. Written with the
 * plainest operators (Cast, Mul, Reshape), which runtimes work out once, at load; so it costs nothing when it runs.
 */
import { castTo, constant, constantValues, halfConstant, mul, reshape, slice, type Tensor } from '../graph/index.js';

export type StoredBits = 4 | 8;

interface Form {
  readonly dtype: 'int4' | 'int8';
  /** Largest integer; both sides alike, so that 0 stays 0. */
  readonly largest: number;
  /** Weights that share a scale. */
  readonly block: number;
}

/** Four bits are so coarse that a scale for 32 weights pays: 0.14 of FP32 in all. Eight bits take 0.26. */
const forms: Record<StoredBits, Form> = {
  4: { dtype: 'int4', largest: 7, block: 32 },
  8: { dtype: 'int8', largest: 127, block: 64 },
};

/** The weight as FP32, made from integers. */
export function storedWeight(weight: Tensor, bits: StoredBits): Tensor {
  const values = constantValues(weight)!;
  const shape = weight.shape as readonly number[];
  const { dtype, block } = forms[bits];
  const { integers, scale } = quantizeBlocks(values, bits);
  const blocks = scale.shape[0] as number;
  const scaled = mul(castTo(constant(integers, [blocks, block], dtype), { dtype: 'float32' }), scale);
  if (values.length === integers.length) return reshape(scaled, { shape });
  const flat = reshape(scaled, { shape: [integers.length] });
  return reshape(slice(flat, { axis: 0, start: 0, end: values.length }), { shape });
}

/** The last block is filled up with zeros. The scales, `[blocks, 1]`, are FP16 times one number, so that FP16 reaches all that count. */
function quantizeBlocks(values: ArrayLike<number>, bits: StoredBits): { integers: Int8Array; scale: Tensor } {
  const { largest, block } = forms[bits];
  const wanted = Float32Array.from({ length: Math.ceil(values.length / block) }, (_, b) =>
    bestScale(Array.prototype.slice.call(values, b * block, (b + 1) * block) as number[], largest),
  );
  const top = wanted.reduce((a, b) => Math.max(a, b)) || 1;
  const relative = halfConstant(
    constant(
      wanted.map((scale) => scale / top),
      [wanted.length, 1],
    ),
  )!;
  const integers = new Int8Array(wanted.length * block);
  for (let i = 0; i < values.length; i++) {
    const scale = constantValues(relative)![Math.floor(i / block)]! * top;
    if (scale > 0) integers[i] = Math.max(-largest, Math.min(largest, Math.round(values[i]! / scale)));
  }
  return { integers, scale: mul(castTo(relative, { dtype: 'float32' }), top) };
}

/** Shares of the largest weight that are tried as the end of the range: a weight that is clipped may help all others. */
const ends = [1, 0.95, 0.9, 0.85, 0.8, 0.75];

/** The scale with the least squared error over a block; 0 for a block of zeros. */
function bestScale(values: readonly number[], largest: number): number {
  const top = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  let best = { scale: 0, error: Infinity };
  if (top === 0) return 0;
  for (const end of ends) {
    const scale = (top * end) / largest;
    let error = 0;
    for (const value of values) {
      const rounded = Math.max(-largest, Math.min(largest, Math.round(value / scale))) * scale;
      error += (value - rounded) ** 2;
    }
    if (error < best.error) best = { scale, error };
  }
  return best.scale;
}
