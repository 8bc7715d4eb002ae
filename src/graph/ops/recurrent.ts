/**
 * Recurrent layers over a whole sequence, time first. The forward pass also gives what the backward pass multiplies the
 * carried gradient by, while the step's numbers are at hand: to work it out later takes many passes over memory. A graph
 * that needs no gradient leaves all of that out. Gate orders are PyTorch's: r,z,n for the GRU and i,f,g,o for the LSTM.
 */
import { ShapeError } from '../../errors.js';
import { defineOp, type OpCall, type Tensor } from '../ir.js';
import type { NdArray } from '../ndarray.js';
import type { OnnxEmitter, Subgraph, SubgraphValue } from '../onnx/emitter.js';
import { sameShape, size, type Shape } from '../shape.js';
import { mul, sub } from './elementwise.js';
import { concat, reshape, slice, swapLast } from './layout.js';
import { matmul } from './linear.js';
import { sum } from './reduce.js';

function expectShape(where: string, name: string, shape: Shape, expected: Shape): void {
  if (!sameShape(shape, expected)) {
    throw new ShapeError({
      where,
      what: `${name} is [${shape}] but must be [${expected}].`,
      mend: 'Check the hidden size and the number of gates.',
    });
  }
}

/** States of the step before, for all steps: the initial state, then all but the last. `[time, batch, hidden]` */
const previous = (initial: Tensor, states: Tensor): Tensor => {
  const steps = states.shape[0] as number;
  const first = reshape(initial, { shape: [1, ...initial.shape] });
  return steps === 1 ? first : concat([first, slice(states, { axis: 0, start: 0, end: steps - 1 })], { axis: 0 });
};

/** Σ over all steps of aᵀ·b: the gradient of a weight used at every step. `[time, batch, p]`, `[time, batch, q]` → `[p, q]` */
const overSteps = (a: Tensor, b: Tensor): Tensor => {
  const flat = (t: Tensor): Tensor => reshape(t, { shape: [size(t.shape.slice(0, 2)), t.shape[2]!] });
  return matmul(swapLast(flat(a)), flat(b));
};

const value = (name: string, shape: Shape): SubgraphValue => ({ name, shape });
const logistic = (v: number): number => 1 / (1 + Math.exp(-v));

interface ScanOptions {
  readonly body: Subgraph;
  readonly states: readonly string[];
  readonly sequences: readonly string[];
  readonly outputs: readonly string[];
  readonly scanOutputs: number;
  readonly backwards?: boolean;
}

function scan(
  emit: OnnxEmitter,
  { body, states, sequences, outputs, scanOutputs, backwards = false }: ScanOptions,
): void {
  const directions = (count: number): number[] => new Array<number>(count).fill(1);
  emit.node('Scan', [...states, ...sequences], {
    body,
    outputs,
    attributes: {
      num_scan_inputs: sequences.length,
      ...(backwards
        ? { scan_input_directions: directions(sequences.length), scan_output_directions: directions(scanOutputs) }
        : {}),
    },
  });
}

/** Splits the last axis in equal parts; works inside a body graph too. */
const split = (emit: OnnxEmitter, tensor: string, parts: number): string[] =>
  emit.node('Split', [tensor], { attributes: { axis: -1, num_outputs: parts }, outputs: parts });

// ---------------------------------------------------------------------------------------------------------------- RNN

/**
 * The plain recurrent layer (https://doi.org/10.1207/s15516709cog1402_1): the state is the tangent of what comes in.
 * `x [time, batch, hidden]` is the input side with both biases, `w [hidden, hidden]`, `h0 [batch, hidden]` → `[time, batch, hidden]`.
 */
