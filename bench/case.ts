/** What is measured: every model there is with the library's defaults, which are ours too, and a few smaller ones. */
import { mae } from '../src/losses/index.js';
import { findModel, models, type ForecastSpec, type Model, type ScalerName } from '../src/models/index.js';

export const task = { inputLength: 96, horizon: 24 };
const seriesOfMany = 7;

export interface BenchCase {
  readonly name: string;
  readonly model: Model;
  readonly series: number;
  readonly hyperparameters: Readonly<Record<string, unknown>>;
  /** The same for the reference library. */
  readonly peerOptions: Readonly<Record<string, unknown>>;
}

const withDefaults = (model: Model): BenchCase => ({
  name: model.id,
  model,
  series: model.capabilities.series === 'many' ? seriesOfMany : 1,
  hyperparameters: {},
  peerOptions: {},
});

const benchCases: readonly BenchCase[] = [
  ...models.map(withDefaults),
  {
    ...withDefaults(findModel('mlp')),
    name: 'mlp-64',
    hyperparameters: { hidden: 64, layers: 2 },
    peerOptions: { hidden_size: 64, num_layers: 2 },
  },
  {
    ...withDefaults(findModel('gru')),
    name: 'gru-128',
    hyperparameters: { hidden: 128 },
    peerOptions: { encoder_hidden_size: 128 },
  },
  {
    ...withDefaults(findModel('patchtst')),
    name: 'patchtst-64',
    hyperparameters: { hidden: 64, layers: 3 },
    peerOptions: { hidden_size: 64, encoder_layers: 3 },
  },
];

/** All cases, or those of these names. */
export const chooseCases = (only: readonly string[] | undefined): readonly BenchCase[] =>
  benchCases.filter(({ name }) => only === undefined || only.includes(name));

export function findCase(name: string): BenchCase {
  const found = benchCases.find((benchCase) => benchCase.name === name);
  if (found === undefined) throw new Error(`There is no case ${name}.`);
  return found;
}

export const specOf = (
  { model, series, hyperparameters }: BenchCase,
  scaler: ScalerName = 'identity',
): ForecastSpec => ({
  model,
  hyperparameters: model.parse({ ...task, ...(series > 1 && { series }), ...hyperparameters }),
  loss: mae(),
  scaler,
});
