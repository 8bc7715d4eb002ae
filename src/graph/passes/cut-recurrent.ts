/**
 * Cuts recurrent layers over time: a chain of shorter layers, each starting where the one before ended. The numbers are the
 * same; but what the backward pass needs of a layer is then needed piece by piece. See passes/rematerialize.ts.
 */
import { byName, createNode, type Node, type Op, type Tensor } from '../ir.js';
import { add, mul } from '../ops/elementwise.js';
import { concat, concatOp, reshape, slice } from '../ops/layout.js';
import { matmul } from '../ops/linear.js';
import { gru } from '../ops/gru.js';
import { lstm } from '../ops/lstm.js';
import { rnn } from '../ops/rnn.js';
import { rebuild, type Pass } from './pass.js';

/** Which output each state comes from: its last step, where it has steps. */
const carried = new Map<Op, Readonly<Record<string, string>>>([
  [rnn.op, { h0: 'y' }],
  [gru.op, { h0: 'h' }],
  [lstm.op, { h0: 'h', c0: 'last' }],
]);
const isConcat = ({ op }: Node): boolean => op === concatOp;

/** `steps`: the length of a piece, at most. */
export const cutRecurrent = (steps: number): Pass => ({
  name: 'cut-recurrent',
  run: (graph) =>
    rebuild(graph, (node) => {
      if (carried.has(node.op)) return inPieces(node, steps);
      if (node.op !== slice.op || !isConcat(node.inputs[0]!.node)) return node.outputs;
      const { axis, start, end } = node.attributes as { axis: number; start: number; end: number };
      return axis === 0 ? [cut(node.inputs[0]!, start, end)] : node.outputs;
    }),
});

function inPieces({ op, inputs, attributes, outputs }: Node, steps: number): readonly Tensor[] {
  const time = inputs[0]!.shape[0] as number;
  const count = Math.ceil(time / steps);
  if (count === 1) return outputs;
  const pieces: Node[] = [];
  for (let i = 0; i < count; i++) {
    const from = Math.round((i * time) / count);
    const to = Math.round(((i + 1) * time) / count);
    const before = pieces.at(-1);
    const states = before === undefined ? {} : statesAfter(before);
    const given: Record<string, Tensor> = { ...byName(op, inputs), x: cut(inputs[0]!, from, to), ...states };
    pieces.push(createNode(op, op.inputs.map((name) => given[name]!), attributes)); // prettier-ignore
  }
  return outputs.map(({ shape }, i) =>
    shape.length < 3 ? pieces.at(-1)!.outputs[i]! : concat(pieces.map((piece) => piece.outputs[i]!), { axis: 0 }),
  ); // prettier-ignore
}

function statesAfter({ op, outputs }: Node): Record<string, Tensor> {
  const last = (states: Tensor): Tensor => {
    if (states.shape.length < 3) return states;
    const time = states.shape[0] as number;
    return reshape(slice(states, { axis: 0, start: time - 1, end: time }), { shape: states.shape.slice(1) });
  };
  const ends = Object.entries(carried.get(op)!).map(([name, output]) => {
    const states = outputs[op.outputs?.indexOf(output) ?? 0]!;
    return [name, last(states)] as const;
  });
  return Object.fromEntries(ends);
}

/** Rows `from` to `to` of the first axis; of what makes a tensor row by row, only those are made. */
function cut(tensor: Tensor, from: number, to: number): Tensor {
  const [rows, ...rest] = tensor.shape as number[];
  if (from === 0 && to === rows) return tensor;
  const { op, inputs, attributes } = tensor.node;
  if (op === reshape.op) {
    const before = inputs[0]!.shape[0] as number;
    const [start, end] = [from, to].map((row) => (row * before) / rows!) as [number, number];
    if (Number.isInteger(start) && Number.isInteger(end))
      return reshape(cut(inputs[0]!, start, end), { shape: [to - from, ...rest] });
  }
  if (op === matmul.op && inputs[1]!.shape.length === 2) return matmul(cut(inputs[0]!, from, to), inputs[1]!);
  if (op === add.op || op === mul.op) {
    const whole = (input: Tensor): boolean => input.shape.length < tensor.shape.length || input.shape[0] === 1;
    return createNode(
      op,
      inputs.map((input) => (whole(input) ? input : cut(input, from, to))),
      attributes,
    ).outputs[0]!;
  }
  if (isConcat(tensor.node) && (attributes as { axis: number }).axis === 0) {
    let at = 0;
    const parts = inputs.flatMap((part) => {
      const start = at;
      at += part.shape[0] as number;
      return from < at && to > start ? [cut(part, Math.max(from, start) - start, Math.min(to, at) - start)] : [];
    });
    return parts.length === 1 ? parts[0]! : concat(parts, { axis: 0 });
  }
  return slice(tensor, { axis: 0, start: from, end: to });
}
