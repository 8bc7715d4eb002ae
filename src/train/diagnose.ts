/** Finds where in a training graph numbers stop being numbers, by running it again with every tensor as an output. */
import type { Engine, FloatTensor, SessionOptions } from '../engine/port.js';
import type { TrainingStep } from '../engine/training-step.js';
import { exposeNodes, type ExposedNode } from '../graph/index.js';

export interface Origin {
  /** The node, by its place in the model and its op: `model/gate/log`; or what was fed, by its name. */
  readonly node: string;
  /** From the least to the largest value, of each tensor it reads; constants are left out. */
  readonly reads: readonly (readonly [low: number, high: number])[];
  /** The parameter whose gradient went bad the fewest nodes later; none when all gradients are finite. */
  readonly parameter: string | undefined;
}

/** Runs over which the tensors are spread, so that not all are held at once. */
const runs = 16;

/** The first node that made what is not finite of what is, on the way to the loss, or to the gradients if the loss is finite. */
export async function diagnose(
  engine: Engine,
  model: Uint8Array,
  { feeds, layout }: Pick<TrainingStep, 'feeds' | 'layout'>,
  options: SessionOptions,
): Promise<Origin | undefined> {
  const fed = Object.keys(feeds).find((name) => !isFinite(feeds[name]!));
  if (fed !== undefined) return { node: fed, reads: [], parameter: undefined };
  const { model: exposed, nodes } = exposeNodes(model);
  const session = await engine.load(exposed, options);
  try {
    const valuesOf = (names: readonly string[]): Record<string, FloatTensor> =>
      names.length === 0 ? {} : session.run(feeds, Object.fromEntries(names.map((name) => [name, null])));
    const bad = new Set<string>();
    const share = Math.ceil(nodes.length / runs);
    for (let from = 0; from < nodes.length; from += share) {
      const values = valuesOf(nodes.slice(from, from + share).flatMap(({ outputs }) => outputs));
      for (const [name, tensor] of Object.entries(values)) if (!isFinite(tensor)) bad.add(name);
    }
    const gradients = layout.parameters.filter(({ gradient }) => bad.has(gradient));
    const origin = firstOf(
      nodes,
      bad,
      bad.has(layout.loss) ? [layout.loss] : gradients.map(({ gradient }) => gradient),
    );
    if (origin === undefined) return undefined;

    const later = distances(nodes, bad, origin);
    const [nearest] = gradients.toSorted((a, b) => later(a.gradient) - later(b.gradient));
    const made = new Set(nodes.flatMap(({ outputs }) => outputs));
    const values = { ...feeds, ...valuesOf(origin.inputs.filter((name) => made.has(name))) };
    return {
      node: origin.name,
      reads: origin.inputs.flatMap((name) => (values[name] ? [rangeOf(values[name].data)] : [])),
      parameter: nearest?.name,
    };
  } finally {
    session.close();
  }
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

/** Of tensors of other types, which hold no such values, true. */
const isFinite = ({ data }: FloatTensor): boolean => !(data instanceof Float32Array) || data.every(Number.isFinite);

const rangeOf = (data: Float32Array): [number, number] => [
  data.reduce((low, value) => Math.min(low, value), Infinity),
  data.reduce((high, value) => Math.max(high, value), -Infinity),
];
