/** What can be quantized in a graph: the products with known weights. */
import {
  conv1d,
  constantValues,
  gemm,
  gru,
  lstm,
  matmul,
  topological,
  type Graph,
  type Node,
  type Op,
  type Tensor,
  rnn,
} from '../graph/index.js';
import { gruFused, lstmFused } from '../graph/ops/fused-recurrent.js';

/** `int8`: weights and activations; `int8-weights`: the weights are stored in int8 and computed with in FP32. */
export type Precision = 'int8' | 'int8-weights' | 'float32';

/** A weight and the nodes that use it. */
export interface Layer {
  /** The path of the weight without its last part: `model/stack0/knots`. */
  readonly name: string;
  readonly weight: Tensor;
  /** The axis of the weight that counts output channels. */
  readonly axis: number;
  readonly nodes: readonly [Node, ...Node[]];
  /** What it may become, best first. */
  readonly precisions: readonly Precision[];
}

interface Kind {
  /** Which inputs are weights. */
  readonly weights: readonly number[];
  readonly axis: number;
  readonly rank: number;
  readonly activations: boolean;
}

/** Recurrent states are carried on, so errors would be too: there only weights are stored in int8. */
const kinds = new Map<Op, Kind>([
  [matmul.op, { weights: [1], axis: 1, rank: 2, activations: true }],
  [gemm.op, { weights: [1], axis: 1, rank: 2, activations: true }],
  [conv1d.op, { weights: [1], axis: 0, rank: 3, activations: true }],
  [rnn.op, { weights: [1], axis: 1, rank: 2, activations: false }],
  [gru.op, { weights: [1], axis: 1, rank: 2, activations: false }],
  [lstm.op, { weights: [1], axis: 1, rank: 2, activations: false }],
  [gruFused.op, { weights: [1, 2], axis: 1, rank: 3, activations: false }],
  [lstmFused.op, { weights: [1, 2], axis: 1, rank: 3, activations: false }],
]);

/** Below this many weights a layer saves nothing: an interpolation matrix, a scaler. */
const worthwhile = 1024;

/** `activations: false` leaves all activations in FP32. */
export function findLayers(graph: Graph, { activations }: { activations: boolean }): Layer[] {
  const users = new Map<Tensor, Node[]>();
  for (const node of topological(Object.values(graph.outputs))) {
    const kind = kinds.get(node.op);
    if (kind === undefined || constantValues(node.inputs[0]!) !== undefined) continue;
    for (const weight of kind.weights.map((i) => node.inputs[i]!)) {
      if (weight.shape.length !== kind.rank || (constantValues(weight)?.length ?? 0) < worthwhile) continue;
      users.set(weight, [...(users.get(weight) ?? []), node]);
    }
  }
  return [...users].map(([weight, nodes], i) => {
    const [first] = nodes as [Node, ...Node[]];
    const { name } = weight.node.attributes as { name?: string };
    const full = activations && nodes.every(({ op }) => kinds.get(op)!.activations);
    return {
      name: name?.replace(/\/weight$/, '') ?? `${first.op.name}${i}`,
      weight,
      axis: kinds.get(first.op)!.axis,
      nodes: [first, ...nodes.slice(1)],
      precisions: full ? ['int8', 'int8-weights', 'float32'] : ['int8-weights', 'float32'],
    };
  });
}

export interface QuantizedWeight {
  readonly values: Int8Array;
  /** One for each output channel. */
  readonly scale: number[];
}

/**
 * Seven bits, so that the sum of two products with a uint8 fits the 16 bits that x86 without VNNI adds them in
 * (ENGINE.md §5): 255·63·2 < 2^15.
 */
export const largestWeight = 63;

/** Symmetric int8 for each output channel. `atLeast` keeps a channel's scale from getting too fine. */
export function quantizeWeight(
  { weight, axis }: Pick<Layer, 'weight' | 'axis'>,
  atLeast?: (channel: number) => number,
  largest = largestWeight,
): QuantizedWeight {
  const data = constantValues(weight)!;
  const shape = weight.shape as readonly number[];
  const inner = shape.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  const channelOf = (i: number): number => Math.floor(i / inner) % shape[axis]!;
  const scale = new Array<number>(shape[axis]!).fill(0);
  for (let i = 0; i < data.length; i++)
    scale[channelOf(i)] = Math.max(scale[channelOf(i)]!, Math.abs(data[i]!) / largest);
  for (const [channel, value] of scale.entries()) {
    const chosen = Math.max(value, atLeast?.(channel) ?? 0);
    scale[channel] = Math.fround(chosen === 0 ? 1 : chosen); // a channel of zeros takes any scale
  }
  const values = Int8Array.from(data, (value, i) =>
    Math.max(-largest, Math.min(largest, Math.round(value / scale[channelOf(i)]!))),
  );
  return { values, scale };
}
