/** The text form of a graph: one line per node, stable across runs, so that two versions can be compared by diff. */
import type { Graph } from './builder.js';
import { topological, type Tensor } from './ir.js';
import { constantOp } from './ops/leaf.js';

/** `%3 = matmul(%1, weight) [batch,24]` */
export function printGraph(graph: Graph): string {
  const outputs = [
    ...Object.entries(graph.outputs),
    ...Object.entries(graph.updates).map(([name, tensor]) => [`update ${name}`, tensor] as const),
  ];
  const names = new Map<Tensor, string>();
  const lines: string[] = [];
  for (const node of topological(outputs.map(([, tensor]) => tensor))) {
    const { name, ...attributes } = node.attributes as { name?: string; shape?: unknown; data?: ArrayLike<number> };
    for (const output of node.outputs) names.set(output, name ?? `%${names.size}`);
    if (node.op === constantOp) attributes.data = summary(attributes.data!) as never;
    const operands = [
      ...node.inputs.map((input) => names.get(input)!),
      ...(Object.keys(attributes).length > 0 ? [JSON.stringify(attributes)] : []),
    ];
    const left = node.outputs.map((output) => names.get(output)!).join(', ');
    lines.push(
      `${left} = ${node.op.name}(${operands.join(', ')}) ${node.outputs.map((output) => `[${output.shape}]`).join(' ')}`,
    );
  }
  for (const [name, tensor] of outputs) lines.push(`return ${name} = ${names.get(tensor)!}`);
  return `${lines.join('\n')}\n`;
}

const summary = (data: ArrayLike<number>): string =>
  data.length <= 8
    ? Array.from(data).join(' ')
    : `${data.length} values, sum ${Array.from(data)
        .reduce((total, value) => total + value, 0)
        .toPrecision(6)}`;
