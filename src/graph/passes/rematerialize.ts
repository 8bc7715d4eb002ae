/**
 * Gradient checkpointing (https://arxiv.org/abs/1604.06174): the forward pass is cut where little crosses the cut, and
 * only what crosses is kept. The backward pass computes the rest of each stretch again, when it gets there.
 */
import type { Graph } from '../builder.js';
import { createNode, topological, type Node, type Tensor } from '../ir.js';
import { add } from '../ops/elementwise.js';
import { inputOp, isDraw } from '../ops/leaf.js';
import { zeroAfter } from '../ops/zero-after.js';
import { bindBatch } from '../shape.js';
import type { Pass } from './pass.js';

interface Options {
  /** How many parts the forward pass is cut into. The last one is kept: the backward pass starts there. */
  readonly stretches: number;
  /** The output that the gradients are of. */
  readonly loss?: string;
}

export const rematerialize = ({ stretches, loss = 'loss' }: Options): Pass => ({
  name: 'rematerialize',
  run: (graph) => again(graph, topological([graph.outputs[loss]!]), stretches),
});

function again(graph: Graph, forward: readonly Node[], stretches: number): Graph {
  const roots = [...Object.values(graph.outputs), ...Object.values(graph.updates)];
  const stretchOf = cut(forward, stretches);
  const kept = crossing(forward, stretchOf);
  const backward = topological(roots).filter((node) => !stretchOf.has(node));

  // How far back a tensor of the backward pass has got: the earliest stretch of which it needs what is not kept.
  const reached = new Map<Tensor, number>();
  const reach = (tensor: Tensor): number =>
    reached.get(tensor) ??
    (tensor.node.inputs.length === 0 || kept.has(tensor) ? Infinity : (stretchOf.get(tensor.node) ?? Infinity));
  for (const { inputs, outputs } of backward)
    for (const output of outputs) reached.set(output, Math.min(Infinity, ...inputs.map(reach)));

  /** What must be done before a stretch is computed again: the gradient that comes into it, and all those behind it. */
  const tokensOf = (stretch: number): Tensor[] => {
    const behind = (tensor: Tensor): boolean => reached.get(tensor) === stretch + 1;
    const coming = backward.flatMap(({ inputs, outputs }) =>
      reached.get(outputs[0]!) === stretch ? inputs.filter(behind) : [],
    );
    return [...new Set([...coming.slice(0, 1), ...roots.filter(behind)])];
  };
  const tokens = Array.from({ length: stretches - 1 }, (_, stretch) => tokensOf(stretch));

  const zeros = new Map<number, Tensor>();
  const delayed = new Map<string, Tensor>();
  const ids = new Map([...stretchOf.keys()].map((node, i) => [node, i]));
  /** A tensor that is there already, but seen from `stretch` only when the backward pass gets there. */
  const notBefore = (tensor: Tensor, stretch: number): Tensor => {
    const key = `${ids.get(tensor.node)}.${tensor.index}.${stretch}`;
    const zero = zeros.get(stretch) ?? zeroAfter(...tokens[stretch]!.map(rebuilt));
    zeros.set(stretch, zero);
    const known = delayed.get(key) ?? add(tensor, zero);
    delayed.set(key, known);
    return known;
  };

  const copies = new Map<Node, Node>();
  const copyOf = (node: Node, input: (tensor: Tensor) => Tensor): Node => {
    const known = copies.get(node);
    if (known !== undefined) return known;
    const copy = createNode(node.op, node.inputs.map(input), node.attributes);
    copies.set(node, copy);
    return copy;
  };
  const recomputed = (tensor: Tensor, stretch: number): Tensor => {
    const { node } = tensor;
    if (node.op === inputOp || isDraw(node) || kept.has(tensor)) return notBefore(tensor, stretch);
    if (node.inputs.length === 0) return tensor;
    return copyOf(node, (input) => recomputed(input, stretch)).outputs[tensor.index]!;
  };
  /** A tensor as the backward pass reads it. */
  const rebuilt = (tensor: Tensor): Tensor => {
    const { node } = tensor;
    const stretch = stretchOf.get(node);
    if (node.inputs.length === 0) return tensor;
    if (stretch === undefined) return copyOf(node, rebuilt).outputs[tensor.index]!;
    const stays = kept.has(tensor) || stretch === stretches - 1 || tokens[stretch]!.length === 0;
    return stays ? tensor : recomputed(tensor, stretch);
  };
  const map = (tensors: Readonly<Record<string, Tensor>>): Record<string, Tensor> =>
    Object.fromEntries(
      Object.entries(tensors).map(([name, tensor]) => [name, stretchOf.has(tensor.node) ? tensor : rebuilt(tensor)]),
    );
  return { ...graph, outputs: map(graph.outputs), updates: map(graph.updates) };
}

const bytes = ({ shape }: Tensor): number => bindBatch(shape, 1).reduce((product, dim) => product * dim, 4);
const bytesOf = ({ inputs, outputs }: Node): number =>
  inputs.length === 0 ? 0 : outputs.reduce((sum, output) => sum + bytes(output), 0);

/** The stretch of every node: parts of about equal size, each cut made where the least crosses it. */
function cut(forward: readonly Node[], stretches: number): Map<Node, number> {
  const place = new Map(forward.map((node, i) => [node, i]));
  const across = new Float64Array(forward.length + 1); // bytes made before each place and read after it
  const last = new Map<Tensor, number>();
  for (const [i, { inputs }] of forward.entries()) for (const input of inputs) last.set(input, i);
  for (const [tensor, end] of last)
    if (tensor.node.inputs.length > 0)
      for (let i = place.get(tensor.node)! + 1; i <= end; i++) across[i]! += bytes(tensor);

  const total = forward.reduce((sum, node) => sum + bytesOf(node), 0);
  const cuts: number[] = [];
  let done = 0;
  for (const [i, node] of forward.entries()) {
    const wanted = Math.round((done / total) * stretches); // the cut that this place is nearest to
    const best = cuts[wanted];
    if (wanted > 0 && wanted < stretches && (best === undefined || across[i]! < across[best]!)) cuts[wanted] = i;
    done += bytesOf(node);
  }
  return new Map(forward.map((node, i) => [node, cuts.filter((at) => at <= i).length]));
}

/** What a later stretch of the forward pass reads. */
function crossing(forward: readonly Node[], stretchOf: ReadonlyMap<Node, number>): Set<Tensor> {
  return new Set(
    forward.flatMap((node) =>
      node.inputs.filter((input) => input.node.inputs.length > 0 && stretchOf.get(input.node)! < stretchOf.get(node)!),
    ),
  );
}
