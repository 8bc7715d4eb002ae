/** `nd import`: a checkpoint of NeuralForecast becomes a forecaster. */
import { importForecaster } from '../../import/import.js';
import { formatTable, printResult, type OutputFlags } from '../terminal.js';

export interface ImportFlags extends OutputFlags {
  readonly out: string;
  readonly overwrite?: boolean;
}

export function importCommand(folder: string, flags: ImportFlags): void {
  const { out, overwrite = false } = flags;
  const models = importForecaster(folder, out, { overwrite });
  const rows = models.map(({ name, model, parameters, unused }) => [
    name,
    model,
    String(parameters),
    unused.length === 0 ? '' : `not needed: ${unused.join(', ')}`,
  ]);
  printResult(flags, { out, models }, `${formatTable(['name', 'model', 'parameters', ''], rows)}\nWrote ${out}.`);
}
