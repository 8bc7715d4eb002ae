/** Works out, once, what depends on constants alone. */
import { runNode } from '../ir.js';
import { constant, constantOp, constantValues } from '../ops/leaf.js';
import { ndarray } from '../ndarray.js';
import { isStatic } from '../shape.js';
import { definePass, type Rule } from './pass.js';

const known: Rule = (node) => {
  const output = node.outputs[0]!;
  if (node.op === constantOp || node.inputs.length === 0 || output.dtype !== 'float32' || !isStatic(output.shape))
    return;
  const values = node.inputs.map((input) => (input.dtype === 'float32' ? constantValues(input) : undefined));
  if (values.some((value) => value === undefined)) return;
  const inputs = values.map((value, i) => ndarray(value!, node.inputs[i]!.shape as readonly number[]));
  const names = new Set(node.inputs.flatMap((input) => (input.node.attributes as { name?: string }).name ?? []));
  const [name] = names.size === 1 ? names : []; // a weight turned around is still that weight
  return constant(runNode(node, inputs, 1)[0]!.data, output.shape, 'float32', name);
};

export const foldConstants = definePass('fold-constants', [known]);
