/** Runs a graph on many windows through the engine, and measures its forecasts. */
import type { Engine, FloatTensor, Session } from '../engine/port.js';
import { ShapeError } from '../errors.js';
import { mae } from '../evaluate/metrics.js';
import { leafName, toOnnx, type Graph } from '../graph/index.js';

/** Windows as flat arrays: every input of the graph by its name, `[windows, …]`, and what then happened. */
export interface WindowArrays {
  /** `[windows, horizon, 1]`, in sensor units. */
  readonly target: Float32Array;
  /** 1 where the target is known; everywhere when absent. */
  readonly targetMask?: Float32Array;
  readonly [input: string]: Float32Array | undefined;
}

const batchSize = 64;
const elements = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

/** How many windows there are. Throws `ND_SHAPE_MISMATCH` when an input is missing or they disagree. */
export function windowCount(graph: Graph, windows: WindowArrays): number {
  const counts = graph.inputs.map((input) => {
    const width = elements(input.shape.slice(1) as number[]);
    const count = (windows[leafName(input)]?.length ?? Number.NaN) / width;
    if (Number.isInteger(count)) return count;
    throw new ShapeError({
      where: leafName(input),
      what: `the windows hold ${windows[leafName(input)]?.length ?? 'no'} values, but one window has [${input.shape.slice(1)}].`,
      mend: 'Pass an array of [windows, …] for every input of the graph.',
    });
  });
  if (new Set(counts).size === 1) return counts[0]!;
  throw new ShapeError({
    where: 'windows',
    what: `the inputs hold ${counts.join(', ')} windows.`,
    mend: 'Pass as many windows of each.',
  });
}

/** The first windows, or all when there are fewer. */
export const firstWindows = (graph: Graph, windows: WindowArrays, count: number): WindowArrays => {
  const total = windowCount(graph, windows);
  const first = (data: Float32Array): Float32Array => data.subarray(0, (data.length / total) * Math.min(count, total));
  const entries = Object.entries(windows).flatMap(([name, data]) => (data ? [[name, first(data)] as const] : []));
  return { ...Object.fromEntries(entries), target: first(windows.target) };
};

/** Runs all windows, batch by batch; `visit` gets the outputs of `count` windows that start with number `first`. */
export function runWindows(
  session: Session,
  graph: Graph,
  windows: WindowArrays,
  visit: (outputs: Record<string, FloatTensor>, first: number, count: number) => void,
): void {
  const total = windowCount(graph, windows);
  const fixed = graph.inputs[0]!.shape[0]!;
  for (let first = 0; first < total;) {
    // A graph of a fixed batch gets its last batch filled up with windows it has already seen.
    const size = typeof fixed === 'number' ? fixed : Math.min(batchSize, total - first);
    const count = Math.min(size, total - first);
    const feeds = Object.fromEntries(
      graph.inputs.map((input) => {
        const shape = input.shape.slice(1) as number[];
        const width = elements(shape);
        const data = new Float32Array(size * width);
        for (let row = 0; row < size; row++) {
          const from = ((first + row) % total) * width;
          data.set(windows[leafName(input)]!.subarray(from, from + width), row * width);
        }
        return [leafName(input), { data, dims: [size, ...shape] }];
      }),
    );
    visit(session.run(feeds), first, count);
    first += count;
  }
}

/** Loads the graph, hands the session over and closes it. */
export async function withSession<T>(engine: Engine, graph: Graph, use: (session: Session) => T): Promise<T> {
  const session = await engine.load(toOnnx(graph));
  try {
    return use(session);
  } finally {
    session.close();
  }
}

/** Mean absolute error of the forecast, in sensor units. `point` is the column of the forecast that is meant as a point. */
export async function forecastError(
  engine: Engine,
  graph: Graph,
  windows: WindowArrays,
  point: number,
): Promise<number> {
  const total = windowCount(graph, windows);
  const actual = Float64Array.from(windows.target, (value, i) =>
    windows.targetMask === undefined || windows.targetMask[i]! > 0 ? value : Number.NaN,
  );
  const horizon = actual.length / total;
  const forecast = new Float64Array(actual.length);
  await withSession(engine, graph, (session) =>
    runWindows(session, graph, windows, ({ forecast: found }, first, count) => {
      const columns = found!.dims.at(-1)!;
      for (let i = 0; i < count * horizon; i++) forecast[first * horizon + i] = found!.data[i * columns + point]!;
    }),
  );
  return mae(actual, forecast);
}
