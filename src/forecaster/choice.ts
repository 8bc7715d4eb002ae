/** A model with its hyperparameters, as `new Forecaster` takes it. */
import type { z } from 'zod';
import type { CovariateColumns } from '../data/covariates.js';
import type { Model } from '../models/index.js';

export interface ModelChoice {
  /** Names columns and files; unique within a forecaster. */
  readonly name: string;
  readonly model: Model;
  /** Not checked yet; `outputs` is set by the loss. */
  readonly hyperparameters: Readonly<Record<string, unknown>>;
  /** Columns it reads beside the target; those of the forecaster when left out. */
  readonly covariates?: CovariateColumns;
}

/** Hyperparameters as a user writes them: the length of the past may be left to the horizon. */
export type ChoiceOptions<S extends z.ZodObject> = Omit<z.input<S>, 'inputLength' | 'outputs'> & {
  readonly inputLength?: number;
  readonly horizon: number;
};

/** How many horizons of the past a model sees when nothing is said. */
const pastHorizons = 3;

export function choose<S extends z.ZodObject>(
  model: Model<S>,
  hyperparameters: ChoiceOptions<S>,
  { name = model.id, covariates }: { name?: string; covariates?: CovariateColumns } = {},
): ModelChoice {
  const { horizon, inputLength = pastHorizons * horizon } = hyperparameters;
  return { name, model, hyperparameters: { ...hyperparameters, inputLength }, ...(covariates && { covariates }) };
}
