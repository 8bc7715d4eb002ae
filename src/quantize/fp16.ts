/** FP16 storage: half the file, computed in FP32, since processors mostly emulate FP16 (ENGINE.md §5). */
import { constant, constantValues, substitute, toFloat, topological, type Graph, type Tensor } from '../graph/index.js';
import { fromHalf, toHalf } from '../graph/onnx/half.js';
import { findLayers } from './layers.js';
import { signalToNoise } from './noise.js';
import type { Found, Task } from './task.js';
import { forecastError } from './windows.js';

/** Shorter constants save nothing, and many of them are settings that must stay exact. */
const worthwhile = 64;
const largestHalf = 65_504;

/** Every large FP32 constant as FP16 and a cast, which the runtime does once, at load. Values FP16 cannot reach stay. */
export function storeFp16(graph: Graph): Graph {
  const stored = new Map<Tensor, Tensor>();
  for (const { outputs } of topological(Object.values(graph.outputs))) {
    const values = constantValues(outputs[0]!);
    if (values === undefined || outputs[0]!.dtype !== 'float32' || values.length < worthwhile) continue;
    const rounded = Float32Array.from(values, (value) => fromHalf(toHalf(value)));
    if (Array.from(values).some((value) => Math.abs(value) > largestHalf)) continue;
    stored.set(outputs[0]!, toFloat(constant(rounded, outputs[0]!.shape as readonly number[], 'float16'), {}));
  }
  return substitute(graph, stored);
}

export async function fp16(task: Task): Promise<Found> {
  const graph = storeFp16(task.float);
  const mae = await forecastError(task.engine, graph, task.validation, task.point);
  const layers = findLayers(task.float, { activations: false });
  const noise = await signalToNoise(task, layers, storeFp16, task.validation);
  return {
    graph,
    mae,
    method: 'none',
    layers: layers.map(({ name }, i) => ({ name, precision: 'float16', signalToNoiseDb: noise[i]! })),
    keptFp32: [],
    saturations: 0,
  };
}
