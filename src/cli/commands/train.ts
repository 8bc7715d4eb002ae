/** `nd train`: a table becomes a folder with a forecaster in it. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { NeuroDivergentError } from '../../errors.js';
import { Forecaster, type TrainedModel } from '../../forecaster/forecaster.js';
import { dataFlagsText, readData, shellWord } from '../table.js';
import { createTerminal, formatFigure, formatTable, printResult } from '../terminal.js';
import { cancellable, configured, createBars, usualValidation, type TrainingFlags } from '../training.js';

export interface TrainFlags extends TrainingFlags {
  readonly model: readonly string[];
  readonly horizon: number;
}

const checkpointFile = (out: string, model: string): string => join(out, `${model}.checkpoint.safetensors`);

export async function trainCommand(flags: TrainFlags): Promise<void> {
  const { out, seed, resume = false, overwrite = false } = flags;
  const terminal = createTerminal(flags);
  const configuredFor = (series: number): Forecaster =>
    new Forecaster({ ...configured(flags.model, flags.horizon, flags, series), seed });
  const first = configuredFor(1); // before anything is read
  if (!overwrite && existsSync(join(out, 'config.json'))) {
    throw new NeuroDivergentError('ND_FILE_EXISTS', {
      where: out,
      what: 'A forecaster is saved there already.',
      mend: 'Name another folder, or pass --overwrite.',
    });
  }
  const { horizon, inputLength } = first;
  const frame = await readData(flags, {
    terminal,
    minLength: inputLength + horizon + (flags.validation ?? 0),
    covariates: first.columns,
  });
  const forecaster = configuredFor(frame.ids.length);
  const validationSize = flags.validation ?? usualValidation(frame, inputLength, horizon);
  terminal.say(
    `${frame.time.length} rows in ${frame.ids.length} series, one every ${frame.frequency}; ` +
      `the last ${validationSize} of each validate. Forecasting ${horizon} from ${inputLength}.`,
  );

  const started = flags.model.some((name) => existsSync(checkpointFile(out, name)));
  if (resume && !started) terminal.say(`There is no checkpoint in ${out}: training begins anew.`);
  if (started && !resume) terminal.say(`The checkpoint in ${out} is replaced; --resume would go on from it.`);
  const bars = createBars(terminal);
  await cancellable(out, (signal) =>
    forecaster
      .fit(frame, {
        validationSize,
        checkpoints: out,
        resume,
        signal,
        on: ({ model, step, maxSteps, ...losses }) => bars.on({ name: model, done: step, total: maxSteps, ...losses }),
      })
      .finally(bars.end),
  );
  await forecaster.save(out, { overwrite });
  const rows = forecaster.models.map(summary);
  for (const { name } of rows) rmSync(checkpointFile(out, name), { force: true });

  printResult(
    flags,
    { out, horizon, inputLength, frequency: frame.frequency, rows: frame.time.length, series: frame.ids.length, validationRows: validationSize, models: rows }, // prettier-ignore
    formatTable(
      ['model', 'validation MAE', 'training loss', 'steps', 'best at', 'ms'],
      rows.map(({ name, validationMae, trainLoss, steps, bestStep, ms }) => [
        name,
        formatFigure(validationMae),
        formatFigure(trainLoss),
        String(steps),
        String(bestStep),
        ms.toFixed(0),
      ]),
    ),
  );
  terminal.say(`\nNext: nd evaluate ${shellWord(out)} ${dataFlagsText(flags)}`);
}

function summary({ name, history, steps, bestStep, errors }: TrainedModel) {
  const last = history.at(-1);
  const known = errors?.filter((error) => !Number.isNaN(error));
  return {
    name,
    /** In the unit of the data. */
    validationMae: known && known.length > 0 ? known.reduce((sum, error) => sum + error, 0) / known.length : null,
    validationLoss: history.find(({ step }) => step === bestStep)?.validationLoss ?? null,
    trainLoss: last?.trainLoss ?? null,
    steps,
    bestStep,
    ms: last?.ms ?? 0,
  };
}
