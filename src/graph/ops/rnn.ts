/** The plain recurrent layer over a whole sequence. See scan.ts. */
import { defineOp, type OpCall, type Tensor } from '../ir.js';
import type { Shape } from '../shape.js';
import { mul, sub } from './elementwise.js';
import { swapLast } from './layout.js';
import { expectShape, overSteps, previous, scan, stepProduct, value, zeros } from './scan.js';

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
