/** How much memory a graph takes to run, estimated before anything runs. */
import type { Graph } from './builder.js';
import { topological, type DType, type Node, type Tensor } from './ir.js';
import { elements } from './ndarray.js';
import { reshape } from './ops/layout.js';
import { bindBatch } from './shape.js';

const bytesPerElement: Record<DType, number> = {
  float32: 4,
  float16: 2,
  int4: 0.5,
  int8: 1,
  uint8: 1,
  int32: 4,
  int64: 8,
};

/** What tensors take, each by itself; `batch` binds the symbolic batch. */
export const totalBytes = (tensors: readonly Tensor[], batch = 1): number =>
  tensors.reduce((sum, { shape, dtype }) => sum + elements(bindBatch(shape, batch)) * bytesPerElement[dtype], 0);

/**
 * The most bytes that are alive at once, by a sweep over the nodes: leaves and outputs all the time, the rest from the node
 * that makes it to the last one that reads it. What an op takes inside, such as the steps of a recurrent layer, is not in
 * it, nor what a runtime saves by writing over its inputs. `batch` binds the symbolic batch.
 */
export function peakBytes(graph: Graph, batch = 1): number {
  const total = (tensors: readonly Tensor[]): number => totalBytes(tensors, batch);
  const roots = [...Object.values(graph.outputs), ...Object.values(graph.updates)];
  const order = topological(roots);

  const lastReader = new Map<Tensor, number>();
  for (const [i, { inputs }] of order.entries()) for (const input of inputs) lastReader.set(input, i);
  for (const root of roots) lastReader.set(root, Infinity);
  const leaves = order.filter(({ inputs }) => inputs.length === 0).flatMap(({ outputs }) => outputs);
  for (const leaf of leaves) lastReader.set(leaf, Infinity);

  let alive = total(leaves);
  let peak = alive;
  for (const [i, { inputs, outputs }] of order.entries()) {
    if (inputs.length === 0) continue;
    alive += total(outputs);
    peak = Math.max(peak, alive);
    alive -= total([...new Set([...inputs, ...outputs])].filter((tensor) => (lastReader.get(tensor) ?? i) === i));
  }
  return peak;
}

/** What ONNX Runtime writes over an input of the same size that nothing else reads. */
const inPlace = new Set(['add', 'sub', 'mul', 'div', 'exp', 'sqrt', 'sigmoid', 'tanh', 'relu', 'softmax']);

/**
 * The most bytes of intermediate results that are alive at once, when the nodes run in the order in which ONNX Runtime takes
 * them. Leaves and outputs, which whoever runs the graph brings, are not in it, nor what an op takes inside.
 */
export function workingBytes(graph: Graph): number {
  const roots = [...Object.values(graph.outputs), ...Object.values(graph.updates)];
  const brought = new Set(roots);
  /** The tensor whose memory this one is: a reshape copies nothing. */
  const owner = (tensor: Tensor): Tensor =>
    tensor.node.op === reshape.op && !brought.has(tensor) ? owner(tensor.node.inputs[0]!) : tensor;
  const order = runOrder(roots).filter(({ inputs }) => inputs.length > 0);
  const lastRead = new Map<Tensor, number>();
  for (const [i, { inputs }] of order.entries()) for (const input of inputs) lastRead.set(owner(input), i);

  let alive = 0;
  let peak = 0;
  for (const [i, node] of order.entries()) {
    const made = node.outputs.filter((output) => owner(output) === output && !brought.has(output));
    const read = new Set(node.inputs.map(owner));
    const done = [...read, ...made].filter(
      (tensor) => (lastRead.get(tensor) ?? i) === i && tensor.node.inputs.length > 0 && !brought.has(tensor),
    );
    alive += totalBytes(made);
    const over = done.find(
      (tensor) => read.has(tensor) && made.some((output) => totalBytes([output]) === totalBytes([tensor])),
    );
    peak = Math.max(peak, alive - totalBytes(over && inPlace.has(node.op.name) ? [over] : []));
    alive -= totalBytes(done);
  }
  return peak;
}

/** From the last output of the file back to the first, each after what it needs, of which the latest in the file comes first. */
export function runOrder(roots: readonly Tensor[]): Node[] {
  const file = topological(roots);
  const place = new Map(file.map((node, i) => [node, i]));
  const read = new Set(file.flatMap(({ inputs }) => inputs.map(({ node }) => node)));
  const stack = file.filter((node) => !read.has(node)).map((node) => ({ node, ready: false }));
  const seen = new Set<Node>();
  const order: Node[] = [];
  while (stack.length > 0) {
    const { node, ready } = stack.pop()!;
    if (ready) order.push(node);
    if (ready || seen.has(node)) continue;
    seen.add(node);
    stack.push({ node, ready: true });
    const needed = node.inputs.map((input) => input.node).sort((a, b) => place.get(a)! - place.get(b)!);
    for (const input of needed) stack.push({ node: input, ready: false });
  }
  return order;
}
