/** Checks that a graph keeps its own rules; runs after every pass in tests. */
import { NeuroDivergentError } from '../errors.js';
import type { Graph } from './builder.js';
import { byName, topological, type Node, type Tensor } from './ir.js';
import { inputOp, keepOp, leafName, parameterOp, stateOp, uniformOp } from './ops/leaf.js';
import { sameShape, type Shape } from './shape.js';

const fail = (where: string, what: string): never => {
  throw new NeuroDivergentError('ND_GRAPH_INVALID', {
    where,
    what,
    mend: 'This is a fault of the pass or op that made the node.',
  });
};

/** Throws `ND_GRAPH_INVALID` unless shapes are what the ops say, and every leaf is one the graph lists; mixed types are refused when a node is made. */
export function verify(graph: Graph): void {
  const leaves: readonly (readonly [Node['op'], readonly Tensor[]])[] = [
    [inputOp, graph.inputs],
    [parameterOp, graph.parameters],
    [stateOp, graph.states],
    [uniformOp, graph.draws],
    [keepOp, graph.draws],
  ];
  for (const node of topological([...Object.values(graph.outputs), ...Object.values(graph.updates)])) {
    const list = leaves.find(([op]) => op === node.op)?.[1];
    if (list !== undefined && !list.includes(node.outputs[0]!))
      fail(leafName(node.outputs[0]!), 'is used but not listed by the graph.');
    const shapes = node.inputs.map((input) => input.shape);
    const inferred = node.op.shape(byName(node.op, shapes), node.attributes, shapes);
    const expected = Array.isArray(inferred)
      ? [inferred as Shape]
      : node.op.outputs!.map((name) => (inferred as Record<string, Shape>)[name]!);
    for (const [i, output] of node.outputs.entries()) {
      if (output.node !== node || output.index !== i) fail(node.op.name, `output ${i} does not belong to its node.`);
      if (!sameShape(output.shape, expected[i]!))
        fail(node.op.name, `output ${i} is [${output.shape}] but must be [${expected[i]}].`);
    }
  }
}
