/** Losses as the reference library writes them: `{ name: 'MQLoss', args: { level: [80, 90] } }`. */
import type { Loss } from './loss.js';
import { accuracy } from './point.js';
import { createLoss, losses } from './table.js';

export interface ReferenceLoss {
  readonly name: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/** Its argument -> our option; what is not listed, or not an option of the loss, plays no part in training. */
const optionNames: Readonly<Record<string, string>> = {
  level: 'levels',
  quantiles: 'quantiles',
  horizon_weight: 'horizonWeight',
  q: 'q',
  delta: 'delta',
  c: 'c',
  normalize: 'normalize',
  alpha: 'alpha',
  seasonality: 'seasonality',
  rho: 'rho',
  num_pieces: 'pieces',
  cos_embedding_dim: 'embedding',
  n_components: 'components',
  weighted: 'weighted',
  batch_correlation: 'batchCorrelation',
  horizon_correlation: 'horizonCorrelation',
};

/** A loss of ours by name, with its options: what a saved forecaster holds. */
export type NamedLoss = { readonly name: string } & Readonly<Record<string, unknown>>;

/** The same loss of ours by name, or undefined when there is none. */
export function lossNameFromReference({ name, args }: ReferenceLoss): NamedLoss | undefined {
  const reference = 'distribution' in args ? `${name} ${String(args['distribution'])}` : name;
  const id = Object.keys(losses).find((key) => losses[key]!.reference === reference);
  if (id === undefined) return undefined;
  const accepted = losses[id]!.options.shape;
  const known = Object.entries(args).flatMap(([key, value]) => {
    const option = optionNames[key];
    return option === undefined || value === null || !(option in accepted) ? [] : [[option, value] as const];
  });
  const { concentration0: low = 1, concentration1: high = 1 } = args;
  return {
    ...Object.fromEntries(known),
    ...('concentration0' in args || 'concentration1' in args ? { concentration: [high, low] } : {}),
    name: id,
  };
}

/**
 * The same loss of ours, or undefined when there is none. `batchPairs` is for MASE: its training, whose windows have
 * three axes, pairs every window with every other.
 */
export function lossFromReference(reference: ReferenceLoss, { batchPairs = true } = {}): Loss | undefined {
  // A measure alone: it has no slope to learn from, so there is no name to train by.
  if (reference.name === 'Accuracy') return accuracy();
  const named = lossNameFromReference(reference);
  if (named === undefined) return undefined;
  const { name, ...options } = named;
  return createLoss(name, { ...options, ...(name === 'mase' && { batchPairs }) });
}

/** The name there of a parameter of a loss, by path, with the order of axes that turns its layout into ours. */
export const lossParameter: Readonly<
  Record<string, { readonly name: string; readonly transpose?: readonly number[] }>
> = {
  'wide/weight': { name: 'quantile_layer.output_layer.0.weight', transpose: [1, 0] },
  'wide/bias': { name: 'quantile_layer.output_layer.0.bias' },
  'wide/slope': { name: 'quantile_layer.output_layer.1.weight' },
  'narrow/weight': { name: 'quantile_layer.output_layer.2.weight', transpose: [1, 0] },
  'narrow/bias': { name: 'quantile_layer.output_layer.2.bias' },
  'output/weight': { name: 'output_layer.0.weight' },
  'output/bias': { name: 'output_layer.0.bias' },
  'output/slope': { name: 'output_layer.1.weight' },
};
