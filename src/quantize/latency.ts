/** How long one window takes, for two models side by side. */
import type { Engine, FloatTensor, Session } from '../engine/port.js';
import { leafName, type Graph } from '../graph/index.js';
import type { WindowArrays } from './windows.js';

export interface Latency {
  readonly p50Us: number;
  readonly p99Us: number;
}

export interface LatencyOptions {
  readonly engine: Engine;
  /** Says what the inputs are called and shaped; both models take the same. */
  readonly graph: Graph;
  /** The first window is used. */
  readonly windows: WindowArrays;
  readonly runs?: number;
  readonly warmUps?: number;
}

/** Times single windows on models taken in turn, so that what else the machine does hits all of them. One per model. */
export async function measureLatency(
  models: readonly Uint8Array[],
  { engine, graph, windows, runs = 1000, warmUps = 50 }: LatencyOptions,
): Promise<Latency[]> {
  const feeds = Object.fromEntries(
    graph.inputs.map((input): [string, FloatTensor] => {
      // A fixed batch is filled with the first windows; a symbolic one is 1.
      const dims = input.shape.map((dim) => (typeof dim === 'number' ? dim : 1));
      const size = dims.reduce((product, dim) => product * dim, 1);
      return [leafName(input), { data: windows[leafName(input)]!.slice(0, size), dims }];
    }),
  );
  const sessions: Session[] = [];
  try {
    for (const model of models) sessions.push(await engine.load(model));
    const times = sessions.map(() => new Float64Array(runs));
    for (let run = -warmUps; run < runs; run++) {
      for (const [i, session] of sessions.entries()) {
        const start = performance.now();
        session.run(feeds);
        if (run >= 0) times[i]![run] = performance.now() - start;
      }
    }
    return times.map((list) => {
      const sorted = list.sort();
      const at = (share: number): number => 1000 * sorted[Math.floor(share * (runs - 1))]!;
      return { p50Us: at(0.5), p99Us: at(0.99) };
    });
  } finally {
    for (const session of sessions) session.close();
  }
}
