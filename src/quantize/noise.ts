/** How much each layer loses by being quantized. */
import type { Graph } from '../graph/index.js';
import type { Layer } from './layers.js';
import type { Task } from './task.js';
import { someWindows, runWindows, withSession, type WindowArrays } from './windows.js';

/** How much stronger each layer's output is than the error in it, in decibel, everything before it being quantized too. */
export async function signalToNoise(
  { engine, float }: Task,
  layers: readonly Layer[],
  change: (graph: Graph) => Graph,
  windows: WindowArrays,
): Promise<number[]> {
  const outputs = Object.fromEntries(layers.map(({ nodes: [node] }, i) => [`layer${i}`, node.outputs[0]!]));
  const watching = { ...float, outputs: { forecast: float.outputs.forecast!, ...outputs } };
  const few = someWindows(float, windows, 64);
  const values = async (graph: Graph): Promise<Float32Array[][]> => {
    const collected = layers.map((): Float32Array[] => []);
    await withSession(engine, graph, (session) =>
      runWindows(session, graph, few, (found) => {
        for (const [i, list] of collected.entries()) list.push(found[`layer${i}`]!.data);
      }),
    );
    return collected;
  };
  const [expected, actual] = [await values(watching), await values(change(watching))];
  return expected.map((parts, i) => {
    let power = 0;
    let noise = 0;
    for (const [part, signal] of parts.entries()) {
      const found = actual[i]![part]!;
      for (let j = 0; j < signal.length; j++) {
        power += signal[j]! ** 2;
        noise += (signal[j]! - found[j]!) ** 2;
      }
    }
    return 10 * Math.log10(power / noise);
  });
}
