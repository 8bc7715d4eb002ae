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

/** One round over the graph; `fired` tells whether a rule found something to do. */
function sweep(graph: Graph, rules: readonly Rule[]): { graph: Graph; fired: boolean } {
  const roots = rootsOf(graph);
  const users = new Map<Tensor, number>();
  const use = (tensor: Tensor): unknown => users.set(tensor, (users.get(tensor) ?? 0) + 1);
  for (const node of topological(roots)) node.inputs.forEach(use);
  roots.forEach(use);

  let fired = false;
  const result = rebuild(graph, (node, original) => {
    for (const [i, output] of original.outputs.entries()) users.set(node.outputs[i]!, users.get(output) ?? 0);
    if (original.outputs.length > 1) return node.outputs;
    for (const rule of rules) {
      const instead = rule(node, (tensor) => users.get(tensor) ?? 0);
      if (instead === undefined) continue;
      fired = true;
      users.set(instead, Math.max(users.get(instead) ?? 0, users.get(original.outputs[0]!) ?? 0));
      return [instead];
    }
    return node.outputs;
  });
  return { graph: result, fired };
}

/** The graph with some tensors replaced by others of the same shape. */
export const substitute = (graph: Graph, replacements: ReadonlyMap<Tensor, Tensor>): Graph =>
  rebuild(graph, (node, original) => node.outputs.map((output, i) => replacements.get(original.outputs[i]!) ?? output));

/** What a graph gives out: outputs and updates. */
export const rootsOf = (graph: Graph): Tensor[] => [...Object.values(graph.outputs), ...Object.values(graph.updates)];

/** Makes the graph anew, inputs first. `visit` sees each node on its new inputs and says what stands for the outputs of the original. */
export function rebuild(graph: Graph, visit: (node: Node, original: Node) => readonly Tensor[]): Graph {
  const replaced = new Map<Tensor, Tensor>();
  for (const original of topological(rootsOf(graph))) {
    const inputs = original.inputs.map((input) => replaced.get(input)!);
    const same = inputs.every((input, i) => input === original.inputs[i]);
    const instead = visit(same ? original : createNode(original.op, inputs, original.attributes), original);
    for (const [i, output] of original.outputs.entries()) replaced.set(output, instead[i]!);
  }
  const map = (tensors: Readonly<Record<string, Tensor>>): Record<string, Tensor> =>
    Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, replaced.get(tensor)!]));
  return { ...graph, outputs: map(graph.outputs), updates: map(graph.updates) };
}
