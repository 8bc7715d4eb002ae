/** Turns learned parameters and states into constants: the first step from a training graph to one that ships. */
import type { Graph } from '../builder.js';
import { NeuroDivergentError } from '../../errors.js';
import { constant, leafName } from '../ops/leaf.js';
import { staticShape } from '../shape.js';
import { substitute } from './pass.js';

/** `values` by parameter name. Throws `ND_GRAPH_INVALID` when one is missing. */
export function bindParameters(graph: Graph, values: Readonly<Record<string, ArrayLike<number>>>): Graph {
  const bound = [...graph.parameters, ...graph.states].map((tensor) => {
    const name = leafName(tensor);
    const data = values[name];
    if (data === undefined) {
      throw new NeuroDivergentError('ND_GRAPH_INVALID', {
        where: name,
        what: 'has no value.',
        mend: 'Pass the values of every parameter and state.',
      });
    }
    return [tensor, constant(data, staticShape(name, tensor.shape), 'float32', name)] as const;
  });
  return { ...substitute({ ...graph, updates: {} }, new Map(bound)), parameters: [], states: [] };
}
