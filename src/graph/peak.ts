/** What a graph keeps in memory while it runs, estimated from shapes: what passes that trade memory for time go by. */
import type { Graph } from './builder.js';
import { topological, type Node, type Tensor } from './ir.js';
import { elements } from './ndarray.js';
import { reshape } from './ops/layout.js';
import { bindBatch } from './shape.js';

const bytesPerElement: Readonly<Record<string, number>> = { float16: 2, int8: 1, uint8: 1, int64: 8 };

/** Of one tensor; `batch` is 1 where it is not bound. */
export const bytesOf = ({ shape, dtype }: Tensor): number =>
  elements(bindBatch(shape, 1)) * (bytesPerElement[dtype] ?? 4);

/** Of several tensors together. */
export const totalBytes = (tensors: readonly Tensor[]): number =>
  tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0);

/** What ONNX Runtime writes over an input of the same size that nothing else reads. */
const inPlace = new Set(['add', 'sub', 'mul', 'div', 'exp', 'sqrt', 'sigmoid', 'tanh', 'relu', 'softmax']);

/**
 * The most bytes of intermediate results that are alive at once, when the nodes run in the order in which ONNX Runtime takes
 * them. Leaves and outputs, which whoever runs the graph brings, are not in it, nor what an op takes inside.
 */
export function peakBytes(graph: Graph): number {
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
    for (const output of made) alive += bytesOf(output);
    const over =
      inPlace.has(node.op.name) &&
      done.find((tensor) => read.has(tensor) && bytesOf(tensor) === bytesOf(made[0] ?? tensor));
    peak = Math.max(peak, alive - (over && made.length > 0 ? bytesOf(over) : 0));
    for (const tensor of done) alive -= bytesOf(tensor);
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
