/** Runs a graph on many windows through the engine. */
import type { Engine, FloatTensor, Session } from '../engine/port.js';
import { ShapeError } from '../errors.js';
import { leafName, toOnnx, type Graph, type Tensor } from '../graph/index.js';

/**
 * Windows as flat arrays: every input of the graph by its name, `[windows, …]`, and what then happened. An input that all
 * windows share, such as the static columns of series that are forecast together, is there once.
 */
export interface WindowArrays {
  /** `[windows, horizon, series]`, in sensor units; one series, or all that are forecast together. */
  readonly target: Float32Array;
  /** 1 where the target is known; everywhere when absent. */
  readonly targetMask?: Float32Array;
  /** `[windows]`, which series each is of, for windows of one series; all of one when absent. */
  readonly series?: Float32Array;
  readonly [input: string]: Float32Array | undefined;
}

const batchSize = 64;
const elements = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

/** An input of a fixed first axis, beside one whose batch is open, holds the same for all windows. */
const isShared = (graph: Graph, { shape: [first] }: Tensor): boolean =>
  typeof first === 'number' && graph.inputs.some(({ shape }) => typeof shape[0] !== 'number');

/** How many windows there are. Throws `ND_SHAPE_MISMATCH` when an input is missing or they disagree. */
export function windowCount(graph: Graph, windows: WindowArrays): number {
  const batched = graph.inputs.filter((input) => !isShared(graph, input));
  const counts = batched.map((input) => {
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

/** Evenly spread windows, or all when there are fewer. */
export const someWindows = (graph: Graph, windows: WindowArrays, count: number): WindowArrays => {
  const total = windowCount(graph, windows);
  if (total <= count) return windows;
  const shared = graph.inputs.filter((input) => isShared(graph, input)).map(leafName);
  const some = (data: Float32Array): Float32Array => {
    const width = data.length / total;
    const chosen = new Float32Array(count * width);
    for (let i = 0; i < count; i++) {
      const from = Math.floor((i * total) / count) * width;
      chosen.set(data.subarray(from, from + width), i * width);
    }
    return chosen;
  };
  const entries = Object.entries(windows).flatMap(([name, data]) =>
    data ? [[name, shared.includes(name) ? data : some(data)] as const] : [],
  );
  return Object.fromEntries(entries) as unknown as WindowArrays;
};

/** Runs all windows, batch by batch; `visit` gets the outputs of `count` windows that start with number `first`. */
export function runWindows(
  session: Session,
  graph: Graph,
  windows: WindowArrays,
  visit: (outputs: Record<string, FloatTensor>, first: number, count: number) => void,
): void {
  const total = windowCount(graph, windows);
  const open = graph.inputs.some(({ shape: [first] }) => typeof first !== 'number');
  for (let first = 0; first < total;) {
    // A graph of a fixed batch gets its last batch filled up with windows it has already seen.
    const size = open ? Math.min(batchSize, total - first) : (graph.inputs[0]!.shape[0] as number);
    const count = Math.min(size, total - first);
    const feeds = Object.fromEntries(
      graph.inputs.map((input) => {
        if (isShared(graph, input))
          return [leafName(input), { data: windows[leafName(input)]!, dims: input.shape as number[] }];
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
