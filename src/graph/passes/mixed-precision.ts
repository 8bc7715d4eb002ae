/**
 * Mixed precision (https://arxiv.org/abs/1710.03740): products, and what lies between them, in FP16; all else in FP32.
 * Parameters stay FP32 inputs, which are the master weights, and are rounded once, where products read them. Norms,
 * softmax and reductions are no products, and what leads to them alone is not rounded on the way.
 */
import type { Graph } from '../builder.js';
import { createNode, operands, topological, type Node, type Op, type Tensor } from '../ir.js';
import { add, elu, gate, gelu, maximum, mul, neg, relu, sigmoid, sub, tanh } from '../ops/elementwise.js';
import { broadcastTo, concatOp, flip, gather, pad, reshape, slice, transpose } from '../ops/layout.js';
import { constantValues, halfConstant, parameterOp } from '../ops/leaf.js';
import { conv1d, gemm, matmul } from '../ops/linear.js';
import { castTo } from '../ops/quantized.js';
import { rebuild, rootsOf, type Pass } from './pass.js';

/** In FP16 wherever they stand: processors that have FP16 products add them up in FP32. */
const products = new Set<Op>([matmul.op, gemm.op, conv1d.op]);
/** Rounding before them gives what rounding after them does. */
const moves = new Set<Op>([
  ...[broadcastTo, flip, gather, pad, reshape, slice, transpose].map(({ op }) => op),
  concatOp,
]);
/** Add no more error than their operands bring, so they keep a chain of products in FP16. */
const elementwise = new Set<Op>(
  [add, elu, gate, gelu, maximum, mul, neg, relu, sigmoid, sub, tanh].map(({ op }) => op),
);
/** All that may be computed in FP16. */
export const halfOps: ReadonlySet<Op> = new Set([...products, ...moves, ...elementwise]);
/** What FP16 keeps of a number, as a share of it. */
const halfPrecision = 2 ** -11;

interface Options {
  /**
   * Names of two outputs: what a model gives, and its gradient. What lies between them is the loss, which stays FP32, and
   * so does what is only beside them.
   */
  readonly loss?: { readonly from: string; readonly gradient: string };
}

export const mixedPrecision = ({ loss }: Options = {}): Pass => ({
  name: 'mixed-precision',
  run: (graph) => {
    const chosen = choose(graph, loss === undefined ? undefined : aroundLoss(graph, loss));
    const known = new Map<Tensor, Tensor>();
    /** The half that a tensor was cast from, or is cast to. */
    const half = (x: Tensor): Tensor => {
      const from = operands(x, castTo)?.x;
      if (from?.dtype === 'float16') return from;
      const rounded = known.get(x) ?? halfConstant(x) ?? castTo(x, { dtype: 'float16' });
      known.set(x, rounded);
      return rounded;
    };
    return rebuild(graph, (node, original) => {
      if (!chosen.has(original)) return node.outputs;
      const [y] = createNode(node.op, node.inputs.map(half), node.attributes).outputs;
      return [castTo(y!, { dtype: 'float32' })];
    });
  },
});

/** What the model's output is made of, and what its gradient goes into. */
function aroundLoss(graph: Graph, { from, gradient }: NonNullable<Options['loss']>): Set<Node> {
  const last = graph.outputs[gradient]!.node;
  const behind = new Set<Node>();
  for (const node of topological(rootsOf(graph)))
    if (node.inputs.some((input) => input.node === last || behind.has(input.node))) behind.add(node);
  return new Set([...topological([graph.outputs[from]!]), ...behind]);
}

/** A product with a vector only adds up, as the gradients of norms do. */
const isReduction = ({ outputs: [y] }: Node): boolean => y!.shape.slice(-2).includes(1);

/** The nodes that will be computed in FP16. */
function choose(graph: Graph, among: ReadonlySet<Node> | undefined): Set<Node> {
  const order = topological(rootsOf(graph));
  const may = (node: Node, ops: ReadonlySet<Op>): boolean =>
    ops.has(node.op) && node.outputs[0]!.dtype === 'float32' && (among?.has(node) ?? true);
  const reachable = (x: Tensor): boolean => constantValues(x) === undefined || halfConstant(x) !== undefined;
  const isProduct = (node: Node): boolean => may(node, products) && !isReduction(node) && node.inputs.every(reachable);
  const chosen = new Set(order.filter(isProduct));

  // Backwards: what leads to a product through nodes that may be halves, and what is read in FP32 as well.
  const leading = new Set<Node>();
  const readInFloat = new Set(rootsOf(graph).map(({ node }) => node));
  const onlyLeads = (node: Node): boolean => leading.has(node) && !readInFloat.has(node);
  for (const node of order.toReversed()) {
    const leads = chosen.has(node) || (leading.has(node) && (may(node, moves) || may(node, elementwise)));
    const rounds = chosen.has(node) || (may(node, moves) && onlyLeads(node));
    for (const input of node.inputs) {
      if (leads) leading.add(input.node);
      if (!rounds) readInFloat.add(input.node);
    }
  }

  // Forwards: what only moves the operands of products, and what has halves for operands already.
  const isHalf = ({ node }: Tensor): boolean => chosen.has(node);
  const joins = (x: Tensor): boolean => isHalf(x) || x.node.op === parameterOp || survives(x);
  for (const node of order) {
    if (!leading.has(node)) continue;
    const moved = may(node, moves) && (onlyLeads(node) || node.inputs.every(isHalf));
    const between = may(node, elementwise) && node.inputs.some(isHalf) && node.inputs.every(joins);
    if (moved || between) chosen.add(node);
  }
  return chosen;
}

/** A constant whose values FP16 can tell apart: not below its normal range, as a small epsilon is. */
function survives(x: Tensor): boolean {
  const half = halfConstant(x);
  if (half === undefined) return false;
  const values = constantValues(x)!;
  const rounded = constantValues(half)!;
  return Array.from(values).every((value, i) => Math.abs(rounded[i]! - value) <= halfPrecision * Math.abs(value));
}
