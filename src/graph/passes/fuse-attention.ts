/**
 * Attention -> ONNX Runtime's own operator, which never holds the scores: 8 times less memory, and faster than the
 * product of matrices from some 1,000 tokens on. The file then runs in ONNX Runtime alone, so no export has this pass
 * unless asked for. The operator is this good for float32 without a mask only; anything else is left as it stands.
 */
import { operands, type Node, type Tensor } from '../ir.js';
import { attention, multiHeadAttention } from '../ops/attention.js';
import { div, mul } from '../ops/elementwise.js';
import { reshape, transpose } from '../ops/layout.js';
import { uniformConstant } from '../ops/leaf.js';
import { matmul } from '../ops/linear.js';
import { softmax } from '../ops/reduce.js';
import { isStatic, sameShape } from '../shape.js';
import { definePass, type Rule } from './pass.js';

/** What attention is made of: heads before tokens, the key with its last axes changed over. */
interface Parts {
  readonly q: Tensor;
  readonly turned: Tensor;
  readonly v: Tensor;
  readonly scale: number;
}

const spelledOut: Rule = ({ outputs: [y] }, users) => {
  const product = operands(y!, matmul);
  const scores = product && operands(product.x!, softmax)?.x;
  if (!scores || users(product.x!) > 1) return; // a second reader wants the weights themselves
  if (![-1, 3].includes((product.x!.node.attributes as { axis: number }).axis)) return;
  const { x: bare, scale } = unscaled(scores);
  const similarity = operands(bare, matmul);
  if (!similarity || users(scores) > 1 || users(bare) > 1) return;
  return inOneNode({ q: similarity.x!, turned: similarity.w!, v: product.w!, scale });
};

const inChunks: Rule = (node: Node) => {
  const parts = operands(node.outputs[0]!, attention);
  if (parts?.q!.shape.length !== 4) return;
  const { scale } = node.attributes as { scale: number };
  return inOneNode({ q: parts.q, turned: transpose(parts.k!, { order: [0, 1, 3, 2] }), v: parts.v!, scale });
};

function unscaled(scores: Tensor): { x: Tensor; scale: number } {
  const product = operands(scores, mul);
  const factor = product && uniformConstant(product.b!);
  if (factor !== undefined) return { x: product!.a!, scale: factor };
  const quotient = operands(scores, div);
  const divisor = quotient && uniformConstant(quotient.b!);
  if (divisor !== undefined) return { x: quotient!.a!, scale: 1 / divisor };
  return { x: scores, scale: 1 };
}

function inOneNode({ q, turned, v, scale }: Parts): Tensor | undefined {
  if ([q, turned, v].some(({ shape, dtype }) => shape.length !== 4 || dtype !== 'float32')) return;
  if (!isStatic(q.shape.slice(1)) || !isStatic(v.shape.slice(1))) return;
  const [batch, heads, rows] = q.shape as [number, number, number, number];
  if (![turned, v].every(({ shape }) => sameShape(shape.slice(0, 2), [batch, heads]))) return; // the operator repeats no axis
  // [batch, head, token, width] -> [batch, token, head·width]: what models did before is undone, and `simplify` sees it.
  const asRows = (x: Tensor, order: readonly number[]): Tensor => {
    const moved = transpose(x, { order }); // [batch, token, head, width]
    return reshape(moved, { shape: [batch, moved.shape[1]!, heads * (moved.shape[3] as number)] });
  };
  const headsInside = [0, 2, 1, 3];
  const mixed = multiHeadAttention(asRows(q, headsInside), asRows(turned, [0, 3, 1, 2]), asRows(v, headsInside), { heads, scale }); // prettier-ignore
  return transpose(reshape(mixed, { shape: [batch, rows, heads, v.shape[3]!] }), { order: headsInside });
}

export const fuseAttention = definePass('fuse-attention', [spelledOut, inChunks]);
