/**
 * All that a stream carries -> one row per stream, the input `state [batch, width]` and the output `state/next`: whoever
 * runs the graph keeps one tensor, and every tensor that crosses the binding costs 2 µs (ENGINE.md §6).
 */
import type { Graph } from '../builder.js';
import type { Tensor } from '../ir.js';
import { concat, reshape, slice } from '../ops/layout.js';
import { inputOp, leaf, leafName, nextName } from '../ops/leaf.js';
import { size } from '../shape.js';
import { substitute, type Pass } from './pass.js';

const stateName = 'state';

export const packCarried: Pass = {
  name: 'pack-carried',
  run: (graph: Graph): Graph => {
    const carried = graph.inputs.filter((input) => nextName(leafName(input)) in graph.outputs);
    const [first] = carried;
    if (first === undefined) return graph;
    const batch = first.shape[0]!;
    const widths = carried.map(({ shape }) => size(shape.slice(1)) as number);
    const width = widths.reduce((sum, own) => sum + own, 0);
    const state = leaf(inputOp, { name: stateName, shape: [batch, width] });

    const parts = new Map<Tensor, Tensor>();
    let from = 0;
    for (const [i, input] of carried.entries()) {
      const part = slice(state, { axis: 1, start: from, end: from + widths[i]! });
      parts.set(input, reshape(part, { shape: input.shape }));
      from += widths[i]!;
    }
    const { inputs, outputs, ...rest } = substitute(graph, parts);
    const left = carried.map((input) => nextName(leafName(input)));
    const rows = left.map((name, i) => reshape(outputs[name]!, { shape: [batch, widths[i]!] }));
    const kept = Object.entries(outputs).filter(([name]) => !left.includes(name));
    return {
      ...rest,
      inputs: [...inputs.filter((input) => !carried.includes(input)), state],
      outputs: { ...Object.fromEntries(kept), [nextName(stateName)]: concat(rows, { axis: 1 }) },
    };
  },
};
