/**
 * Transpose and MatMul of a weight's gradient -> one node. ONNX Runtime fuses them too, but then takes such nodes before all
 * others, and so keeps what the gradients of the biases read until the end of the backward pass.
 */
import { operands } from '../ir.js';
import { transpose } from '../ops/layout.js';
import { cross, matmul } from '../ops/linear.js';
import { definePass, type Rule } from './pass.js';

const turnedThenMultiplied: Rule = ({ outputs: [y] }, users) => {
  const product = operands(y!, matmul);
  const turned = product && operands(product.x!, transpose);
  if (!turned || users(product.x!) > 1 || product.x!.shape.length !== 2 || product.w!.shape.length !== 2) return;
  return cross(turned.x!, product.w!);
};

export const fuseCross = definePass('fuse-cross', [turnedThenMultiplied]);
