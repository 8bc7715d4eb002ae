/**
 * Gradient checkpointing (https://arxiv.org/abs/1604.06174): the forward pass is cut where little crosses the cut, and
 * only what crosses is kept. The backward pass computes the rest of each stretch again, when it gets there.
 */
import type { Graph } from '../builder.js';
import { createNode, topological, type Node, type Tensor } from '../ir.js';
import { runOrder, totalBytes, workingBytes } from '../memory.js';
import { add } from '../ops/elementwise.js';
import { castTo } from '../ops/quantized.js';
import { zeroAfter } from '../ops/zero-after.js';
import type { Pass } from './pass.js';

interface Options {
  /** How many parts the forward pass is cut into; as many as take the least memory when absent. The last is kept: the backward pass starts there. */
  readonly stretches?: number;
  /** The output that the gradients are of. */
  readonly loss?: string;
}

/** Numbers of stretches that are tried: about the square root of the depth is best (Chen et al., §4), but depths differ. */
const tried = [2, 3, 4, 6, 8, 12, 16, 24, 32];

export const rematerialize = ({ stretches, loss = 'loss' }: Options = {}): Pass => ({
  name: 'rematerialize',
  run: (graph) => {
    const forward = runOrder([graph.outputs[loss]!]);
    const cutAt = (cuts: readonly number[]) => {
      const result = again(
        graph,
        forward,
        new Map(forward.map((node, i) => [node, cuts.filter((at) => at <= i).length])),
      );
      return { cuts, result, bytes: workingBytes(result) };
    };
    const across = bytesAcross(forward);
    if (stretches !== undefined) return cutAt(places(forward, across, stretches)).result;
    let best = [1, ...tried]
      .map((count) => cutAt(places(forward, across, count)))
      .reduce((a, b) => (b.bytes < a.bytes ? b : a));
    // Fewer cuts keep less: leave out each that does not pay for what it keeps.
    for (const at of best.cuts) {
      const without = cutAt(best.cuts.filter((other) => other !== at));
      if (without.bytes < best.bytes) best = without;
    }
    return best.result;
  },
});

