/**
 * Attention whose memory grows with the number of tokens, not with its square: rows of the query are taken in chunks,
 * each sees its full rows of scores, and the backward pass computes the scores of a chunk again (ENGINE.md §8).
 */
import { ShapeError } from '../../errors.js';
import { defineOp, type OpCall, type Tensor } from '../ir.js';
import { elements, type NdArray } from '../ndarray.js';
import type { OnnxEmitter, SubgraphValue } from '../onnx/emitter.js';
import { sameShape, size, staticDim, type Shape } from '../shape.js';
import { mul } from './elementwise.js';
import { pad, slice } from './layout.js';
import { sum } from './reduce.js';

interface Chunks {
  /** What scores are multiplied by, before softmax. */
  readonly scale: number;
  /** Rows of the query taken at once: memory is chunk × tokens. */
  readonly chunk: number;
}

const misfit = (where: string, shapes: Readonly<Record<string, Shape>>): ShapeError =>
  new ShapeError({
    where,
    what: `${Object.entries(shapes)
      .map(([name, shape]) => `${name} [${shape}]`)
      .join(', ')} do not fit.`,
    mend: 'Give query and key one width, key and value one length, and all the same leading axes.',
  });

/** softmax(q·kᵀ·scale)·v. `q [batch, head, row, width]`, `k [batch, head, token, width]`, `v [batch, head, token, out]` → `[batch, head, row, out]` */
export const attention: OpCall<[q: Tensor, k: Tensor, v: Tensor, attributes: Chunks]> = defineOp({
  name: 'attention',
  inputs: ['q', 'k', 'v'],
  shape: ({ q, k, v }, { chunk }: Chunks) => {
    const fits = sameShape(q.slice(0, -2), k.slice(0, -2)) && sameShape(k.slice(0, -1), v.slice(0, -1));
    if (q.length < 3 || !fits || q.at(-1) !== k.at(-1) || chunk < 1) throw misfit('attention', { q, k, v });
    return q.with(-1, v.at(-1)!);
  },
  grad: ({ q, k, v }, { y, dy, attributes: { scale, chunk } }) => {
    const axis = q.shape.length - 2;
    const rows = staticDim('attention', q.shape, axis);
    const taken = Math.min(chunk, rows);
    const after = (taken - (rows % taken)) % taken; // rows of zeros fill the last chunk: nothing flows through them
    const filled = (x: Tensor): Tensor => (after === 0 ? x : pad(x, { axis, before: 0, after }));
    // Σ over tokens of weight · its gradient, which a row of the softmax needs, is dy·y: no pass over the scores.
    const mean = sum(mul(dy, y), { axes: [-1], keep: true });
    const { dq, dk, dv } = attentionBackward(filled(q), k, v, filled(dy), filled(mean), { scale, chunk: taken });
    return { q: after === 0 ? dq : slice(dq, { axis, start: 0, end: rows }), k: dk, v: dv };
  },
  onnx: ({ scale, chunk }, emit, { node, inputs: [q, k, v], outputs }) => {
    const { shape } = node.inputs[0]!;
    const axis = shape.length - 2;
    const rows = staticDim('attention', shape, axis);
    const factor = emit.constant(Float32Array.of(scale), []);
    const [turned] = emit.node('Transpose', [k!], { attributes: { perm: swapped(shape.length) } });
    const parts: string[] = [];
    for (let start = 0; start < rows; start += chunk) {
      const range = [start, Math.min(start + chunk, rows), axis];
      const part = rows <= chunk ? q! : emit.node('Slice', [q!, ...range.map((bound) => emit.ints([bound]))])[0]!;
      const [scaled] = emit.node('Mul', [part, factor]);
      const [weights] = emit.node('Softmax', emit.node('MatMul', [scaled!, turned!]), { attributes: { axis: -1 } });
      parts.push(...emit.node('MatMul', [weights!, v!]));
    }
    emit.node('Concat', parts, { attributes: { axis }, outputs });
  },
  run: (inputs, { scale }) => {
    const { count, rows, tokens, v } = parts(inputs);
    const out = v(0, 0).length;
    const result = new Float64Array(count * rows * out);
    for (let i = 0; i < count; i++) {
      for (let row = 0; row < rows; row++) {
        const weights = weightsOf(inputs, scale, i, row);
        const y = result.subarray((i * rows + row) * out, (i * rows + row + 1) * out);
        for (let t = 0; t < tokens; t++) addTo(y, v(i, t), weights[t]!);
      }
    }
    return result;
  },
  samples: [
    {
      shapes: [
        [2, 2, 5, 3],
        [2, 2, 4, 3],
        [2, 2, 4, 2],
      ],
      with: { scale: 0.5, chunk: 2 },
    },
    {
      shapes: [
        [3, 4, 2],
        [3, 4, 2],
        [3, 4, 2],
      ],
      with: { scale: 1, chunk: 2 },
    },
    {
      shapes: [
        [1, 3, 2],
        [1, 4, 2],
        [1, 4, 2],
      ],
      with: { scale: 1, chunk: 8 },
    },
  ],
});

