/** Options that many commands share, and how their values are read. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { unitsMs } from '../contracts/duration.js';
import type { Aggregation } from '../data/from-columns.js';
import { seriesScalerNames } from '../data/series-scaler.js';
import { providers } from '../contracts/provider.js';
import { targetNames } from '../quantize/targets.js';
import { parseTime } from '../time/parse.js';

const aggregations: readonly Aggregation[] = ['mean', 'last', 'first', 'sum', 'min', 'max'];

export const addDataOptions = (command: Command, what: string, needed = true): Command =>
  command
    .addOption(new Option('--data <file>', `CSV with ${what}; - reads standard input`).makeOptionMandatory(needed))
    .option('--time <column>', 'name of the time column (time, ds, timestamp, date…)')
    .option('--target <column>', 'name of the column to forecast (target, y, value)')
    .option('--series <column>', 'name of the column that tells series apart (series, unique_id)')
    .option('--frequency <step>', 'step of the series, such as 5min, h or D (found from the times)')
    .addOption(
      new Option('--time-unit <unit>', 'what whole numbers in the time column are').choices(['index', 's', 'ms']),
    )
    .option('--static-data <file>', 'CSV with a row per series, for its static columns')
    .option('--sort', 'sort the rows by time')
    .addOption(new Option('--on-duplicate <rule>', 'what rows of one time become').choices(aggregations))
    .addOption(new Option('--resample <rule>', 'merge the rows of each step of the frequency').choices(aggregations))
    .addOption(
      new Option('--fill-gaps <rule>', 'how missing steps are filled').choices(['linear', 'last', 'mask', 'none']),
    );

export const deviceOption = (): Option =>
  new Option('--device <name>', 'what it is for, which decides what is computed in integers')
    .choices(targetNames)
    .default('any');

export const addTrainingOptions = (command: Command): Command =>
  addLearningOptions(command)
    .option('--resume', 'go on from the checkpoint in the folder')
    .option('--overwrite', 'replace the forecaster in the folder');

export const addLearningOptions = (command: Command): Command =>
  command
    .option('--input-length <steps>', 'steps of the past to look at (three horizons)', wholeNumber)
    .option('--historic <columns>', 'columns known up to now', nameList)
    .option('--future <columns>', 'columns known in advance', nameList)
    .option('--static <columns>', 'columns constant within a series', nameList)
    .option('--set <name=value...>', 'hyperparameters: hidden=64, nhits.dropout=0.1, train.weightDecay=0.01')
    .option('--loss <name>', 'mae, mse, huber:2, mq:80,90, normal, …', 'mae')
    .option('--scaler <name>', 'how each window is scaled: standard, robust, minmax, revin, identity, …', 'robust')
    .addOption(
      new Option('--series-scaler <name>', 'how whole series are scaled before that').choices(seriesScalerNames),
    )
    .option('--max-steps <n>', 'training steps', wholeNumber)
    .option('--learning-rate <rate>', 'step size of Adam', realNumber)
    .option('--batch <windows>', 'windows per step', wholeNumber)
    .option('--validation <rows>', 'last rows of each series to validate on (a tenth)', wholeNumber)
    .option('--patience <checks>', 'stop after so many checks without improvement', wholeNumber)
    .option('--checkpointing', 'compute activations again in the backward pass: less memory, more time')
    .option('--threads <n>', 'threads', wholeNumber)
    .addOption(new Option('--provider <name>', 'what computes (cpu)').choices(providers))
    .option('--seed <n>', 'seed of every random draw', wholeNumber, 1);

export const futureDataOption = (): Option =>
  new Option('--future-data <file>', 'CSV with the future columns for the steps that come next');

/** Parsers of option values: commander turns what they throw into a usage error that names the option. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError('It takes a whole number.');
}

export function realNumber(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value)) return value;
  throw new InvalidArgumentError('It takes a number.');
}

/** `90s`, `15m`, `8h`, `7d` in milliseconds. */
export function duration(text: string): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(s|m|h|d)$/.exec(text) ?? [];
  if (Number(amount) > 0) return Number(amount) * unitsMs[unit!]!;
  throw new InvalidArgumentError('It takes a duration such as 90s, 15m, 8h or 7d.');
}

/** A factor above 0, or `max`: `Infinity`. */
export function speed(text: string): number {
  const factor = text === 'max' ? Infinity : Number(text);
  if (factor > 0) return factor;
  throw new InvalidArgumentError('It takes a factor above 0, or max.');
}

/** A moment, milliseconds UTC. */
export function moment(text: string): number {
  const timeMs = parseTime(text);
  if (!Number.isNaN(timeMs)) return timeMs;
  throw new InvalidArgumentError('It takes a time such as 2026-01-01T12:00:00Z.');
}

export const nameList = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

export function listOf(text: string, known: readonly string[]): string[] {
  const names = nameList(text);
  if (names.length > 0 && names.every((name) => known.includes(name))) return names;
  throw new InvalidArgumentError(`It takes some of ${known.join(', ')}.`);
}

export const numberList = (text: string): number[] => nameList(text).map(realNumber);
