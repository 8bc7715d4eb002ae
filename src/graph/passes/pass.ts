/** A pass: rules in, graph out. The input graph is never changed. */
import type { Graph } from '../builder.js';
import { createNode, topological, type Node, type Tensor } from '../ir.js';

/** Returns what stands for the node's only output instead, or undefined when the node is not the rule's business. */
export type Rule = (node: Node, users: (tensor: Tensor) => number) => Tensor | undefined;

export interface Pass {
  readonly name: string;
  readonly run: (graph: Graph) => Graph;
}

/** Rebuilds a graph node by node, inputs first, offering each rebuilt node to the rules; again until none of them fires. */
export function definePass(name: string, rules: readonly Rule[]): Pass {
  return {
    name,
    run: (graph) => {
      let current = graph;
      for (let fired = true; fired;) ({ graph: current, fired } = sweep(current, rules));
      return current;
    },
  };
}

export const runPasses = (graph: Graph, passes: readonly Pass[]): Graph =>
  passes.reduce((current, pass) => pass.run(current), graph);

function sweep(graph: Graph, rules: readonly Rule[]): { graph: Graph; fired: boolean } {
  const roots = [...Object.values(graph.outputs), ...Object.values(graph.updates)];
  const order = topological(roots);
  const users = new Map<Tensor, number>();
  const use = (tensor: Tensor): unknown => users.set(tensor, (users.get(tensor) ?? 0) + 1);
  for (const node of order) node.inputs.forEach(use);
  roots.forEach(use);

  let fired = false;
  const replaced = new Map<Tensor, Tensor>();
  for (const node of order) {
    const inputs = node.inputs.map((input) => replaced.get(input)!);
    const same = inputs.every((input, i) => input === node.inputs[i]);
    const rebuilt = same ? node : createNode(node.op, inputs, node.attributes);
    for (const [i, output] of node.outputs.entries()) {
      replaced.set(output, rebuilt.outputs[i]!);
      users.set(rebuilt.outputs[i]!, users.get(output) ?? 0);
    }
    if (node.outputs.length > 1) continue;
    for (const rule of rules) {
      const instead = rule(rebuilt, (tensor) => users.get(tensor) ?? 0);
      if (instead === undefined) continue;
      fired = true;
      replaced.set(node.outputs[0]!, instead);
      users.set(instead, Math.max(users.get(instead) ?? 0, users.get(node.outputs[0]!) ?? 0));
      break;
    }
  }

  const map = (tensors: Readonly<Record<string, Tensor>>): Record<string, Tensor> =>
    Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, replaced.get(tensor)!]));
  return { graph: { ...graph, outputs: map(graph.outputs), updates: map(graph.updates) }, fired };
}

/** The graph with some tensors replaced by others of the same shape. */
export function substitute(graph: Graph, replacements: ReadonlyMap<Tensor, Tensor>): Graph {
  const roots = [...Object.values(graph.outputs), ...Object.values(graph.updates)];
  const replaced = new Map<Tensor, Tensor>();
  for (const node of topological(roots)) {
    const inputs = node.inputs.map((input) => replaced.get(input)!);
    const same = inputs.every((input, i) => input === node.inputs[i]);
    const rebuilt = same ? node : createNode(node.op, inputs, node.attributes);
    for (const [i, output] of node.outputs.entries())
      replaced.set(output, replacements.get(output) ?? rebuilt.outputs[i]!);
  }
  const map = (tensors: Readonly<Record<string, Tensor>>): Record<string, Tensor> =>
    Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, replaced.get(tensor)!]));
  return { ...graph, outputs: map(graph.outputs), updates: map(graph.updates) };
}