export const rnn: OpCall<[x: Tensor, w: Tensor, h0: Tensor]> = defineOp({
  name: 'rnn',
  inputs: ['x', 'w', 'h0'],
  shape: ({ x, w, h0 }) => {
    const [time, batch] = x as [number, number];
    const hidden = h0[1] as number;
    expectShape('rnn', 'x', x, [time, batch, hidden]);
    expectShape('rnn', 'w', w, [hidden, hidden]);
    expectShape('rnn', 'h0', h0, [batch, hidden]);
    return x;
  },
  grad: ({ w, h0 }, { y, dy }) => {
    const { dg, dh0 } = rnnBackward(dy, sub(1, mul(y, y)), swapLast(w));
    return { x: dg, w: overSteps(previous(h0, y), dg), h0: dh0 };
  },
  onnx: (_, emit, { node, inputs: [x, w, h0], outputs }) => {
    const [, batch, hidden] = node.outputs[0]!.shape as [number, number, number];
    const state: Shape = [batch, hidden];
    const body = emit.body(
      'rnn',
      [value('h_in', state), value('x_t', state)],
      [value('h_out', state), value('h_t', state)],
      (step) => {
        step.node('Tanh', step.node('Gemm', ['h_in', w!, 'x_t']), { outputs: ['h_out'] });
        step.node('Identity', ['h_out'], { outputs: ['h_t'] });
      },
    );
    scan(emit, { body, states: [h0!], sequences: [x!], outputs: ['', ...outputs], scanOutputs: 1 });
  },
  run: ({ x, w, h0 }) => {
    const [time, batch, hidden] = x.shape as [number, number, number];
    const y = new Float64Array(x.data.length);
    let state = h0.data;
    for (let t = 0; t < time; t++) {
      const first = t * batch * hidden;
      y.set(
        stepProduct(state, w, batch).map((g, i) => Math.tanh(x.data[first + i]! + g)),
        first,
      );
      state = y.subarray(first, first + batch * hidden);
    }
    return y;
  },
  samples: [
    [
      [3, 2, 4],
      [4, 4],
      [2, 4],
    ],
  ],
});

/** The carried part of the backward pass of rnn, last step first. `dy`, `k [time, batch, hidden]`. */
const rnnBackward: OpCall<[dy: Tensor, k: Tensor, w: Tensor], { dg: Tensor; dh0: Tensor }> = defineOp({
  name: 'rnnBackward',
  inputs: ['dy', 'k', 'w'],
  outputs: ['dg', 'dh0'],
  shape: ({ dy }) => ({ dg: dy, dh0: dy.slice(1) }),
  grad: 'none',
  onnx: (_, emit, { node, inputs: [dy, k, w], outputs: [dg, dh0] }) => {
    const [, batch, hidden] = node.inputs[0]!.shape as [number, number, number];
    const state: Shape = [batch, hidden];
    const body = emit.body(
      'rnnBackward',
      [value('carry', state), value('dy_t', state), value('k_t', state)],
      [value('carry_out', state), value('dg_t', state)],
      (step) => {
        const [dh] = step.node('Add', ['carry', 'dy_t']);
        step.node('Mul', [dh!, 'k_t'], { outputs: ['dg_t'] });
        step.node('MatMul', ['dg_t', w!], { outputs: ['carry_out'] });
      },
    );
    const sequences = [dy!, k!];
    scan(emit, {
      body,
      states: [zeros(emit, state)],
      sequences,
      outputs: [dh0!, dg!],
      scanOutputs: 1,
      backwards: true,
    });
  },
  run: ({ dy, k, w }) => {
    const [time, batch, hidden] = dy.shape as [number, number, number];
    const dg = new Float64Array(dy.data.length);
    let carry: Float64Array = new Float64Array(batch * hidden);
    for (let t = time - 1; t >= 0; t--) {
      const first = t * batch * hidden;
      const step = carry.map((c, i) => (c + dy.data[first + i]!) * k.data[first + i]!);
      dg.set(step, first);
      carry = stepProduct(step, w, batch);
    }
    return [dg, carry];
  },
  samples: [
    [
      [3, 2, 4],
      [3, 2, 4],
      [4, 4],
    ],
  ],
});

// ---------------------------------------------------------------------------------------------------------------- GRU

export interface GruOutputs {
  /** The states, `[time, batch, hidden]`. */
  readonly h: Tensor;
  /** For the backward pass: the states before each step, as are `z` and `kn`, the slope of n's input side `[time, batch, hidden]`. */
  readonly before: Tensor;
  readonly z: Tensor;
  readonly kn: Tensor;
  /** Slopes of the recurrent sides of r, z and n, `[time, batch, 3·hidden]`. */
  readonly k: Tensor;
}

