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
  /** The first ones are used. */
  readonly windows: WindowArrays;
  /** Windows in one run; default 1. */
  readonly batch?: number;
  readonly runs?: number;
  readonly warmUps?: number;
  /** When it takes longer, there are fewer runs. */
  readonly budgetMs?: number;
}

const runsMin = 10;

/** Times runs on models taken in turn, so that what else the machine does hits all of them. One per model. */
export async function measureLatency(
  models: readonly Uint8Array[],
  { engine, graph, windows, batch = 1, runs = 1000, warmUps = 50, budgetMs = 4000 }: LatencyOptions,
): Promise<Latency[]> {
  const feeds = Object.fromEntries(
    graph.inputs.map((input): [string, FloatTensor] => {
      const dims = input.shape.map((dim) => (typeof dim === 'number' ? dim : batch));
      const size = dims.reduce((product, dim) => product * dim, 1);
      return [leafName(input), { data: windows[leafName(input)]!.slice(0, size), dims }];
    }),
  );
  const sessions: Session[] = [];
  try {
    for (const model of models) sessions.push(await engine.load(model));
    const times = sessions.map((): number[] => []);
    const until = performance.now() + budgetMs;
    for (let run = -warmUps; run < runs; run++) {
      if (performance.now() > until) {
        if (run >= runsMin) break;
        run = Math.max(run, 0);
      }
      for (const [i, session] of sessions.entries()) {
        const start = performance.now();
        session.run(feeds);
        if (run >= 0) times[i]!.push(performance.now() - start);
      }
    }
    return times.map((list) => {
      const sorted = list.sort((a, b) => a - b);
      const at = (share: number): number => 1000 * sorted[Math.floor(share * (sorted.length - 1))]!;
      return { p50Us: at(0.5), p99Us: at(0.99) };
    });
  } finally {
    for (const session of sessions) session.close();
  }
}
