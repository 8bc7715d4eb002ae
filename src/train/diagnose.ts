/** Finds where in a training graph numbers stop being numbers, by running it again with a probe on every tensor. */
import type { Engine, FloatTensor, SessionOptions } from '../engine/port.js';
import type { TrainingStep } from '../engine/training-step.js';
import { exposeTensors, nodesOf, probeName, probeTensors, type ExposedNode } from '../graph/index.js';

export interface Origin {
  /** The node, by its place in the model and its op: `model/gate/log`; or what was fed, by its name. */
  readonly node: string;
  /** From the least to the largest value, of each tensor it reads; constants are left out. */
  readonly reads: readonly (readonly [low: number, high: number])[];
  /** The parameter whose gradient went bad the fewest nodes later; none when all gradients are finite. */
  readonly parameter: string | undefined;
}

/** The first node that made what is not finite of what is, on the way to the loss, or to the gradients if the loss is finite. */
export async function diagnose(
  engine: Engine,
  model: Uint8Array,
  { feeds, layout }: Pick<TrainingStep, 'feeds' | 'layout'>,
  options: SessionOptions,
): Promise<Origin | undefined> {
  const fed = Object.keys(feeds).find((name) => !feeds[name]!.data.every(Number.isFinite));
  if (fed !== undefined) return { node: fed, reads: [], parameter: undefined };
  const run = async (file: Uint8Array): Promise<Record<string, FloatTensor>> => {
    const session = await engine.load(file, options);
    try {
      return session.run(feeds);
    } finally {
      session.close();
    }
  };

  const nodes = nodesOf(model);
  const made = nodes.flatMap(({ outputs }) => outputs);
  const probes = await run(probeTensors(model, made));
  const bad = new Set(made.filter((name) => Number.isNaN(probes[probeName(name)]!.data[0])));
  const gradients = layout.parameters.filter(({ gradient }) => bad.has(gradient));
  const origin = firstOf(nodes, bad, bad.has(layout.loss) ? [layout.loss] : gradients.map(({ gradient }) => gradient));
  if (origin === undefined) return undefined;

  const later = distances(nodes, bad, origin);
  const [nearest] = gradients.toSorted((a, b) => later(a.gradient) - later(b.gradient));
  const read = origin.inputs.filter((name) => made.includes(name));
  const values = { ...feeds, ...(read.length > 0 && (await run(exposeTensors(model, read)))) };
  return {
    node: origin.name,
    reads: origin.inputs.flatMap((name) => (values[name] ? [rangeOf(values[name].data)] : [])),
    parameter: nearest?.name,
  };
}

/**
 * Goes back from `ends` along tensors that are not finite, to the earliest node. Infinity that a later node takes out again,
 * such as that of a mask, is not on the way.
 */
function firstOf(nodes: readonly ExposedNode[], bad: ReadonlySet<string>, ends: readonly string[]) {
  const way = new Set(ends);
  let first: ExposedNode | undefined;
  for (const node of nodes.toReversed()) {
    if (!node.outputs.some((output) => way.has(output))) continue;
    first = node;
    for (const input of node.inputs) if (bad.has(input)) way.add(input);
  }
  return first;
}

/** How many nodes after `origin` a tensor became bad. */
function distances(
  nodes: readonly ExposedNode[],
  bad: ReadonlySet<string>,
  origin: ExposedNode,
): (tensor: string) => number {
  const found = new Map(origin.outputs.map((output) => [output, 0]));
  const distance = (tensor: string): number => found.get(tensor) ?? Infinity;
  for (const { inputs, outputs } of nodes) {
    const here = Math.min(...inputs.map(distance)) + 1;
    for (const output of outputs) if (bad.has(output) && here < distance(output)) found.set(output, here);
  }
  return distance;
}

const rangeOf = (data: Float32Array): [number, number] => [
  data.reduce((low, value) => Math.min(low, value), Infinity),
  data.reduce((high, value) => Math.max(high, value), -Infinity),
];