/**
 * Gated recurrent unit (https://arxiv.org/abs/1406.1078, PyTorch's variant: the reset gate works on the product).
 * `x [time, batch, 3·hidden]` is the input side with its bias, `w [hidden, 3·hidden]`, `b [3·hidden]`, `h0 [batch, hidden]`.
 * Gradients flow through `h` alone.
 */
export const gru: OpCall<[x: Tensor, w: Tensor, b: Tensor, h0: Tensor], GruOutputs> = defineOp({
  name: 'gru',
  inputs: ['x', 'w', 'b', 'h0'],
  outputs: ['h', 'before', 'z', 'kn', 'k'],
  shape: ({ x, w, b, h0 }) => {
    const [time, batch] = x as [number, number];
    const hidden = h0[1] as number;
    expectShape('gru', 'x', x, [time, batch, 3 * hidden]);
    expectShape('gru', 'w', w, [hidden, 3 * hidden]);
    expectShape('gru', 'b', b, [3 * hidden]);
    expectShape('gru', 'h0', h0, [batch, hidden]);
    const h = [time, batch, hidden];
    return { h, before: h, z: h, kn: h, k: x };
  },
  grad: ({ w, h0 }, { outputs: { before, z, kn, k }, gradients }) => {
    const { dg, dh, dh0 } = gruBackward(gradients.h!, k, z, swapLast(w));
    const dx = concat([slice(dg, { axis: 2, start: 0, end: 2 * (h0.shape[1] as number) }), mul(dh, kn)], { axis: 2 });
    return { x: dx, w: overSteps(before, dg), b: sum(dg, { axes: [0, 1] }), h0: dh0 };
  },
  onnx: (_, emit, { node, inputs: [x, w, b, h0], outputs }) => {
    const [, batch, hidden] = node.outputs[0]!.shape as [number, number, number];
    const gate: Shape = [batch, hidden];
    const twoAndOne = emit.ints([2 * hidden, hidden]); // r and z together, then n
    const one = emit.constant(Float32Array.of(1), []);
    const backward = outputs.slice(1).some((name) => name !== '');
    const body = emit.body(
      'gru',
      [value('h_in', gate), value('x_t', [batch, 3 * hidden])],
      [
        ...['h_out', 'h_t', ...(backward ? ['before', 'z', 'kn'] : [])].map((name) => value(name, gate)),
        ...(backward ? [value('k', [batch, 3 * hidden])] : []),
      ],
      (step) => {
        const [g] = step.node('Gemm', ['h_in', w!, b!]);
        const [xrz, xn] = step.node('Split', ['x_t', twoAndOne], { attributes: { axis: -1 }, outputs: 2 });
        const [hrz, hn] = step.node('Split', [g!, twoAndOne], { attributes: { axis: -1 }, outputs: 2 });
        const [rz] = step.node('Sigmoid', step.node('Add', [xrz!, hrz!]));
        const gates = backward ? ['', 'z'] : 2;
        const [r, z] = step.node('Split', [rz!], { attributes: { axis: -1, num_outputs: 2 }, outputs: gates });
        const [reset] = step.node('Mul', [r!, hn!]);
        const [n] = step.node('Tanh', step.node('Add', [xn!, reset!]));
        const [change] = step.node('Sub', ['h_in', n!]);
        const [kept] = step.node('Mul', [z!, change!]);
        step.node('Add', [n!, kept!], { outputs: ['h_out'] });
        step.node('Identity', ['h_out'], { outputs: ['h_t'] });
        if (!backward) return;
        step.node('Identity', ['h_in'], { outputs: ['before'] });
        const [open] = step.node('Sub', [one, z!]);
        const [seen] = step.node('Mul', [open!, ...step.node('Mul', [n!, n!])]);
        step.node('Sub', [open!, seen!], { outputs: ['kn'] }); // (1 - z)(1 - n²)
        const [through] = step.node('Mul', ['kn', reset!]);
        const [kr] = step.node('Sub', [through!, ...step.node('Mul', [through!, r!])]); // kn·hn·r(1 - r)
        const [kz] = step.node('Mul', [kept!, open!]); // (before - n)·z(1 - z)
        const [kh] = step.node('Mul', ['kn', r!]);
        step.node('Concat', [kr!, kz!, kh!], { attributes: { axis: 1 }, outputs: ['k'] });
      },
    );
    const given = backward ? outputs : outputs.slice(0, 1);
    scan(emit, { body, states: [h0!], sequences: [x!], outputs: ['', ...given], scanOutputs: given.length });
  },
  run: ({ x, w, b, h0 }) => {
    const [time, batch] = x.shape as [number, number];
    const hidden = h0.shape[1]!;
    const [h, before, z, kn] = Array.from({ length: 4 }, () => new Float64Array(time * batch * hidden)) as [
      Float64Array,
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    const k = new Float64Array(x.data.length);
    let state = h0.data;
    for (let t = 0; t < time; t++) {
      const g = stepProduct(state, w, batch, b.data);
      for (let i = 0; i < batch; i++) {
        for (let j = 0; j < hidden; j++) {
          const to = (t * batch + i) * hidden + j;
          const wide = (t * batch + i) * 3 * hidden + j;
          const from = (part: number): number => x.data[wide + part * hidden]!;
          const side = (part: number): number => g[i * 3 * hidden + part * hidden + j]!;
          const r = logistic(from(0) + side(0));
          const n = Math.tanh(from(2) + r * side(2));
          before[to] = state[i * hidden + j]!;
          z[to] = logistic(from(1) + side(1));
          h[to] = (1 - z[to]) * n + z[to] * before[to];
          kn[to] = (1 - z[to]) * (1 - n * n);
          k[wide] = kn[to] * side(2) * r * (1 - r);
          k[wide + hidden] = (before[to] - n) * z[to] * (1 - z[to]);
          k[wide + 2 * hidden] = kn[to] * r;
        }
      }
      state = h.subarray(t * batch * hidden, (t + 1) * batch * hidden);
    }
    return [h, before, z, kn, k];
  },
  samples: [[[3, 2, 6], [2, 6], [6], [2, 2]]],
});

/** `state · w + bias`, for one step. `[batch, hidden] · [hidden, columns]` */
function stepProduct(state: Float64Array, w: NdArray, batch: number, bias?: Float64Array): Float64Array {
  const [hidden, columns] = w.shape as [number, number];
  const result = new Float64Array(batch * columns);
  for (let i = 0; i < batch; i++) {
    for (let c = 0; c < columns; c++) {
      let total = bias?.[c] ?? 0;
      for (let j = 0; j < hidden; j++) total += state[i * hidden + j]! * w.data[j * columns + c]!;
      result[i * columns + c] = total;
    }
  }
  return result;
}

/** The carried part of the GRU's backward pass, last step first. `dy`, `z [time, batch, hidden]`, `k [time, batch, 3·hidden]`. */
const gruBackward: OpCall<[dy: Tensor, k: Tensor, z: Tensor, w: Tensor], { dg: Tensor; dh: Tensor; dh0: Tensor }> =
  defineOp({
    name: 'gruBackward',
    inputs: ['dy', 'k', 'z', 'w'],
    outputs: ['dg', 'dh', 'dh0'],
    shape: ({ dy, k }) => ({ dg: k, dh: dy, dh0: dy.slice(1) }),
    grad: 'none',
    onnx: (_, emit, { node, inputs: [dy, k, z, w], outputs: [dg, dh, dh0] }) => {
      const [, batch, hidden] = node.inputs[0]!.shape as [number, number, number];
      const state: Shape = [batch, hidden];
      const wide: Shape = [batch, 3 * hidden];
      const body = emit.body(
        'gruBackward',
        [value('carry', state), value('dy_t', state), value('k_t', wide), value('z_t', state)],
        [value('carry_out', state), value('dg_t', wide), value('dh_t', state)],
        (step) => {
          step.node('Add', ['carry', 'dy_t'], { outputs: ['dh_t'] });
          const [tiled] = step.node('Concat', ['dh_t', 'dh_t', 'dh_t'], { attributes: { axis: 1 } });
          step.node('Mul', [tiled!, 'k_t'], { outputs: ['dg_t'] });
          const [kept] = step.node('Mul', ['dh_t', 'z_t']);
          step.node('Gemm', ['dg_t', w!, kept!], { outputs: ['carry_out'] });
        },
      );
      const start = zeros(emit, state);
      scan(emit, {
        body,
        states: [start],
        sequences: [dy!, k!, z!],
        outputs: [dh0!, dg!, dh!],
        scanOutputs: 2,
        backwards: true,
      });
    },
    run: ({ dy, k, z, w }) => {
      const [time, batch, hidden] = dy.shape as [number, number, number];
      const dg = new Float64Array(k.data.length);
      const dh = new Float64Array(dy.data.length);
      let carry: Float64Array = new Float64Array(batch * hidden);
      for (let t = time - 1; t >= 0; t--) {
        const next = new Float64Array(batch * hidden);
        const step = dg.subarray(t * batch * 3 * hidden, (t + 1) * batch * 3 * hidden);
        for (let i = 0; i < batch * hidden; i++) {
          const from = t * batch * hidden + i;
          dh[from] = carry[i]! + dy.data[from]!;
          next[i] = dh[from] * z.data[from]!;
          const wide = Math.floor(i / hidden) * 3 * hidden + (i % hidden);
          for (let part = 0; part < 3; part++) {
            step[wide + part * hidden] = dh[from] * k.data[t * batch * 3 * hidden + wide + part * hidden]!;
          }
        }
        const back = stepProduct(step, w, batch);
        carry = next.map((v, i) => v + back[i]!);
      }
      return [dg, dh, carry];
    },
    samples: [
      [
        [3, 2, 2],
        [3, 2, 6],
        [3, 2, 2],
        [6, 2],
      ],
    ],
  });

/** The zero state a backward scan starts from. The training graph has a fixed batch. */
const zeros = (emit: OnnxEmitter, shape: Shape): string =>
  emit.constant(new Float32Array(size(shape) as number), shape as number[]);

// --------------------------------------------------------------------------------------------------------------- LSTM

export interface LstmOutputs {
  /** The states, `[time, batch, hidden]`. */
  readonly h: Tensor;
  /** For the backward pass: the states before each step, the forget gate, the slope from state to cell `[time, batch, hidden]`. */
  readonly before: Tensor;
  readonly f: Tensor;
  readonly a: Tensor;
  /** Slopes of the gates. */
  readonly ki: Tensor;
  readonly kf: Tensor;
  readonly kg: Tensor;
  readonly ko: Tensor;
  /** The cell after the last step, `[batch, hidden]`: where another layer may start. */
  readonly last: Tensor;
}

/**
 * Long short-term memory (https://doi.org/10.1162/neco.1997.9.8.1735, without peepholes).
 * `x [time, batch, 4·hidden]` is the input side with both biases, `w [hidden, 4·hidden]`, `h0`, `c0 [batch, hidden]`.
 * Gradients flow through `h` and `last` alone.
 */
export const lstm: OpCall<[x: Tensor, w: Tensor, h0: Tensor, c0: Tensor], LstmOutputs> = defineOp({
  name: 'lstm',
  inputs: ['x', 'w', 'h0', 'c0'],
  outputs: ['h', 'before', 'f', 'a', 'ki', 'kf', 'kg', 'ko', 'last'],
  shape: ({ x, w, h0, c0 }) => {
    const [time, batch] = x as [number, number];
    const hidden = h0[1] as number;
    expectShape('lstm', 'x', x, [time, batch, 4 * hidden]);
    expectShape('lstm', 'w', w, [hidden, 4 * hidden]);
    expectShape('lstm', 'h0', h0, [batch, hidden]);
    expectShape('lstm', 'c0', c0, [batch, hidden]);
    const h = [time, batch, hidden];
    return { h, before: h, f: h, a: h, ki: h, kf: h, kg: h, ko: h, last: c0 };
  },
  grad: ({ w, c0 }, { outputs: { h, before, f, a, ki, kf, kg, ko }, gradients }) => {
    const dy = gradients.h ?? mul(h, 0);
    const { dg, dh0, dc0 } = lstmBackward(dy, a, ki, kf, kg, ko, f, swapLast(w), gradients.last ?? mul(c0, 0));
    return { x: dg, w: overSteps(before, dg), h0: dh0, c0: dc0 };
  },
  onnx: (_, emit, { node, inputs: [x, w, h0, c0], outputs: [states, ...rest] }) => {
    const [, batch, hidden] = node.outputs[0]!.shape as [number, number, number];
    const gate: Shape = [batch, hidden];
    const last = rest.pop()!;
    const backward = rest.some((name) => name !== '');
    const one = emit.constant(Float32Array.of(1), []);
    const body = emit.body(
      'lstm',
      [value('h_in', gate), value('c_in', gate), value('x_t', [batch, 4 * hidden])],
      ['h_out', 'c_out', 'h_t', ...(backward ? ['before', 'f', 'a', 'ki', 'kf', 'kg', 'ko'] : [])].map((name) =>
        value(name, gate),
      ),
      (step) => {
        const [all] = step.node('Gemm', ['h_in', w!, 'x_t']);
        const [inSide, forgetSide, cellSide, outSide] = split(step, all!, 4);
        const [i] = step.node('Sigmoid', [inSide!]);
        const [g] = step.node('Tanh', [cellSide!]);
        const [o] = step.node('Sigmoid', [outSide!]);
        const [f] = step.node('Sigmoid', [forgetSide!], { outputs: backward ? ['f'] : 1 });
        const [kept] = step.node('Mul', [f!, 'c_in']);
        const [written] = step.node('Mul', [i!, g!]);
        step.node('Add', [kept!, written!], { outputs: ['c_out'] });
        const [seen] = step.node('Tanh', ['c_out']);
        step.node('Mul', [o!, seen!], { outputs: ['h_out'] });
        step.node('Identity', ['h_out'], { outputs: ['h_t'] });
        if (!backward) return;
        step.node('Identity', ['h_in'], { outputs: ['before'] });
        const times = (a: string, b: string): string => step.node('Mul', [a, b])[0]!;
        const closed = (part: string, by: string, slope: string): unknown =>
          step.node('Mul', [part, step.node('Sub', [one, by])[0]!], { outputs: [slope] });
        closed(written!, i!, 'ki');
        closed(kept!, f!, 'kf');
        step.node('Sub', [i!, times(written!, g!)], { outputs: ['kg'] }); // i(1 - g²)
        closed('h_out', o!, 'ko');
        step.node('Sub', [o!, times('h_out', seen!)], { outputs: ['a'] }); // o(1 - tanh²c)
      },
    );
    const given = backward ? [states!, ...rest] : [states!];
    scan(emit, {
      body,
      states: [h0!, c0!],
      sequences: [x!],
      outputs: ['', last, ...given],
      scanOutputs: given.length,
    });
  },
  run: ({ x, w, h0, c0 }) => {
    const [time, batch] = x.shape as [number, number];
    const hidden = h0.shape[1]!;
    const made = Array.from({ length: 8 }, () => new Float64Array(time * batch * hidden));
    const [h, before, f, a, ki, kf, kg, ko] = made as [
      Float64Array,
      Float64Array,
      Float64Array,
      Float64Array,
      Float64Array,
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    let state = h0.data;
    let cell = c0.data;
    for (let t = 0; t < time; t++) {
      const product = stepProduct(state, w, batch);
      const next = new Float64Array(batch * hidden);
      for (let row = 0; row < batch; row++) {
        for (let j = 0; j < hidden; j++) {
          const at = row * hidden + j;
          const to = t * batch * hidden + at;
          const wide = (t * batch + row) * 4 * hidden + j;
          const side = (part: number): number =>
            x.data[wide + part * hidden]! + product[row * 4 * hidden + part * hidden + j]!;
          const [i, g, o] = [logistic(side(0)), Math.tanh(side(2)), logistic(side(3))];
          before[to] = state[at]!;
          f[to] = logistic(side(1));
          next[at] = f[to] * cell[at]! + i * g;
          const seen = Math.tanh(next[at]);
          h[to] = o * seen;
          a[to] = o * (1 - seen * seen);
          ki[to] = g * i * (1 - i);
          kf[to] = cell[at]! * f[to] * (1 - f[to]);
          kg[to] = i * (1 - g * g);
          ko[to] = seen * o * (1 - o);
        }
      }
      state = h.subarray(t * batch * hidden, (t + 1) * batch * hidden);
      cell = next;
    }
    return [...made, cell];
  },
  samples: [
    [
      [3, 2, 8],
      [2, 8],
      [2, 2],
      [2, 2],
    ],
  ],
});

/**
 * The carried part of the LSTM's backward pass, last step first. `dy`, `a`, `f` and the slopes of the gates
 * `[time, batch, hidden]`, `dc [batch, hidden]` that of the last cell.
 */
const lstmBackward: OpCall<
  [dy: Tensor, a: Tensor, ki: Tensor, kf: Tensor, kg: Tensor, ko: Tensor, f: Tensor, w: Tensor, dc: Tensor],
  { dg: Tensor; dh0: Tensor; dc0: Tensor }
> = defineOp({
  name: 'lstmBackward',
  inputs: ['dy', 'a', 'ki', 'kf', 'kg', 'ko', 'f', 'w', 'dc'],
  outputs: ['dg', 'dh0', 'dc0'],
  shape: ({ dy }) => ({ dg: dy.with(2, 4 * (dy[2] as number)), dh0: dy.slice(1), dc0: dy.slice(1) }),
  grad: 'none',
  onnx: (_, emit, { node, inputs, outputs: [dg, dh0, dc0] }) => {
    const [, batch, hidden] = node.inputs[0]!.shape as [number, number, number];
    const state: Shape = [batch, hidden];
    const wide: Shape = [batch, 4 * hidden];
    const sequences = inputs.slice(0, 7);
    const [w, last] = inputs.slice(7);
    const body = emit.body(
      'lstmBackward',
      ['carry', 'dc_in', 'dy_t', 'a_t', 'ki_t', 'kf_t', 'kg_t', 'ko_t', 'f_t'].map((name) => value(name, state)),
      [value('carry_out', state), value('dc_out', state), value('dg_t', wide)],
      (step) => {
        const times = (a: string, b: string): string => step.node('Mul', [a, b])[0]!;
        const [dh] = step.node('Add', ['carry', 'dy_t']);
        const [dc] = step.node('Add', [times(dh!, 'a_t'), 'dc_in']);
        const gates = [times(dc!, 'ki_t'), times(dc!, 'kf_t'), times(dc!, 'kg_t'), times(dh!, 'ko_t')];
        step.node('Concat', gates, { attributes: { axis: 1 }, outputs: ['dg_t'] });
        step.node('Mul', [dc!, 'f_t'], { outputs: ['dc_out'] });
        step.node('MatMul', ['dg_t', w!], { outputs: ['carry_out'] });
      },
    );
    scan(emit, {
      body,
      states: [zeros(emit, state), last!],
      sequences,
      outputs: [dh0!, dc0!, dg!],
      scanOutputs: 1,
      backwards: true,
    });
  },
  run: ({ dy, a, ki, kf, kg, ko, f, w, dc: last }) => {
    const [time, batch, hidden] = dy.shape as [number, number, number];
    const slopes = [ki, kf, kg, ko];
    const dg = new Float64Array(4 * dy.data.length);
    let carry: Float64Array = new Float64Array(batch * hidden);
    let dcNext = last.data;
    for (let t = time - 1; t >= 0; t--) {
      const dcOut = new Float64Array(batch * hidden);
      const step = dg.subarray(t * batch * 4 * hidden, (t + 1) * batch * 4 * hidden);
      for (let i = 0; i < batch * hidden; i++) {
        const from = t * batch * hidden + i;
        const dh = carry[i]! + dy.data[from]!;
        const dc = dh * a.data[from]! + dcNext[i]!;
        dcOut[i] = dc * f.data[from]!;
        const wide = Math.floor(i / hidden) * 4 * hidden + (i % hidden);
        for (const [part, slope] of slopes.entries())
          step[wide + part * hidden] = (slope === ko ? dh : dc) * slope.data[from]!;
      }
      carry = stepProduct(step, w, batch);
      dcNext = dcOut;
    }
    return [dg, carry, dcNext];
  },
  samples: [
    [
      [3, 2, 2],
      [3, 2, 2],
      [3, 2, 2],
      [3, 2, 2],
      [3, 2, 2],
      [3, 2, 2],
      [3, 2, 2],
      [8, 2],
      [2, 2],
    ],
  ],
});
