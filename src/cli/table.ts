/** The table a command works on: `--data` and the rules that mend it. */
import { withStatic } from '../data/covariates.js';
import { parseCsv, readCsv, readHeaderNames, readStaticCsv, type CsvOptions } from '../data/csv.js';
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
  /** A table of one row per series. */
  readonly staticData?: string;
  /** A table of what is known in advance. */
  readonly futureData?: string;
}

/** Reads and checks the table, and says what was mended. Throws `DataError` with every finding, `ND_FILE_NOT_FOUND`. */
export async function readData(
  flags: DataFlags,
  { terminal, minLength, covariates = [] }: { terminal: Terminal; minLength: number; covariates?: readonly string[] },
): Promise<TimeSeriesFrame> {
  const { data, time, target, series, staticData, ...rules } = flags;
  const columns = { ...(time && { time }), ...(target && { target }), ...(series && { series }) };
  const { frequency, timeUnit, sort, onDuplicate, resample, fillGaps } = rules;
  const given = { frequency, timeUnit, sort, onDuplicate, resample, fillGaps };
  const apart = staticData === undefined ? [] : readHeaderNames(staticData).filter((name) => covariates.includes(name));
  const inTable = covariates.filter((name) => !apart.includes(name));
  const options = { columns, minLength, covariates: inTable, ...withoutUndefined(given) } as CsvOptions;
  const { frame, warnings } =
    data === '-' ? parseCsv(await standardInput(), options, 'standard input') : readCsv(data, options);
  if (warnings.length > 0) terminal.say(formatFindings(warnings));
  return staticData === undefined ? frame : withStatic(frame, readStaticCsv(staticData, apart));
}

/** Reads what is known in advance, where columns are and a table is named: times, series and these columns, no target. Throws as `readData`. */
export function futureOf(
  { futureData, time, series, timeUnit }: DataFlags,
  columns: readonly string[],
  frequency: string,
): TimeSeriesFrame | undefined {
  const [first, ...others] = columns; // it stands where a target would
  if (first === undefined || futureData === undefined) return undefined;
  const { frame } = readCsv(futureData, {
    columns: { target: first, ...(time && { time }), ...(series && { series }) },
    covariates: others,
    frequency,
    minLength: 1,
    ...(timeUnit && { timeUnit }),
  });
  return { ...frame, columns: { ...frame.columns, [first]: frame.columns.target } };
}

const withoutUndefined = (values: object): object =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

async function standardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

const flagNames = ['data', 'time', 'target', 'series', 'frequency', 'timeUnit', 'sort', 'onDuplicate', 'resample', 'fillGaps', 'staticData'] as const; // prettier-ignore

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
