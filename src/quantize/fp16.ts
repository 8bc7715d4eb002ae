/** FP16 storage: half the file, computed in FP32, since processors mostly emulate FP16 (ENGINE.md §5); or FP16 throughout, for GPUs. */
import {
  castTo,
  constantValues,
  halfConstant,
  mixedPrecision,
  substitute,
  topological,
  type Graph,
  type Tensor,
} from '../graph/index.js';
import { forecastError } from './error.js';
import { findLayers } from './layers.js';
import { signalToNoise } from './noise.js';
import type { Found, Task } from './task.js';

/** Shorter constants save nothing, and many of them are settings that must stay exact. */
const worthwhile = 64;

/** Every large FP32 constant as FP16 and a cast, which the runtime does once, at load. Values FP16 cannot reach stay. */
export function storeFp16(graph: Graph, except: ReadonlySet<Tensor> = new Set()): Graph {
  const stored = new Map<Tensor, Tensor>();
  for (const { outputs } of topological(Object.values(graph.outputs))) {
    if ((constantValues(outputs[0]!)?.length ?? 0) < worthwhile || except.has(outputs[0]!)) continue;
    const half = halfConstant(outputs[0]!);
    if (half !== undefined) stored.set(outputs[0]!, castTo(half, { dtype: 'float32' }));
  }
  return substitute(graph, stored);
}

/** Products in FP16 and what is between them; other large constants are stored so. */
export const computeFp16 = (graph: Graph): Graph => storeFp16(mixedPrecision().run(graph));

const ways = { fp16: (graph: Graph) => storeFp16(graph), 'fp16-compute': computeFp16 };

export async function fp16(task: Task, to: keyof typeof ways): Promise<Found> {
  const change = ways[to];
  const graph = change(task.float);
  const error = await forecastError(task.engine, graph, task.validation, task.point);
  const layers = findLayers(task.float, { activations: false, int8From: Infinity });
  const noise = await signalToNoise(task, layers, change, task.validation);
  return {
    graph,
    error,
    method: 'none',
    layers: layers.map(({ name }, i) => ({ name, precision: 'float16', signalToNoiseDb: noise[i]! })),
    keptFp32: [],
    saturations: 0,
  };
}
