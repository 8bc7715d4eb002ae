/**
 * Weights that are stored in few bits and computed with in FP32: blocks of neighbours share a scale. Written with the
 * plainest operators (Cast, Mul, Reshape), which runtimes work out once, at load; so it costs nothing when it runs.
 */
import {
  add,
  castTo,
  constant,
  constantValues,
  halfConstant,
  mul,
  normalizeRows,
  reshape,
  slice,
  sub,
  substitute,
  topological,
  type Graph,
  type Tensor,
} from '../graph/index.js';

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

/** Fewer numbers are not worth the nodes that make them. */
const factorsFrom = 512;
/** Rounding must leave so much of them: the mean square over that of the error, 40 dB. Else they are FP16. */
const factorSignal = 1e4;

/** Factors and shifts of a normalization, one for each feature or step, in eight bits: one range for all, wherever it lies. */
export function storeFactors(graph: Graph): Graph {
  const nodes = topological(Object.values(graph.outputs));
  const elsewhere = new Set<Tensor>(Object.values(graph.outputs));
  for (const { op, inputs } of nodes) if (!elementwise.has(op)) for (const input of inputs) elsewhere.add(input);
  const stored = new Map<Tensor, Tensor>();
  for (const [tensor] of nodes.map(({ outputs }) => outputs)) {
    const values = constantValues(tensor!);
    if (values === undefined || values.length < factorsFrom || elsewhere.has(tensor!)) continue;
    const factors = storedFactors(tensor!, values);
    if (factors !== undefined) stored.set(tensor!, factors);
  }
  return substitute(graph, stored);
}

const elementwise: ReadonlySet<unknown> = new Set([add.op, sub.op, mul.op, normalizeRows.op]);

function storedFactors(tensor: Tensor, values: ArrayLike<number>): Tensor | undefined {
  const list = Array.from(values);
  const low = list.reduce((a, b) => Math.min(a, b));
  const high = list.reduce((a, b) => Math.max(a, b));
  const step = (high - low) / 254;
  const square = list.reduce((sum, value) => sum + value * value, 0) / list.length;
  if (!(step > 0) || square < (factorSignal * (step * step)) / 12) return undefined;
  const middle = (low + high) / 2;
  const integers = Int8Array.from(list, (value) => Math.round((value - middle) / step));
  const whole = castTo(constant(integers, tensor.shape as readonly number[], 'int8'), { dtype: 'float32' });
  return add(mul(whole, step), middle);
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
