/** Reverse-mode differentiation: a transformation of the graph, so gradients export, fuse and quantize like anything else. */
import { NeuroDivergentError } from '../errors.js';
import { byName, inputName, places, topological, toTensor, type Node, type Operand, type Tensor } from './ir.js';
import { add, mul, stopGradient } from './ops/elementwise.js';
import { broadcastTo } from './ops/layout.js';
import { sameShape } from './shape.js';

/**
 * Gradients of a scalar with respect to tensors of its graph, each with the tensor's shape.
 * Throws `ND_GRADIENT_MISSING_RULE` when nothing flows to a tensor, since a parameter that never learns is a mistake. Two
 * ways say that it is intended, and then the gradient is zero: `allowUnused` for tensors that the loss does not depend on,
 * and `stopGradient`. `seed` is what all gradients are multiplied with.
 */
export function gradients(
  loss: Tensor,
  wrt: readonly Tensor[],
  { allowUnused = false, seed = 1 }: { readonly allowUnused?: boolean; readonly seed?: Operand } = {},
): Tensor[] {
  const forward = topological([loss]);
  const needed = new Set<Tensor>(wrt);
  for (const node of forward) {
    if (node.op.grad !== 'none' && node.inputs.some((input) => needed.has(input)))
      for (const output of node.outputs) needed.add(output);
  }

  const flowing = new Map<Tensor, Tensor>([[loss, toTensor(seed)]]);
  for (const node of forward.toReversed()) {
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
    const barrier = barrierOf(tensor, forward, flowing);
    if (allowUnused && (barrier === undefined || barrier.op === stopGradient.op)) return mul(tensor, 0);
    throw new NeuroDivergentError('ND_GRADIENT_MISSING_RULE', {
      where: (tensor.node.attributes as { name?: string }).name ?? tensor.node.op.name,
      ...(barrier === undefined
        ? {
            what: 'No gradient flows from the loss to this tensor: the loss does not depend on it.',
            mend: 'Use it in the forward pass, or do not ask for its gradient.',
          }
        : {
            what: `No gradient flows from the loss to this tensor: ${barrier.op.name} in ${places(forward).get(barrier)?.place ?? 'the graph'} lets none through.`,
            mend: `Use an op that has a gradient instead of ${barrier.op.name}, or do not ask for this one.`,
          }),
    });
  });
}

/** The first node after `tensor` that keeps the gradient from it; none when the loss does not depend on it. */
function barrierOf(tensor: Tensor, forward: readonly Node[], flowing: ReadonlyMap<Tensor, Tensor>): Node | undefined {
  const reached = new Set([tensor]);
  return forward.find(({ op, inputs, outputs }) => {
    if (!inputs.some((input) => reached.has(input))) return false;
    for (const output of outputs) reached.add(output);
    return op.grad === 'none' || outputs.some((output) => flowing.has(output));
  });
}
