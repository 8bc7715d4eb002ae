/** The table a command works on: `--data` and the rules that mend it. */
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
