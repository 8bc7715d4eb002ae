/** How much memory a graph takes to run, estimated before anything runs. */
import type { Graph } from './builder.js';
import { topological, type DType, type Tensor } from './ir.js';
import { elements } from './ndarray.js';
import { bindBatch } from './shape.js';

const bytesPerElement: Record<DType, number> = { float32: 4, float16: 2, int8: 1, uint8: 1, int32: 4, int64: 8 };

/** What tensors take, each by itself; `batch` binds the symbolic batch. */
export const totalBytes = (tensors: readonly Tensor[], batch = 1): number =>
  tensors.reduce((sum, { shape, dtype }) => sum + elements(bindBatch(shape, batch)) * bytesPerElement[dtype], 0);

/**
 * The most bytes that are alive at once, by a sweep over the nodes: leaves and outputs all the time, the rest from the node
 * that makes it to the last one that reads it. What an op takes inside, such as the steps of a recurrent layer, is not in
 * it, nor what a runtime saves by writing over its inputs. `batch` binds the symbolic batch.
 */
export function peakBytes(graph: Graph, batch = 1): number {
  const total = (tensors: readonly Tensor[]): number => totalBytes(tensors, batch);
  const roots = [...Object.values(graph.outputs), ...Object.values(graph.updates)];
  const order = topological(roots);

  const lastReader = new Map<Tensor, number>();
  for (const [i, { inputs }] of order.entries()) for (const input of inputs) lastReader.set(input, i);
  for (const root of roots) lastReader.set(root, Infinity);
  const leaves = order.filter(({ inputs }) => inputs.length === 0).flatMap(({ outputs }) => outputs);
  for (const leaf of leaves) lastReader.set(leaf, Infinity);

  let alive = total(leaves);
  let peak = alive;
  for (const [i, { inputs, outputs }] of order.entries()) {
    if (inputs.length === 0) continue;
    alive += total(outputs);
    peak = Math.max(peak, alive);
    alive -= total([...new Set([...inputs, ...outputs])].filter((tensor) => (lastReader.get(tensor) ?? i) === i));
  }
  return peak;
}
