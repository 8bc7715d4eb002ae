/** A small network with bound weights, and windows whose truth is its own forecast plus noise. */
import { createRandom } from '../../src/engine/random.js';
import {
  add,
  constant,
  createGraph,
  evaluate,
  matmul,
  ndarray,
  relu,
  reshape,
  type Graph,
  type Tensor,
} from '../../src/graph/index.js';
import type { WindowArrays } from '../../src/quantize/index.js';

export const [inputLength, horizon] = [32, 16];

/** `past [batch, 32, 1]` → 64 → 64 → `forecast [batch, 16, 1]`; `edit` changes weights by the name of their layer. */
export function network(edit: (name: string, weights: Float32Array) => void = () => {}): Graph {
  const random = createRandom(5, 'network');
  const g = createGraph();
  const layer = (name: string, x: Tensor, outputs: number): Tensor => {
    const inputs = x.shape[1] as number;
    const weights = Float32Array.from({ length: inputs * outputs }, () => (random() - 0.5) * Math.sqrt(12 / inputs));
    edit(name, weights);
    const bias = Float32Array.from({ length: outputs }, () => random() - 0.5);
    return add(matmul(x, constant(weights, [inputs, outputs], 'float32', `${name}/weight`)), constant(bias));
  };
  let state = reshape(g.input('past', ['batch', inputLength, 1]), { shape: ['batch', inputLength] });
  state = relu(layer('first', state, 64));
  state = relu(layer('second', state, 64));
  return g.finish({ forecast: reshape(layer('last', state, horizon), { shape: ['batch', horizon, 1] }) });
}

/** `noise` is the largest distance of the truth from the forecast of `graph`. */
export function windowsFor(
  graph: Graph,
  { count = 64, noise = 0.5, seed = 1, scale = (_: number): number => 1 } = {},
): WindowArrays {
  const random = createRandom(seed, 'windows');
  const past = Float32Array.from(
    { length: count * inputLength },
    (_, i) => scale(i % inputLength) * (2 * random() - 1),
  );
  const [forecast] = evaluate([graph.outputs.forecast!], { past: ndarray(past, [count, inputLength, 1]) }, count);
  return { past, target: Float32Array.from(forecast!.data, (value) => value + noise * (2 * random() - 1)) };
}