/** The last two axes change places. */
const swapped = (rank: number): number[] => [
  ...Array.from({ length: rank - 2 }, (_, axis) => axis),
  rank - 1,
  rank - 2,
];

/** The gradients of attention, chunk after chunk. `mean [batch, head, row, 1]` is Σ dy·y of each row; chunks divide the rows. */
const attentionBackward: OpCall<
  [q: Tensor, k: Tensor, v: Tensor, dy: Tensor, mean: Tensor, attributes: Chunks],
  { dq: Tensor; dk: Tensor; dv: Tensor }
> = defineOp({
  name: 'attentionBackward',
  inputs: ['q', 'k', 'v', 'dy', 'mean'],
  outputs: ['dq', 'dk', 'dv'],
  shape: ({ q, k, v }, { chunk }: Chunks) => {
    if (staticDim('attentionBackward', q, q.length - 2) % chunk !== 0) throw misfit('attentionBackward', { q, k, v });
    return { dq: q, dk: k, dv: v };
  },
  grad: 'none',
  onnx: ({ scale, chunk }, emit, { node, inputs: [q, k, v, dy, mean], outputs: [dq, dk, dv] }) => {
    const [qShape, kShape, vShape] = node.inputs.map(({ shape }) => shape) as [Shape, Shape, Shape];
    const count = size(qShape.slice(0, -2)) as number; // batch and heads as one: the training graph has a fixed batch
    const [rows, width] = qShape.slice(-2) as [number, number];
    const [tokens, out] = vShape.slice(-2) as [number, number];
    const steps = rows / chunk;
    const factor = emit.constant(Float32Array.of(scale), []);

    const flat = (x: string, columns: number): string =>
      emit.node('Reshape', [x, emit.ints([count, tokens, columns])])[0]!;
    const [keys, values] = [flat(k!, width), flat(v!, out)];
    const inChunks = (x: string, columns: number): string => {
      const [apart] = emit.node('Reshape', [x, emit.ints([count, steps, chunk, columns])]);
      return emit.node('Transpose', [apart!], { attributes: { perm: [1, 0, 2, 3] } })[0]!; // [step, batch·head, row, column]
    };
    const value = (name: string, ...shape: number[]): SubgraphValue => ({ name, shape: [count, ...shape] });
    const body = emit.body(
      'attention',
      [
        value('dk_in', tokens, width),
        value('dv_in', tokens, out),
        value('q_t', chunk, width),
        value('dy_t', chunk, out),
        value('mean_t', chunk, 1),
      ],
      [value('dk_out', tokens, width), value('dv_out', tokens, out), value('dq_t', chunk, width)],
      (step) => {
        const turned = (x: string): string => step.node('Transpose', [x], { attributes: { perm: [0, 2, 1] } })[0]!;
        const [scaled] = step.node('Mul', ['q_t', factor]);
        const [weights] = step.node('Softmax', step.node('MatMul', [scaled!, turned(keys)]), { attributes: { axis: -1 } }); // prettier-ignore
        step.node('Add', ['dv_in', ...step.node('MatMul', [turned(weights!), 'dy_t'])], { outputs: ['dv_out'] });
        const [change] = step.node('Sub', [...step.node('MatMul', ['dy_t', turned(values)]), 'mean_t']);
        const [scores] = step.node('Mul', [change!, weights!]); // the gradient of the scores
        step.node('Add', ['dk_in', ...step.node('MatMul', [turned(scores!), scaled!])], { outputs: ['dk_out'] });
        step.node('Mul', [...step.node('MatMul', [scores!, keys]), factor], { outputs: ['dq_t'] });
      },
    );
    const [dkFlat, dvFlat, dqChunks] = emit.node(
      'Scan',
      [zeros(emit, count, tokens, width), zeros(emit, count, tokens, out), inChunks(q!, width), inChunks(dy!, out), inChunks(mean!, 1)],
      { body, outputs: 3, attributes: { num_scan_inputs: 3 } },
    ); // prettier-ignore
    const [together] = emit.node('Transpose', [dqChunks!], { attributes: { perm: [1, 0, 2, 3] } });
    emit.node('Reshape', [together!, emit.shape(qShape)], { outputs: [dq!] });
    emit.node('Reshape', [dkFlat!, emit.shape(kShape)], { outputs: [dk!] });
    emit.node('Reshape', [dvFlat!, emit.shape(vShape)], { outputs: [dv!] });
  },
  run: (inputs, { scale }) => {
    const { count, rows, tokens, q, k, v } = parts(inputs);
    const [dq, dk, dv] = [inputs.q, inputs.k, inputs.v].map(({ data }) => new Float64Array(data.length)) as [
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    const dy = lines(inputs.dy);
    for (let i = 0; i < count; i++) {
      for (let row = 0; row < rows; row++) {
        const weights = weightsOf(inputs, scale, i, row);
        for (let t = 0; t < tokens; t++) {
          const change = weights[t]! * (dot(dy(i, row), v(i, t)) - inputs.mean.data[i * rows + row]!);
          addTo(lines({ ...inputs.v, data: dv })(i, t), dy(i, row), weights[t]!);
          addTo(lines({ ...inputs.k, data: dk })(i, t), q(i, row), change * scale);
          addTo(lines({ ...inputs.q, data: dq })(i, row), k(i, t), change * scale);
        }
      }
    }
    return [dq, dk, dv];
  },
  samples: [
    {
      shapes: [
        [2, 2, 4, 3],
        [2, 2, 3, 3],
        [2, 2, 3, 2],
        [2, 2, 4, 2],
        [2, 2, 4, 1],
      ],
      with: { scale: 0.5, chunk: 2 },
    },
  ],
});

/** Made when the graph runs: as constants they would fill the file. */
const zeros = (emit: OnnxEmitter, ...shape: number[]): string =>
  emit.node('Expand', [emit.constant(Float32Array.of(0), []), emit.ints(shape)])[0]!;

// The plain kernels.

type Line = (matrix: number, row: number) => Float64Array;
const lines = ({ data, shape }: NdArray): Line => {
  const [rows, width] = shape.slice(-2) as [number, number];
  return (matrix, row) => data.subarray((matrix * rows + row) * width, (matrix * rows + row + 1) * width);
};

const parts = ({ q, k, v }: Readonly<Record<'q' | 'k' | 'v', NdArray>>) => ({
  count: elements(q.shape.slice(0, -2)),
  rows: q.shape.at(-2)!,
  tokens: k.shape.at(-2)!,
  q: lines(q),
  k: lines(k),
  v: lines(v),
});

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((total, value, i) => total + value * b[i]!, 0);
const addTo = (y: Float64Array, x: Float64Array, factor: number): void => {
  for (const [i, value] of x.entries()) y[i]! += factor * value;
};

/** The share of each token in one row: a softmax over its scores. */
function weightsOf(
  inputs: Readonly<Record<'q' | 'k' | 'v', NdArray>>,
  scale: number,
  i: number,
  row: number,
): number[] {
  const { tokens, q, k } = parts(inputs);
  const scores = Array.from({ length: tokens }, (_, t) => scale * dot(q(i, row), k(i, t)));
  const top = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - top));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}

