/** Removes what changes nothing: x·1, x + 0, reshapes of reshapes, transposes that cancel, repeats before a broadcast. */
import { createNode, operands, type Tensor } from '../ir.js';
import { add, div, mul, stopGradient, sub } from '../ops/elementwise.js';
import {
  broadcastTo,
  concat,
  concatOp,
  pad,
  reshape,
  slice,
  transpose,
  type Padding,
  type Range,
} from '../ops/layout.js';
import { uniformConstant } from '../ops/leaf.js';
import { sum } from '../ops/reduce.js';
import { sameShape } from '../shape.js';
import { definePass, type Rule } from './pass.js';

/** The operand itself, when taking it alone keeps the shape. */
const keep = (operand: Tensor, result: Tensor): Tensor | undefined =>
  sameShape(operand.shape, result.shape) ? operand : undefined;

const neutral: Rule = ({ outputs: [y] }) => {
  const product = operands(y!, mul);
  if (product && uniformConstant(product.b!) === 1) return keep(product.a!, y!);
  if (product && uniformConstant(product.a!) === 1) return keep(product.b!, y!);
  const sum = operands(y!, add);
  if (sum && uniformConstant(sum.b!) === 0) return keep(sum.a!, y!);
  if (sum && uniformConstant(sum.a!) === 0) return keep(sum.b!, y!);
  const difference = operands(y!, sub);
  if (difference && uniformConstant(difference.b!) === 0) return keep(difference.a!, y!);
  const quotient = operands(y!, div);
  if (quotient && uniformConstant(quotient.b!) === 1) return keep(quotient.a!, y!);
  return;
};

const reshapes: Rule = ({ outputs: [y] }) => {
  const outer = operands(y!, reshape);
  if (!outer) return;
  if (sameShape(outer.x!.shape, y!.shape)) return outer.x;
  const inner = operands(outer.x!, reshape);
  return inner && reshape(inner.x!, { shape: y!.shape });
};

const repeats: Rule = ({ outputs: [y] }) => {
  const repeated = operands(y!, broadcastTo);
  return repeated && keep(repeated.x!, y!);
};

/** A part that is the whole, and a part of what was filled up: it is cut from what was there before. */
const slices: Rule = ({ outputs: [y], attributes }, users) => {
  const whole = operands(y!, slice)?.x;
  if (!whole || sameShape(whole.shape, y!.shape)) return whole;
  const x = operands(whole, pad)?.x;
  const { axis, start, end } = attributes as Range;
  const filled = whole.node.attributes as Padding;
  if (!x || axis < 0 || filled.axis !== axis) return;
  const [from, to] = [start - filled.before, end - filled.before];
  const length = x.shape[axis] as number;
  const [before, after] = [Math.max(0, -from), Math.max(0, to - length)];
  if (before + after >= to - from) return;
  if (before + after > 0 && users(whole) > 1) return; // filled up once for all of its readers
  const part = slice(x, { axis, start: Math.max(0, from), end: Math.min(length, to) });
  return pad(part, { ...filled, before, after });
};

/** A part of a sum of tensors that were filled up: each is cut by itself. */
const partsOfSums: Rule = ({ outputs: [y], attributes }, users) => {
  const whole = operands(y!, slice)?.x;
  const sum = whole && operands(whole, add);
  if (!sum || users(whole) > 1) return;
  const terms = [sum.a!, sum.b!];
  if (!terms.every((term) => operands(term, pad) && users(term) === 1 && sameShape(term.shape, whole.shape))) return;
  const [a, b] = terms.map((term) => slice(term, attributes as Range)) as [Tensor, Tensor];
  return add(a, b);
};

const transposes: Rule = ({ outputs: [y], attributes }) => {
  const outer = operands(y!, transpose);
  const inner = outer && operands(outer.x!, transpose);
  if (!outer) return;
  const { order } = attributes as { order: readonly number[] };
  if (order.every((axis, i) => axis === i)) return outer.x;
  if (!inner) return;
  const before = (outer.x!.node.attributes as { order: readonly number[] }).order;
  return transpose(inner.x!, { order: order.map((axis) => before[axis]!) });
};

/** Operands that broadcast by themselves need not be repeated before. */
const broadcasting = new Set([add.op, sub.op, mul.op, div.op]);
const spread: Rule = (node) => {
  if (!broadcasting.has(node.op)) return;
  const [a, b] = node.inputs as [Tensor, Tensor];
  const [y] = node.outputs;
  const bare = (tensor: Tensor): Tensor => operands(tensor, broadcastTo)?.x ?? tensor;
  for (const inputs of [
    [bare(a), bare(b)],
    [bare(a), b],
    [a, bare(b)],
  ]) {
    if (inputs[0] === a && inputs[1] === b) continue;
    const instead = createNode(node.op, inputs, node.attributes).outputs[0]!;
    if (sameShape(instead.shape, y!.shape)) return instead;
  }
  return;
};

/** A sum whose kept axes are dropped at once never keeps them. */
const sums: Rule = ({ outputs: [y] }) => {
  const reshaped = operands(y!, reshape);
  const total = reshaped && operands(reshaped.x!, sum);
  if (!total) return;
  const { axes, keep } = reshaped.x!.node.attributes as { axes: readonly number[]; keep?: boolean };
  if (keep !== true) return;
  const dropped = sum(total.x!, { axes });
  return sameShape(dropped.shape, y!.shape) ? dropped : undefined;
};

/** The gradients of stretches that lie side by side, each filled up with zeros, add up to one tensor. */
const stretches: Rule = ({ outputs: [y] }, users) => {
  const sum = operands(y!, add);
  if (!sum || users(sum.a!) > 1 || users(sum.b!) > 1) return;
  return sideBySide(sum.a!, sum.b!) ?? sideBySide(sum.b!, sum.a!);
};

function sideBySide(first: Tensor, second: Tensor): Tensor | undefined {
  const [x, y] = [operands(first, pad)?.x, operands(second, pad)?.x];
  if (!x || !y || !sameShape(first.shape, second.shape)) return;
  const [left, right] = [first, second].map(({ node }) => node.attributes as Padding) as [Padding, Padding];
  const { axis, before } = left;
  if ((left.value ?? 0) !== 0 || (right.value ?? 0) !== 0 || right.axis !== axis || axis < 0) return;
  if (right.before !== before + (x.shape[axis] as number)) return;
  const pieces = [x, y].flatMap((piece) =>
    piece.node.op === concatOp && (piece.node.attributes as { axis: number }).axis === axis ? piece.node.inputs : piece,
  );
  return pad(concat(pieces, { axis }), { axis, before, after: right.after });
}

/** Nothing is filled up. */
const pads: Rule = ({ outputs: [y] }) => {
  const x = operands(y!, pad)?.x;
  return x && keep(x, y!);
};

/** After differentiation nothing needs to be held back any more. */
const barriers: Rule = ({ outputs: [y] }) => operands(y!, stopGradient)?.x;

export const simplify = definePass('simplify', [
  neutral,
  reshapes,
  repeats,
  spread,
  sums,
  transposes,
  stretches,
  pads,
  slices,
  partsOfSums,
  barriers,
]);
