/** MatMul + bias Add -> one Gemm: one node fewer to run and to quantize, same numbers. */
import { operands } from '../ir.js';
import { add } from '../ops/elementwise.js';
import { gemm, matmul } from '../ops/linear.js';
import { definePass, type Rule } from './pass.js';

const matmulThenBias: Rule = ({ outputs: [y] }, users) => {
  const sum = operands(y!, add);
  const product = sum && operands(sum.a!, matmul);
  if (!product || users(sum.a!) > 1) return; // a second reader still needs the bare product
  if (product.x!.shape.length !== 2 || product.w!.shape.length !== 2 || sum.b!.shape.length !== 1) return; // Gemm is rank 2 only
  if (sum.b!.shape[0] !== product.w!.shape[1]) return; // a bias of size 1 would have to be repeated
  return gemm(product.x!, product.w!, sum.b!);
};

export const fuseBias = definePass('fuse-bias', [matmulThenBias]);
