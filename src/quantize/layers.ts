/** What can be quantized in a graph: the products with known weights. */
import {
  constant,
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

/**
 * `int8`: weights and activations, with ranges found beforehand; `int8-dynamic`: with the ranges of each run; `…-weights`
 * and `float16`: stored so and computed with in FP32.
 */
export type Precision = 'int8' | 'int8-dynamic' | 'int8-weights' | 'int4-weights' | 'float16' | 'float32';

/** A weight and the nodes that use it. */
export interface Layer {
  /** The path of the weight without its last part: `model/stack0/knots`. */
  readonly name: string;
  readonly weight: Tensor;
  /** The axis of the weight that counts output channels. */
  readonly axis: number;
  readonly nodes: readonly [Node, ...Node[]];
  /** What it may become. */
  readonly precisions: readonly Precision[];
}

interface Kind {
  /** Which inputs are weights. */
  readonly weights: readonly number[];
  readonly axis: number;
  readonly rank: number;
  /** How it can be multiplied in integers. */
  readonly integer: readonly Precision[];
}

const product = { weights: [1], axis: 1, rank: 2 } as const;
/** Recurrent states are carried on, so errors would be too: there weights alone are stored in int8. */
const kinds = new Map<Op, Kind>([
  [matmul.op, { ...product, integer: ['int8', 'int8-dynamic'] }],
  [gemm.op, { ...product, integer: ['int8', 'int8-dynamic'] }],
  [conv1d.op, { weights: [1], axis: 0, rank: 3, integer: ['int8'] }],
  [rnn.op, { ...product, integer: [] }],
  [gru.op, { ...product, integer: [] }],
  [lstm.op, { ...product, integer: [] }],
  [gruFused.op, { weights: [1, 2], axis: 1, rank: 3, integer: [] }],
  [lstmFused.op, { weights: [1, 2], axis: 1, rank: 3, integer: [] }],
]);

/** Below this many weights a layer saves nothing: an interpolation matrix, a scaler. */
export const worthwhile = 1024;
const stored: readonly Precision[] = ['int8-weights', 'int4-weights', 'float16', 'float32'];

/** Rows whose arithmetic takes as long as reading the weights once. */
const rowsPerReading = 16;

/** What a product costs for one window, counted in weights that are read. */
function cost({ outputs: [y] }: Node, weights: number): number {
  const steps = y!.shape
    .slice(1, -1)
    .reduce<number>((product, dim) => product * (typeof dim === 'number' ? dim : 1), 1);
  return weights * (1 + steps / rowsPerReading);
}

/** `activations: false` leaves all activations in FP32. `int8From` is the least cost from which integers pay. */
export function findLayers(
  graph: Graph,
  { activations, int8From }: { activations: boolean; int8From: number },
): Layer[] {
  const users = new Map<Tensor, Node[]>();
  const parameters = new Map<Tensor, Node[]>();
  const use = (of: Map<Tensor, Node[]>, weight: Tensor, node: Node): unknown =>
    of.set(weight, [...(of.get(weight) ?? []), node]);
  for (const node of topological(Object.values(graph.outputs))) {
    const kind = constantValues(node.inputs[0] ?? constant(0)) === undefined ? kinds.get(node.op) : undefined;
    for (const [i, input] of node.inputs.entries()) {
      if ((constantValues(input)?.length ?? 0) < worthwhile || input.dtype !== 'float32') continue;
      if (kind?.weights.includes(i) && input.shape.length === kind.rank) use(users, input, node);
      else if ((input.node.attributes as { name?: string }).name !== undefined && input.shape.length > 1)
        use(parameters, input, node);
    }
  }
  const named = ({ node: { attributes } }: Tensor, otherwise: string): string =>
    (attributes as { name?: string }).name?.replace(/\/weight$/, '') ?? otherwise;
  const products = [...users].map(([weight, nodes], i): Layer => {
    const [first] = nodes as [Node, ...Node[]];
    const count = constantValues(weight)!.length;
    const pays = nodes.some((node) => cost(node, count) >= int8From);
    const integer = kinds
      .get(first.op)!
      .integer.filter((way) => pays && nodes.every(({ op }) => kinds.get(op)!.integer.includes(way)))
      .filter((way) => activations || way === 'int8-dynamic');
    return {
      name: named(weight, `${first.op.name}${i}`),
      weight,
      axis: kinds.get(first.op)!.axis,
      nodes: [first, ...nodes.slice(1)],
      precisions: [...integer, ...stored],
    };
  });
  // Other parameters, such as embeddings or the factors of frequencies, are only stored in few bits; biases, DFTs and averages in FP16.
  const others = [...parameters].filter(([weight]) => !users.has(weight));
  return [
    ...products,
    ...others.map(([weight, [first, ...rest]], i): Layer => ({
      name: named(weight, `constant${i}`),
      weight,
      axis: 0,
      nodes: [first!, ...rest],
      precisions: stored,
    })),
  ];
}

export interface QuantizedWeight {
  readonly values: Int8Array;
  /** One for each output channel. */
  readonly scale: number[];
}

/**
 * Seven bits, so that the sum of two products with a uint8 fits the 16 bits that x86 without VNNI adds them in
 * (ENGINE.md §5): 255·63·2 < 2^15.
 * Always, since models for other processors are judged on x86, too.
 */
export const largestWeight = 63;

/** The output channel of a weight by its place. */
export function channelOf({ weight, axis }: Pick<Layer, 'weight' | 'axis'>): (i: number) => number {
  const shape = weight.shape as readonly number[];
  const inner = shape.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  return (i) => Math.floor(i / inner) % shape[axis]!;
}

/** Symmetric int8 for each output channel. */
export function quantizeWeight(
  { weight, axis }: Pick<Layer, 'weight' | 'axis'>,
  largest = largestWeight,
): QuantizedWeight {
  const data = constantValues(weight)!;
  const shape = weight.shape as readonly number[];
  const channel = channelOf({ weight, axis });
  const scale = new Array<number>(shape[axis]!).fill(0);
  for (let i = 0; i < data.length; i++) scale[channel(i)] = Math.max(scale[channel(i)]!, Math.abs(data[i]!) / largest);
  for (const [c, value] of scale.entries()) scale[c] = Math.fround(value === 0 ? 1 : value); // a channel of zeros takes any scale
  const values = Int8Array.from(data, (value, i) =>
    Math.max(-largest, Math.min(largest, Math.round(value / scale[channel(i)]!))),
  );
  return { values, scale };
}
