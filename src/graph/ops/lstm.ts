/** Long short-term memory over a whole sequence. See scan.ts. */
import { defineOp, type OpCall, type Tensor } from '../ir.js';
import type { Shape } from '../shape.js';
import { mul } from './elementwise.js';
import { swapLast } from './layout.js';
import { expectShape, logistic, overSteps, scan, split, stepProduct, value, zeros } from './scan.js';

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
