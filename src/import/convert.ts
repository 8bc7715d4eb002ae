/** From a model of the reference library to one of ours with its weights. */
import { NeuroDivergentError } from '../errors.js';
import { leafName } from '../graph/index.js';
import { createLoss, lossNameFromReference, type NamedLoss } from '../losses/index.js';
import type { SeriesScaling } from '../models/series-scaling.js';
import { feedsBack, inferenceGraph, models, scalerNames, type ForecastSpec, type Model } from '../models/index.js';
import { initialValues } from '../train/plan.js';
import { unsupported, type Checkpoint, type CheckpointModel } from './checkpoint.js';
import { ownHyperparameters, referenceParameter, transposed } from './mapping.js';

/** Of a hyperparameter, and of the steps of past times those of the future. */
const sizeMax = 1 << 16;
const windowMax = 1 << 26;

export interface Converted {
  readonly spec: ForecastSpec;
  readonly loss: NamedLoss;
  /** Parameters and states by path. */
  readonly values: Readonly<Record<string, Float32Array>>;
  /** Tensors of the checkpoint that the forecast does not need. */
  readonly unused: readonly string[];
}

/**
 * Throws `ND_IMPORT_UNSUPPORTED` for what we do not have, `ND_IMPORT_MISMATCH` for weights that do not fit, and
 * `ND_HYPERPARAMETER`.
 */
