/** The gated recurrent unit over a whole sequence. See scan.ts. */
import { defineOp, type OpCall, type Tensor } from '../ir.js';
import type { Shape } from '../shape.js';
import { mul } from './elementwise.js';
import { concat, slice, swapLast } from './layout.js';
import { sum } from './reduce.js';
import { expectShape, logistic, overSteps, scan, stepProduct, value, zeros } from './scan.js';

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