// ---------------------------------------------------------------------------------------------------- one operator

interface Heads {
  readonly heads: number;
  readonly scale: number;
}

/**
 * ONNX Runtime's own operator, for graphs that need not run elsewhere: it never holds the scores, but nothing can be
 * differentiated through it. Made by passes/fuse-attention.ts. `q [batch, row, head·width]`, `k`, `v [batch, token, head·width]`.
 */
export const multiHeadAttention: OpCall<[q: Tensor, k: Tensor, v: Tensor, attributes: Heads]> = defineOp({
  name: 'multiHeadAttention',
  inputs: ['q', 'k', 'v'],
  shape: ({ q, k, v }, { heads }: Heads) => {
    const fits = q.length === 3 && q[0] === k[0] && q[2] === k[2] && sameShape(k.slice(0, 2), v.slice(0, 2));
    if (!fits || [q, v].some((shape) => staticDim('multiHeadAttention', shape, 2) % heads !== 0))
      throw misfit('multiHeadAttention', { q, k, v });
    return q.with(2, v[2]!);
  },
  grad: 'none',
  onnx: ({ heads, scale }) => ({
    type: 'MultiHeadAttention',
    domain: 'com.microsoft',
    attributes: { num_heads: heads, scale: { float: scale } },
  }),
  run: ({ q, k, v }, { heads, scale }, [shape]) => {
    const apart = ({ data, shape: [batch, rows, columns] }: NdArray): NdArray => {
      const width = columns! / heads;
      const split = new Float64Array(data.length);
      for (const [i, value] of data.entries()) {
        const [b, row, column] = [Math.floor(i / (rows! * columns!)), Math.floor(i / columns!) % rows!, i % columns!];
        split[((b * heads + Math.floor(column / width)) * rows! + row) * width + (column % width)] = value;
      }
      return { data: split, shape: [batch! * heads, rows!, width] };
    };
    const byHead = attention.op.run({ q: apart(q), k: apart(k), v: apart(v) }, { scale, chunk: 1 }, [], []);
    const [, rows, columns] = shape as [number, number, number];
    const width = columns / heads;
    return Float64Array.from({ length: elements(shape!) }, (_, i) => {
      const [b, row, column] = [Math.floor(i / (rows * columns)), Math.floor(i / columns) % rows, i % columns];
      const from = ((b * heads + Math.floor(column / width)) * rows + row) * width + (column % width);
      return (byHead as Float64Array)[from]!;
    });
  },
  samples: [
    {
      shapes: [
        [2, 3, 4],
        [2, 5, 4],
        [2, 5, 4],
      ],
      with: { heads: 2, scale: 0.5 },
    },
  ],
});
