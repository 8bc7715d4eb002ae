/**
 * Attention whose memory grows with the number of tokens, not with its square: one head after another, and of that the
 * rows of the query in chunks. Each chunk sees its full rows of scores; the backward pass computes them again (ENGINE.md §8).
 */
import { ShapeError } from '../../errors.js';
import { defineOp, type Node, type OpCall, type Tensor } from '../ir.js';
import { elements, type NdArray } from '../ndarray.js';
import type { OnnxEmitter, SubgraphValue } from '../onnx/emitter.js';
import { sameShape, staticDim, type Shape } from '../shape.js';

interface Chunks {
  /** What scores are multiplied by, before softmax. */
  readonly scale: number;
  /** Rows of the query taken at once, at most: memory is chunk × tokens, of one head. */
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
  grad: ({ q, k, v }, { y, dy, attributes }) => {
    const { dq, dk, dv } = attentionBackward(q, k, v, y, dy, attributes);
    return { q: dq, k: dk, v: dv };
  },
  onnx: ({ scale, chunk }, emit, { node, inputs: names, outputs }) => {
    const [[rows, width], , [, out]] = matrices(node.inputs);
    const chunks = cut(rows, chunk);
    eachMatrix(emit, node, { names, inputs: ['q', 'k', 'v'], outputs: ['y'], results: outputs }, (head) => {
      const body = head.body(
        'chunk',
        [value('q_t', chunks.taken, width)],
        [value('y_t', chunks.taken, out)],
        (step) => {
          const [weights] = step.node('Softmax', scores(step, scale), { attributes: { axis: -1 } }); // [row, token]
          step.node('MatMul', [weights!, 'v'], { outputs: ['y_t'] });
        },
      );
      const [y] = head.node('Scan', [inChunks(head, 'q', width, chunks)], { body, attributes: { num_scan_inputs: 1 } });
      together(head, y!, 'y', out, chunks);
    });
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

/** The gradients of attention. Σ over tokens of weight · its gradient, which a row of the softmax needs, is dy·y: no pass over the scores. */
const attentionBackward: OpCall<
  [q: Tensor, k: Tensor, v: Tensor, y: Tensor, dy: Tensor, attributes: Chunks],
  { dq: Tensor; dk: Tensor; dv: Tensor }
> = defineOp({
  name: 'attentionBackward',
  inputs: ['q', 'k', 'v', 'y', 'dy'],
  outputs: ['dq', 'dk', 'dv'],
  shape: ({ q, k, v }, _: Chunks) => ({ dq: q, dk: k, dv: v }),
  grad: 'none',
  onnx: ({ scale, chunk }, emit, { node, inputs: names, outputs: results }) => {
    const [[rows, width], [tokens], [, out]] = matrices(node.inputs);
    const chunks = cut(rows, chunk);
    const inputs = ['q', 'k', 'v', 'y', 'dy'];
    const alpha = { float: scale };
    eachMatrix(emit, node, { names, inputs, outputs: ['dq', 'dk', 'dv'], results }, (head) => {
      const states = [value('dk_t', tokens, width), value('dv_t', tokens, out)];
      const read = ['q_t', 'y_t', 'dy_t'].map((name, i) => value(name, chunks.taken, i === 0 ? width : out));
      const given = [value('dk_n', tokens, width), value('dv_n', tokens, out), value('dq_t', chunks.taken, width)];
      const body = head.body('chunk', [...states, ...read], given, (step) => {
        const [weights] = step.node('Softmax', scores(step, scale), { attributes: { axis: -1 } }); // [row, token]
        step.node('Gemm', [weights!, 'dy_t', 'dv_t'], { attributes: { transA: 1 }, outputs: ['dv_n'] });
        const [mean] = step.node('ReduceSum', [...step.node('Mul', ['dy_t', 'y_t']), step.ints([-1])]); // [row, 1]
        const [change] = step.node('Gemm', ['dy_t', 'v', mean!], { attributes: { transB: 1, beta: { float: -1 } } });
        const [dscores] = step.node('Mul', [change!, weights!]);
        step.node('Gemm', [dscores!, 'q_t', 'dk_t'], { attributes: { alpha, transA: 1 }, outputs: ['dk_n'] });
        step.node('Gemm', [dscores!, 'k'], { attributes: { alpha }, outputs: ['dq_t'] });
      });
      const before = [width, out].map((columns) => zeros(head, tokens, columns));
      const sequences = ['q', 'y', 'dy'].map((name, i) => inChunks(head, name, i === 0 ? width : out, chunks));
      const [, , dq] = head.node('Scan', [...before, ...sequences], {
        body,
        outputs: ['dk', 'dv', ''],
        attributes: { num_scan_inputs: sequences.length },
      });
      together(head, dq!, 'dq', width, chunks);
    });
  },
  run: (inputs, { scale }) => {
    const { count, rows, tokens, q, k, v } = parts(inputs);
    const [dq, dk, dv] = [inputs.q, inputs.k, inputs.v].map(({ data }) => new Float64Array(data.length)) as [
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    const [y, dy] = [lines(inputs.y), lines(inputs.dy)];
    for (let i = 0; i < count; i++) {
      for (let row = 0; row < rows; row++) {
        const weights = weightsOf(inputs, scale, i, row);
        const mean = dot(dy(i, row), y(i, row));
        for (let t = 0; t < tokens; t++) {
          const change = weights[t]! * (dot(dy(i, row), v(i, t)) - mean);
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
        [2, 2, 5, 3],
        [2, 2, 3, 3],
        [2, 2, 3, 2],
        [2, 2, 5, 2],
        [2, 2, 5, 2],
      ],
      with: { scale: 0.5, chunk: 2 },
    },
  ],
});

// The lowering: matrix after matrix, and in it chunk after chunk, so that only the scores of one chunk of one head are there.

const matrices = (inputs: readonly Tensor[]) =>
  inputs.map(({ shape }) => shape.slice(-2)) as unknown as [[number, number], [number, number], [number, number]];
const value = (name: string, ...shape: number[]): SubgraphValue => ({ name, shape });

interface Cut {
  readonly rows: number;
  readonly steps: number;
  /** Rows of a chunk; all are equal. */
  readonly taken: number;
}

/** The least number of chunks of no more than `chunk` rows; rows of zeros fill the last, and nothing flows through them. */
function cut(rows: number, chunk: number): Cut {
  const steps = Math.ceil(rows / chunk);
  return { rows, steps, taken: Math.ceil(rows / steps) };
}

/** `[row, column]` → `[step, taken, column]` */
function inChunks(emit: OnnxEmitter, x: string, columns: number, { rows, steps, taken }: Cut): string {
  const after = steps * taken - rows;
  const [filled] = after === 0 ? [x] : emit.node('Pad', [x, emit.ints([0, 0, after, 0])]);
  return emit.node('Reshape', [filled!, emit.ints([steps, taken, columns])])[0]!;
}

/** What `inChunks` did, undone. */
function together(emit: OnnxEmitter, x: string, y: string, columns: number, { rows, steps, taken }: Cut): void {
  const flat = (outputs: string[] | number): string[] =>
    emit.node('Reshape', [x, emit.ints([steps * taken, columns])], { outputs });
  if (steps * taken === rows) flat([y]);
  else emit.node('Slice', [...flat(1), emit.ints([0]), emit.ints([rows]), emit.ints([0])], { outputs: [y] });
}

/** `[row, token]` of a chunk, scaled. */
const scores = (emit: OnnxEmitter, scale: number): string[] =>
  emit.node('Gemm', ['q_t', 'k'], { attributes: { transB: 1, alpha: { float: scale } } });

interface Matrices {
  /** Tensors of the node, and what their matrices are called in the body. */
  readonly names: readonly string[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly results: readonly string[];
}

/** Runs a body on each matrix, the last two axes, of the inputs of a node; nothing is copied to get at them. */
function eachMatrix(
  emit: OnnxEmitter,
  node: Node,
  { names, inputs, outputs, results }: Matrices,
  build: (emit: OnnxEmitter) => void,
): void {
  const matrix = (name: string, { shape }: Tensor): SubgraphValue => ({ name, shape: shape.slice(-2) });
  const stacked = (x: string, { shape }: Tensor): string =>
    shape.length === 3 ? x : emit.node('Reshape', [x, emit.ints([-1, ...(shape.slice(-2) as number[])])])[0]!;
  const body = emit.body(
    node.op.name,
    inputs.map((name, i) => matrix(name, node.inputs[i]!)),
    outputs.map((name, i) => matrix(name, node.outputs[i]!)),
    build,
  );
  const plain = node.outputs[0]!.shape.length === 3;
  const given = emit.node(
    'Scan',
    names.map((name, i) => stacked(name, node.inputs[i]!)),
    {
      body,
      outputs: plain ? results : results.length,
      attributes: { num_scan_inputs: names.length },
    },
  );
  if (!plain)
    for (const [i, { shape }] of node.outputs.entries())
      emit.node('Reshape', [given[i]!, emit.shape(shape)], { outputs: [results[i]!] });
}

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
