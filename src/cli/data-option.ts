/** What every command that reads a table takes: `--data` and the rules that mend it. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { parseCsv, readCsv, type CsvOptions } from '../data/csv.js';
import type { TimeSeriesFrame } from '../data/frame.js';
import type { Aggregation, FillRule } from '../data/from-columns.js';
import { formatFindings } from '../data/validate.js';
import type { Terminal } from './terminal.js';

export interface DataFlags {
  /** A path, or `-` for standard input. */
  readonly data: string;
  readonly time?: string;
  readonly target?: string;
  readonly series?: string;
  readonly frequency?: string;
  readonly timeUnit?: 'index' | 's' | 'ms';
  readonly sort?: boolean;
  readonly onDuplicate?: Aggregation;
  readonly resample?: Aggregation;
  readonly fillGaps?: FillRule;
}

const aggregations: readonly Aggregation[] = ['mean', 'last', 'first', 'sum', 'min', 'max'];

export const addDataOptions = (command: Command, what: string): Command =>
  command
    .requiredOption('--data <file>', `CSV with ${what}; - reads standard input`)
    .option('--time <column>', 'name of the time column (time, ds, timestamp, date…)')
    .option('--target <column>', 'name of the column to forecast (target, y, value)')
    .option('--series <column>', 'name of the column that tells series apart (series, unique_id)')
    .option('--frequency <step>', 'step of the series, such as 5min, h or D (found from the times)')
    .addOption(
      new Option('--time-unit <unit>', 'what whole numbers in the time column are').choices(['index', 's', 'ms']),
    )
    .option('--sort', 'sort the rows by time')
    .addOption(new Option('--on-duplicate <rule>', 'what rows of one time become').choices(aggregations))
    .addOption(new Option('--resample <rule>', 'merge the rows of each step of the frequency').choices(aggregations))
    .addOption(
      new Option('--fill-gaps <rule>', 'how missing steps are filled').choices(['linear', 'last', 'mask', 'none']),
    );

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

export const nameList = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

export const numberList = (text: string): number[] => nameList(text).map(realNumber);

/** Reads and checks the table, and says what was mended. Throws `DataError` with every finding, `ND_FILE_NOT_FOUND`. */
export async function readData(
  flags: DataFlags,
  { terminal, minLength }: { terminal: Terminal; minLength: number },
): Promise<TimeSeriesFrame> {
  const { data, time, target, series, ...rules } = flags;
  const columns = { ...(time && { time }), ...(target && { target }), ...(series && { series }) };
  const { frequency, timeUnit, sort, onDuplicate, resample, fillGaps } = rules;
  const given = { frequency, timeUnit, sort, onDuplicate, resample, fillGaps };
  const options = { columns, minLength, ...withoutUndefined(given) } as CsvOptions;
  const { frame, warnings } =
    data === '-' ? parseCsv(await standardInput(), options, 'standard input') : readCsv(data, options);
  if (warnings.length > 0) terminal.say(formatFindings(warnings));
  return frame;
}

const withoutUndefined = (values: object): object =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

async function standardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

const flagNames = ['data', 'time', 'target', 'series', 'frequency', 'timeUnit', 'sort', 'onDuplicate', 'resample', 'fillGaps'] as const; // prettier-ignore

/** The same options as text, to propose the next command with. */
export const dataFlagsText = (flags: DataFlags): string =>
  flagNames
    .filter((name) => flags[name] !== undefined)
    .map((name) => {
      const option = `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
      return flags[name] === true ? option : `${option} ${shellWord(String(flags[name]))}`;
    })
    .join(' ');

/** A word as a shell takes it. */
export const shellWord = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
