/** Works out, once, what depends on constants alone. */
import { runNode, type Node } from '../ir.js';
import { constant, constantOp, constantValues } from '../ops/leaf.js';
import { elements, ndarray } from '../ndarray.js';
import { gemm, matmul } from '../ops/linear.js';
import { isStatic } from '../shape.js';
import { definePass, type Rule } from './pass.js';

/** More than this is left to the engine, which folds the same with kernels a hundred times as fast when it loads the file. */
const mostMultiplications = 1e9;
const mostElements = 1 << 24;

const multiplications = ({ op, inputs, outputs }: Node): number =>
  op === matmul.op || op === gemm.op
    ? elements(outputs[0]!.shape as readonly number[]) * (inputs[0]!.shape.at(-1) as number)
    : 0;

const known: Rule = (node) => {
  const output = node.outputs[0]!;
  if (node.op === constantOp || node.inputs.length === 0 || output.dtype !== 'float32' || !isStatic(output.shape))
    return;
  if (multiplications(node) > mostMultiplications || elements(output.shape) > mostElements) return;
  const values = node.inputs.map((input) => (input.dtype === 'float32' ? constantValues(input) : undefined));
  if (values.some((value) => value === undefined)) return;
  const inputs = values.map((value, i) => ndarray(value!, node.inputs[i]!.shape as readonly number[]));
  const names = new Set(node.inputs.flatMap((input) => (input.node.attributes as { name?: string }).name ?? []));
  const [name] = names.size === 1 ? names : []; // a weight turned around is still that weight
  return constant(runNode(node, inputs, 1)[0]!.data, output.shape, 'float32', name);
};

export const foldConstants = definePass('fold-constants', [known]);
