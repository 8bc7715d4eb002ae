/** Computes equal things once: nodes with the same op, inputs and attributes become one. */
import type { Graph } from '../builder.js';
import { createNode, topological, type Node, type Tensor } from '../ir.js';
import { constantOp } from '../ops/leaf.js';
import type { Pass } from './pass.js';

const largestComparedConstant = 64;

export const mergeEqual: Pass = {
  name: 'merge-equal',
  run: (graph: Graph): Graph => {
    const replaced = new Map<Tensor, Tensor>();
    const ids = new Map<Node, number>();
    const seen = new Map<string, Node>();
    for (const node of topological([...Object.values(graph.outputs), ...Object.values(graph.updates)])) {
      const inputs = node.inputs.map((input) => replaced.get(input)!);
      const key = keyOf(node, inputs, ids);
      const same = inputs.every((input, i) => input === node.inputs[i]);
      const kept =
        (key === undefined ? undefined : seen.get(key)) ?? (same ? node : createNode(node.op, inputs, node.attributes));
      if (key !== undefined) seen.set(key, kept);
      if (!ids.has(kept)) ids.set(kept, ids.size);
      for (const [i, output] of node.outputs.entries()) replaced.set(output, kept.outputs[i]!);
    }
    const map = (tensors: Readonly<Record<string, Tensor>>): Record<string, Tensor> =>
      Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, replaced.get(tensor)!]));
    return { ...graph, outputs: map(graph.outputs), updates: map(graph.updates) };
  },
};

/** Equal keys mean equal values; undefined when it is not worth asking. */
function keyOf(node: Node, inputs: readonly Tensor[], ids: ReadonlyMap<Node, number>): string | undefined {
  if (node.op === constantOp) {
    const { data, shape, dtype } = node.attributes as {
      data: ArrayLike<number>;
      shape: readonly number[];
      dtype: string;
    };
    return data.length > largestComparedConstant ? undefined : `${dtype}[${shape}]${Array.from(data).join()}`;
  }
  if (inputs.length === 0) return undefined;
  return `${node.op.name}(${inputs.map((input) => `${ids.get(input.node)}.${input.index}`).join()})${JSON.stringify(node.attributes)}`;
}
