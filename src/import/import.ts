/** A checkpoint of the reference library becomes a forecaster of ours. */
import { NeuroDivergentError } from '../errors.js';
import { modelName, saveForecaster } from '../forecaster/store.js';
import type { TrainedModel } from '../forecaster/forecaster.js';
import { trainSettings } from '../train/defaults.js';
import { unsupported } from './checkpoint.js';
import { convertModel } from './convert.js';
import { readCheckpoint } from './read-checkpoint.js';

export interface ImportedModel {
  readonly name: string;
  /** Our id of it. */
  readonly model: string;
  /** Numbers in its weights. */
  readonly parameters: number;
  /** Tensors of the checkpoint that the forecast does not need. */
  readonly unused: readonly string[];
}

/**
 * Reads the folder that `NeuralForecast.save` wrote and writes one that `Forecaster.load` reads. Runs no code from it.
 * Throws `ND_IMPORT_…`, `ND_HYPERPARAMETER`, `ND_FILE_…`, before anything is written.
 */
export function importForecaster(
  folder: string,
  out: string,
  { overwrite = false }: { overwrite?: boolean } = {},
): ImportedModel[] {
  const { frequency, seriesScalers, models } = readCheckpoint(folder);
  if (models.length === 0)
    throw new NeuroDivergentError('ND_FILE_NOT_FOUND', {
      where: folder,
      what: 'The checkpoint holds no model.',
      mend: 'Name the folder that `NeuralForecast.save` wrote.',
    });
  const converted = models.map((model) => ({ ...convertModel(model, seriesScalers), given: model }));
  for (const { given } of converted)
    if (!modelName.safeParse(given.name).success)
      throw unsupported(given.name, 'Its alias has other characters than letters, digits, - and _');
  const trained = converted.map(({ given, spec, loss, values }): TrainedModel => {
    const { random_seed: seed, learning_rate: learningRate, max_steps: maxSteps } = given.hyperparameters;
    const settings = trainSettings(spec.model.id, { seed: seed ?? undefined, learningRate, maxSteps } as object);
    return {
      name: given.name,
      spec,
      lossConfig: loss,
      settings,
      values,
      history: [],
      steps: settings.maxSteps,
      bestStep: settings.maxSteps,
      errors: undefined,
    };
  });
  saveForecaster(out, { seed: trained[0]!.settings.seed, frequency, models: trained }, { overwrite });
  return converted.map(({ given, spec, values, unused }) => ({
    name: given.name,
    model: spec.model.id,
    parameters: Object.values(values).reduce((sum, { length }) => sum + length, 0),
    unused,
  }));
}