function again(graph: Graph, forward: readonly Node[], stretchOf: ReadonlyMap<Node, number>): Graph {
  const roots = [...Object.values(graph.outputs), ...Object.values(graph.updates)];
  const kept = crossing(forward, stretchOf);
  const backward = topological(roots).filter((node) => !stretchOf.has(node));

  // How far back a tensor of the backward pass has got: the earliest stretch of which it needs what is not kept.
  const reached = new Map<Tensor, number>();
  const reach = (tensor: Tensor): number =>
    reached.get(tensor) ??
    (tensor.node.inputs.length === 0 || kept.has(tensor) ? Infinity : (stretchOf.get(tensor.node) ?? Infinity));
  for (const { inputs, outputs } of backward)
    for (const output of outputs) reached.set(output, Math.min(Infinity, ...inputs.map(reach)));

  // What must be done before a stretch is computed again: all that came before it and is read behind it, or not at all.
  const stops = [...new Set(reached.values())].filter(Number.isFinite).sort((a, b) => b - a);
  const tokens = new Map(stops.map((stretch) => [stretch, new Set<Tensor>()]));
  const due = (tensor: Tensor): void => void tokens.get(stops[stops.indexOf(reached.get(tensor)!) + 1]!)?.add(tensor);
  for (const { inputs, outputs } of backward)
    for (const input of inputs) if (reached.get(input)! > reached.get(outputs[0]!)!) due(input);
  for (const root of roots) if (reached.has(root)) due(root);

  const zeros = new Map<number, Tensor>();
  /** A tensor that is there already, but seen from `stretch` only when the backward pass gets there. */
  const notBefore = (tensor: Tensor, stretch: number): Tensor => {
    const stop = stops.find((at) => at <= stretch)!;
    const zero = zeros.get(stop) ?? zeroAfter(...[...tokens.get(stop)!].map(rebuilt));
    zeros.set(stop, zero);
    return add(tensor, tensor.dtype === 'float16' ? castTo(zero, { dtype: 'float16' }) : zero);
  };

  const copies = new Map<Node, Node>();
  const copyOf = (node: Node, inputs: () => Tensor[]): Node => {
    const copy = copies.get(node) ?? createNode(node.op, inputs(), node.attributes);
    copies.set(node, copy);
    return copy;
  };
  const isThere = (tensor: Tensor): boolean => tensor.node.inputs.length === 0 || kept.has(tensor);
  const recomputed = (tensor: Tensor, stretch: number): Tensor => {
    if (isThere(tensor)) return tensor;
    const { inputs } = tensor.node;
    // A node waits when one of its inputs does, so the smallest is enough where all are there.
    const waits = inputs.every(isThere)
      ? inputs.reduce((a, b) => (totalBytes([b]) < totalBytes([a]) ? b : a))
      : undefined;
    const seen = (input: Tensor): Tensor => (input === waits ? notBefore(input, stretch) : recomputed(input, stretch));
    return copyOf(tensor.node, () => inputs.map(seen)).outputs[tensor.index]!;
  };
  /** A tensor as the backward pass reads it. */
  const rebuilt = (tensor: Tensor): Tensor => {
    const { node } = tensor;
    const stretch = stretchOf.get(node);
    if (node.inputs.length === 0) return tensor;
    if (stretch === undefined) return copyOf(node, () => node.inputs.map(rebuilt)).outputs[tensor.index]!;
    const stays = kept.has(tensor) || stretch >= stops[0]!;
    return stays ? tensor : recomputed(tensor, stretch);
  };
  const map = (tensors: Readonly<Record<string, Tensor>>): Record<string, Tensor> =>
    Object.fromEntries(
      Object.entries(tensors).map(([name, tensor]) => [name, stretchOf.has(tensor.node) ? tensor : rebuilt(tensor)]),
    );
  return { ...graph, outputs: map(graph.outputs), updates: map(graph.updates) };
}

const bytesMade = ({ inputs, outputs }: Node): number => (inputs.length === 0 ? 0 : totalBytes(outputs));

/** At each place, the bytes that are made before it and read after it. */
function bytesAcross(forward: readonly Node[]): Float64Array {
  const place = new Map(forward.map((node, i) => [node, i]));
  const last = new Map<Tensor, number>();
  for (const [i, { inputs }] of forward.entries()) for (const input of inputs) last.set(input, i);
  const across = new Float64Array(forward.length + 1);
  for (const [tensor, end] of last)
    if (tensor.node.inputs.length > 0)
      for (let i = place.get(tensor.node)! + 1; i <= end; i++) across[i]! += totalBytes([tensor]);
  return across;
}

/** Where the forward pass is cut: parts of about equal size, each cut made where the least crosses it. */
function places(forward: readonly Node[], across: Float64Array, stretches: number): number[] {
  const total = forward.reduce((sum, node) => sum + bytesMade(node), 0);
  const cuts = new Map<number, number>();
  let done = 0;
  for (const [i, node] of forward.entries()) {
    const wanted = Math.round((done / total) * stretches); // the cut that this place is nearest to
    if (wanted > 0 && wanted < stretches && !(across[i]! >= across[cuts.get(wanted) ?? NaN]!)) cuts.set(wanted, i);
    done += bytesMade(node);
  }
  return [...cuts.values()];
}

/** What a later stretch of the forward pass reads. */
function crossing(forward: readonly Node[], stretchOf: ReadonlyMap<Node, number>): Set<Tensor> {
  return new Set(
    forward.flatMap((node) =>
      node.inputs.filter((input) => input.node.inputs.length > 0 && stretchOf.get(input.node)! < stretchOf.get(node)!),
    ),
  );
}
