/** From the reference library's names and layouts to ours, by each model's `reference` table. `nd parity` reads it too. */
import { lossParameter } from '../losses/index.js';
import type { ForecastSpec, Model } from '../models/index.js';
import type { ReferenceParameter } from '../models/model.js';

/** A tensor of the library, row-major. */
export interface ReferenceTensor {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/** Its hyperparameters under our names, those of the task apart; what is null there stands for the default. */
export function ownHyperparameters(
  { reference }: Model,
  given: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const own = Object.entries(reference.hyperparameters).flatMap(([name, entry]) => {
    const { name: theirs, read } = typeof entry === 'string' ? { name: entry, read: (value: unknown) => value } : entry;
    const value = given[theirs];
    return value === undefined || value === null ? [] : [[name, read(value)] as const];
  });
  return Object.fromEntries(own);
}

/** Where a parameter or state of ours is found there. */
export function referenceParameter(
  path: string,
  { model, hyperparameters }: ForecastSpec,
): ReferenceParameter | undefined {
  const [place, rest] = path.split(/\/(.*)/) as [string, string];
  if (place === 'model') return model.reference.parameter(rest, hyperparameters);
  const parameter = lossParameter[rest];
  return parameter && { ...parameter, name: `loss.${parameter.name}` };
}

/** A tensor with its axes in another order. */
export function transposed({ data, dims }: ReferenceTensor, order: readonly number[] | undefined): ReferenceTensor {
  if (order === undefined) return { data, dims };
  const size = order.map((axis) => dims[axis]!);
  const step = dims.map((_, axis) => dims.slice(axis + 1).reduce((product, dim) => product * dim, 1));
  const turned = Float32Array.from(data, (_, position) => {
    let rest = position;
    let from = 0;
    for (let axis = size.length - 1; axis >= 0; axis--) {
      from += (rest % size[axis]!) * step[order[axis]!]!;
      rest = Math.floor(rest / size[axis]!);
    }
    return data[from]!;
  });
  return { data: turned, dims: size };
}