export function convertModel(checkpoint: CheckpointModel, seriesScalers: Checkpoint['seriesScalers'] = {}): Converted {
  const { name, tensors } = checkpoint;
  const spec = specOf(checkpoint, seriesScalers);
  const used = new Set<string>();
  const { parameters, states } = inferenceGraph(spec);
  const values = [...parameters, ...states].map((leaf) => {
    const path = leafName(leaf);
    const reference = referenceParameter(path, spec);
    if (reference === undefined) {
      if (parameters.includes(leaf) || spec.model.reference.draw?.(path.replace(/^model\//, ''), spec.hyperparameters))
        throw unsupported(name, `The library does not store ${path}`);
      return [path, initialValues(leaf, 0)] as const; // a state that only we keep is where it starts
    }
    const theirs = tensors[reference.name];
    if (theirs === undefined) throw mismatch(name, `${reference.name} is missing`);
    used.add(reference.name);
    const shape = leaf.shape as readonly number[];
    if (reference.transpose && reference.transpose.length !== theirs.dims.length)
      throw mismatch(name, `${reference.name} is [${theirs.dims}]; it needs ${reference.transpose.length} axes`);
    const ours = transposed(theirs, reference.transpose);
    if (wide(ours.dims) !== wide(shape))
      throw mismatch(name, `${reference.name} is [${theirs.dims}]; ${path} takes [${shape}]`);
    return [path, ours.data] as const;
  });
  const unused = Object.keys(tensors).filter((key) => !used.has(key) && !isBookkeeping(key));
  return {
    spec,
    loss: lossOf(checkpoint),
    values: Object.fromEntries(values),
    unused,
  };
}

function specOf(checkpoint: CheckpointModel, seriesScalers: Checkpoint['seriesScalers']): ForecastSpec {
  const { name, className, hyperparameters: given } = checkpoint;
  const model = models.find(({ reference }) => reference.model.toLowerCase() === className.toLowerCase());
  if (model === undefined) throw unsupported(name, `There is no model ${className}`);
  const list = (key: string): string[] => (Array.isArray(given[key]) ? given[key].map(String) : []);
  const columns = { historic: list('hist_exog_list'), future: list('futr_exog_list'), static: list('stat_exog_list') };
  if (list('cat_exog_list').length > 0) throw unsupported(name, 'It has categorical columns (cat_exog_list)');
  const theirs = given['scaler_type'] ?? 'identity';
  const scaler = scalerNames.find((own) => own === theirs);
  if (scaler === undefined)
    throw unsupported(name, `There is no scaler ${typeof theirs === 'string' ? theirs : 'of this kind'}`);
  checkSizes(checkpoint, model);
  const { name: lossName, ...options } = lossOf(checkpoint);
  const loss = createLoss(lossName, options);
  const own = ownHyperparameters(model, given);
  const hyperparameters = model.parse({
    ...own,
    // A window that is shifted by one step has one more of them there.
    inputLength: feedsBack(model, own)
      ? Number(given['inference_input_size'] ?? given['input_size']) + 1
      : given['input_size'],
    horizon: given['h'],
    series: model.capabilities.series === 'many' ? given['n_series'] : 1,
    outputs: loss.outputs,
    historic: columns.historic.length,
    future: columns.future.length,
    static: columns.static.length,
  });
  const whole = seriesScalerOf(name, [...columns.historic, ...columns.future], seriesScalers);
  return { model, hyperparameters, loss, scaler, columns: { ...columns, ...(whole && { scaler: whole }) } };
}

/** Shifts and scales of the target and of the columns that a model reads; the library knows its series by their order. */
function seriesScalerOf(
  name: string,
  covariates: readonly string[],
  scalers: Checkpoint['seriesScalers'],
): SeriesScaling | undefined {
  const target = scalers['y'];
  if (target === undefined) return undefined;
  const kind = seriesKinds[target.type];
  if (kind === undefined) throw unsupported(name, `It scales whole series by ${target.type} (local_scaler_type)`);
  const names = ['y', ...new Set(covariates)];
  const series = target.statistics.data.length / 2;
  const statistics = Array.from({ length: series }, (_, s) =>
    names.flatMap((column) => {
      const [shift = 0, scale = 1] = scalers[column]?.statistics.data.subarray(2 * s, 2 * s + 2) ?? [];
      return [shift, scale === 0 ? 1 : scale];
    }),
  );
  return { kind, columns: ['target', ...names.slice(1)], statistics: statistics.flat() };
}
const seriesKinds: Readonly<Record<string, SeriesScaling['kind']>> = {
  standard: 'standard',
  robust: 'robust',
  robust_mad: 'robust',
  'robust-iqr': 'robust-iqr',
  robust_iqr: 'robust-iqr',
  minmax: 'minmax',
};

/** Sizes that only a forged file has, refused before a graph of them takes memory. */
function checkSizes({ name, hyperparameters: given }: CheckpointModel, { reference }: Model): void {
  const own = Object.values(reference.hyperparameters).map((entry) => (typeof entry === 'string' ? entry : entry.name));
  for (const key of ['h', 'input_size', 'n_series', ...own]) {
    const largest = [given[key]]
      .flat(3)
      .reduce<number>((max, value) => (typeof value === 'number' ? Math.max(max, value) : max), 0);
    if (largest > sizeMax) throw unsupported(name, `${key} is ${largest}, larger than ${sizeMax}`);
  }
  if (Number(given['h']) * Number(given['input_size']) > windowMax)
    throw unsupported(name, `A window of ${Number(given['input_size'])} and ${Number(given['h'])} steps is too large`);
}
function lossOf({ name, loss }: CheckpointModel): NamedLoss {
  const named = lossNameFromReference(loss);
  if (named === undefined) throw unsupported(name, `There is no loss ${loss.name} to forecast with`);
  return named;
}

/** Axes of one element apart: the library keeps some that we do not. */
const wide = (shape: readonly number[]): string => shape.filter((dim) => dim !== 1).join();

/** What training counts and what losses keep: no part of a forecast. */
const isBookkeeping = (name: string): boolean =>
  /^(loss|valid_loss|scaler|__hparams__)\.|\.num_batches_tracked$/.test(name);

const mismatch = (where: string, what: string): NeuroDivergentError =>
  new NeuroDivergentError('ND_IMPORT_MISMATCH', {
    where,
    what: `The weights do not fit the hyperparameters: ${what}.`,
    mend: 'Save the checkpoint again with a released version of NeuralForecast.',
  });
