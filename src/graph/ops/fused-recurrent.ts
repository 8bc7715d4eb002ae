/**
 * ONNX's own GRU and LSTM, for graphs that ship: one node per layer, but the gates stay hidden in it, so nothing can be
 * differentiated through it. Made by passes/fuse-recurrent.ts. Gate orders are ONNX's: z,r,h and i,o,f,c.
 */
import { defineOp, type OpCall, type Tensor } from '../ir.js';
import { ndarray, type NdArray } from '../ndarray.js';
import type { Shape } from '../shape.js';
import { gru } from './gru.js';
import { lstm } from './lstm.js';

/** Where each gate of gru and lstm stands in ONNX's order. */
export const gruGates = [1, 0, 2] as const; // r, z, n in z, r, h
export const lstmGates = [0, 2, 3, 1] as const; // i, f, g, o in i, o, f, c

type Inputs<T> = Readonly<Record<'x' | 'w' | 'r' | 'b', T>>;
type Fused = OpCall<[x: Tensor, w: Tensor, r: Tensor, b: Tensor]>;

const outputShape = ({ x, r }: Inputs<Shape>): Shape => [x[0]!, 1, x[1]!, r[2]!];

/** The same layer as gru and lstm want it: the input side multiplied out, gates in their order. */
function unfused({ x, w, r, b }: Inputs<NdArray>, gates: readonly number[]) {
  const [time, batch, inputs] = x.shape as [number, number, number];
  const hidden = r.shape[2]!;
  const width = gates.length * hidden;
  const row = (column: number): number => gates[Math.floor(column / hidden)]! * hidden + (column % hidden);
  const read = ndarray(
    Float64Array.from({ length: time * batch * width }, (_, i) => {
      const line = row(i % width);
      let total = b.data[line]!;
      for (let k = 0; k < inputs; k++)
        total += x.data[Math.floor(i / width) * inputs + k]! * w.data[line * inputs + k]!;
      return total;
    }),
    [time, batch, width],
  );
  const weight = Float64Array.from(
    { length: hidden * width },
    (_, i) => r.data[row(i % width) * hidden + Math.floor(i / width)]!,
  );
  const bias = Float64Array.from({ length: width }, (_, i) => b.data[width + row(i)]!);
  const start = ndarray(new Float64Array(batch * hidden), [batch, hidden]);
  return { read, weight: ndarray(weight, [hidden, width]), bias, start };
}

/** `x [time, batch, inputs]`, `w [1, 3·hidden, inputs]`, `r [1, 3·hidden, hidden]`, `b [1, 6·hidden]` → `[time, 1, batch, hidden]`. */
export const gruFused: Fused = defineOp({
  name: 'gruFused',
  inputs: ['x', 'w', 'r', 'b'],
  shape: outputShape,
  grad: 'none',
  onnx: (_, emit, { node, inputs, outputs }) => {
    const hidden = node.inputs[2]!.shape[2] as number;
    emit.node('GRU', inputs, { attributes: { hidden_size: hidden, linear_before_reset: 1 }, outputs });
  },
  run: (inputs) => {
    const { read, weight, bias, start } = unfused(inputs, gruGates);
    const [h] = gru.op.run(
      { x: read, w: weight, b: ndarray(bias, [bias.length]), h0: start },
      {},
      [],
      [],
    ) as Float64Array[];
    return h!;
  },
  samples: [
    [
      [3, 2, 4],
      [1, 6, 4],
      [1, 6, 2],
      [1, 12],
    ],
  ],
});

/** `x [time, batch, inputs]`, `w [1, 4·hidden, inputs]`, `r [1, 4·hidden, hidden]`, `b [1, 8·hidden]` → `[time, 1, batch, hidden]`. */
export const lstmFused: Fused = defineOp({
  name: 'lstmFused',
  inputs: ['x', 'w', 'r', 'b'],
  shape: outputShape,
  grad: 'none',
  onnx: (_, emit, { node, inputs, outputs }) => {
    const hidden = node.inputs[2]!.shape[2] as number;
    emit.node('LSTM', inputs, { attributes: { hidden_size: hidden }, outputs });
  },
  run: (inputs) => {
    const { read, weight, bias, start } = unfused(inputs, lstmGates);
    const gates = read.data.map((value, i) => value + bias[i % bias.length]!);
    const [h] = lstm.op.run(
      { x: ndarray(gates, read.shape), w: weight, h0: start, c0: start },
      {},
      [],
      [],
    ) as Float64Array[];
    return h!;
  },
  samples: [
    [
      [3, 2, 4],
      [1, 8, 4],
      [1, 8, 2],
      [1, 16],
    ],
  ],
});
