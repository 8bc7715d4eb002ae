/** Reverse-mode differentiation: a transformation of the graph, so gradients export, fuse and quantize like anything else. */
import { NeuroDivergentError } from '../errors.js';
import { byName, inputName, topological, toTensor, type Operand, type Tensor } from './ir.js';
import { add, mul } from './ops/elementwise.js';
import { broadcastTo } from './ops/layout.js';
import { sameShape } from './shape.js';

/**
 * Gradients of a scalar with respect to tensors of its graph, each with the tensor's shape.
 * Throws `ND_GRADIENT_MISSING_RULE` when nothing flows to a tensor, since a parameter that never learns is a mistake;
 * pass `allowUnused` where it is intended: such a gradient is zero. `seed` is what all gradients are multiplied with.
 */
export function gradients(
  loss: Tensor,
  wrt: readonly Tensor[],
  { allowUnused = false, seed = 1 }: { readonly allowUnused?: boolean; readonly seed?: Operand } = {},
): Tensor[] {
  const nodes = topological([loss]);
  const needed = new Set<Tensor>(wrt);
  for (const node of nodes) {
    if (node.op.grad !== 'none' && node.inputs.some((input) => needed.has(input)))
      for (const output of node.outputs) needed.add(output);
  }

  const flowing = new Map<Tensor, Tensor>([[loss, toTensor(seed)]]);
  for (const node of nodes.reverse()) {
    const { op, inputs, outputs } = node;
    if (op.grad === 'none' || !inputs.some((input) => needed.has(input))) continue;
    if (!outputs.some((output) => flowing.has(output))) continue;

    const names = op.outputs ?? ['y'];
    const present = names.flatMap((name, i) => {
      const gradient = flowing.get(outputs[i]!);
      return gradient === undefined ? [] : [[name, gradient] as const];
    });
    const result = op.grad(
      byName(op, inputs),
      {
        attributes: node.attributes,
        y: outputs[0]!,
        dy: flowing.get(outputs[0]!) ?? present[0]![1],
        outputs: Object.fromEntries(names.map((name, i) => [name, outputs[i]!])),
        gradients: Object.fromEntries(present),
      },
      inputs,
    );
    for (const [i, input] of inputs.entries()) {
      const gradient = result[inputName(op, i)];
      if (!needed.has(input) || gradient === undefined) continue;
      const before = flowing.get(input);
      flowing.set(input, before === undefined ? gradient : add(before, gradient));
    }
  }

  return wrt.map((tensor) => {
    const gradient = flowing.get(tensor);
    if (gradient !== undefined)
      return sameShape(gradient.shape, tensor.shape) ? gradient : broadcastTo(gradient, { shape: tensor.shape });
    if (allowUnused) return mul(tensor, 0);
    throw new NeuroDivergentError('ND_GRADIENT_MISSING_RULE', {
      where: (tensor.node.attributes as { name?: string }).name ?? tensor.node.op.name,
      what: 'No gradient flows from the loss to this tensor.',
      mend: 'Use it in the forward pass, or do not ask for its gradient.',
    });
  });
}
