/** Runs a graph with the plain float64 kernels. Slow: for tests, constant folding and finite differences. */
import { NeuroDivergentError } from '../errors.js';
import { runNode, topological, type Tensor } from './ir.js';
import type { NdArray } from './ndarray.js';
import { constantOp, leafName } from './ops/leaf.js';

/** Values of `outputs`, given those of all inputs, parameters, states and draws by name. `batch` binds the symbolic batch. */
export function evaluate(outputs: readonly Tensor[], feeds: Readonly<Record<string, NdArray>>, batch = 1): NdArray[] {
  const values = new Map<Tensor, NdArray>();
  for (const node of topological(outputs)) {
    if (node.inputs.length === 0 && node.op !== constantOp) {
      const name = leafName(node.outputs[0]!);
      const fed = feeds[name];
      if (fed === undefined) {
        throw new NeuroDivergentError('ND_GRAPH_INVALID', { where: name, what: 'has no value.', mend: 'Feed it.' });
      }
      values.set(node.outputs[0]!, fed);
      continue;
    }
    const results = runNode(
      node,
      node.inputs.map((input) => values.get(input)!),
      batch,
    );
    for (const [i, result] of results.entries()) values.set(node.outputs[i]!, result);
  }
  return outputs.map((output) => values.get(output)!);
}
