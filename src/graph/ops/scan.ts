/**
 * What rnn.ts, gru.ts and lstm.ts share: recurrent layers over a whole sequence, time first. The forward pass also gives
 * what the backward pass multiplies the carried gradient by, while the step's numbers are at hand: to work it out later
 * takes many passes over memory. A graph that needs no gradient leaves all of that out. Gate orders are PyTorch's: r,z,n
 * for the GRU and i,f,g,o for the LSTM.
 */
import { ShapeError } from '../../errors.js';
import type { Tensor } from '../ir.js';
import type { NdArray } from '../ndarray.js';
import type { OnnxEmitter, Subgraph, SubgraphValue } from '../onnx/emitter.js';
import { sameShape, size, type Shape } from '../shape.js';
import { concat, reshape, slice, swapLast } from './layout.js';
import { matmul } from './linear.js';

export function expectShape(where: string, name: string, shape: Shape, expected: Shape): void {
  if (!sameShape(shape, expected)) {
    throw new ShapeError({
      where,
      what: `${name} is [${shape}] but must be [${expected}].`,
      mend: 'Check the hidden size and the number of gates.',
    });
  }
}

/** States of the step before, for all steps: the initial state, then all but the last. `[time, batch, hidden]` */
export const previous = (initial: Tensor, states: Tensor): Tensor => {
  const steps = states.shape[0] as number;
  const first = reshape(initial, { shape: [1, ...initial.shape] });
  return steps === 1 ? first : concat([first, slice(states, { axis: 0, start: 0, end: steps - 1 })], { axis: 0 });
};

/** Σ over all steps of aᵀ·b: the gradient of a weight used at every step. `[time, batch, p]`, `[time, batch, q]` → `[p, q]` */
export const overSteps = (a: Tensor, b: Tensor): Tensor => {
  const flat = (t: Tensor): Tensor => reshape(t, { shape: [size(t.shape.slice(0, 2)), t.shape[2]!] });
  return matmul(swapLast(flat(a)), flat(b));
};

export const value = (name: string, shape: Shape): SubgraphValue => ({ name, shape });
export const logistic = (v: number): number => 1 / (1 + Math.exp(-v));

interface ScanOptions {
  readonly body: Subgraph;
  readonly states: readonly string[];
  readonly sequences: readonly string[];
  readonly outputs: readonly string[];
  readonly scanOutputs: number;
  readonly backwards?: boolean;
}

export function scan(
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
export const split = (emit: OnnxEmitter, tensor: string, parts: number): string[] =>
  emit.node('Split', [tensor], { attributes: { axis: -1, num_outputs: parts }, outputs: parts });

/** `state · w + bias`, for one step. `[batch, hidden] · [hidden, columns]` */
export function stepProduct(state: Float64Array, w: NdArray, batch: number, bias?: Float64Array): Float64Array {
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

/** The zero state a backward scan starts from. The training graph has a fixed batch. */
export const zeros = (emit: OnnxEmitter, shape: Shape): string =>
  emit.constant(new Float32Array(size(shape) as number), shape as number[]);
