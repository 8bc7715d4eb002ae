/** CSV in and out. Ten million rows are read in blocks, straight into typed arrays. */

import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { initParser, type Schema } from 'udsv';
import { NeuroDivergentError } from '../errors.js';
import { hasZone, parseInteger, parseTime } from '../time/parse.js';
import type { StaticTable } from './covariates.js';
import { type FrameColumns, type FrameOptions, frameFromColumns, type LoadedFrame } from './from-columns.js';
import { createFindings, type FindingList, stopOnErrors } from './validate.js';

export interface CsvOptions extends FrameOptions {
  /** Names in the header; found by their usual names (`columnNames`) when left out. */
  readonly columns?: { readonly series?: string; readonly time?: string; readonly target?: string };
  /** Further numeric columns to keep. */
  readonly covariates?: readonly string[];
  /** Found from the header when left out. */
  readonly separator?: string;
  /** What whole numbers in the time column are: a plain index (default), or seconds or milliseconds since 1970 UTC. */
  readonly timeUnit?: 'index' | 's' | 'ms';
}

/** Header names read without being told, compared without case. */
export const columnNames = {
  series: ['series', 'unique_id'],
  time: ['time', 'ds', 'timestamp', 'date', 'datetime'],
  target: ['target', 'y', 'value'],
  available: ['available', 'available_mask'],
} as const;

const MISSING = new Set(['', 'nan', 'na', 'n/a', 'null', 'none', 'unknown', 'unavailable']);
const SEPARATORS = [',', ';', '\t', '|'] as const;
const BLOCK_BYTES = 1 << 20;
const FIRST_CAPACITY = 1 << 14;

/**
 * Reads a CSV file with a header line. One line is one row, so a quoted field cannot hold a line break. Throws
 * `ND_FILE_NOT_FOUND`, or `DataError` with everything found: rows are numbered as an editor numbers lines.
 */
export function readCsv(path: string, options: CsvOptions = {}): LoadedFrame {
  return loadBlocks(fileBlocks(path), options, path);
}

/** As `readCsv`, from text. */
export function parseCsv(text: string, options: CsvOptions = {}, where = 'csv'): LoadedFrame {
  return loadBlocks([text], options, where);
}

function* fileBlocks(path: string): Generator<string> {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (cause) {
    throw new NeuroDivergentError('ND_FILE_NOT_FOUND', {
      where: path,
      what: `The file cannot be opened (${(cause as NodeJS.ErrnoException).code ?? String(cause)}).`,
      mend: 'Check the path and the right to read it.',
      cause,
    });
  }
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    const bytes = new Uint8Array(BLOCK_BYTES);
    for (let read = readSync(file, bytes); read > 0; read = readSync(file, bytes)) {
      yield decoder.decode(bytes.subarray(0, read), { stream: true });
    }
    yield decoder.decode();
  } finally {
    closeSync(file);
  }
}

/** A whole file, for tables that are small. Throws `ND_FILE_NOT_FOUND`. */
export const fileText = (path: string): string => [...fileBlocks(path)].join('').replace(/^\uFEFF/, '');

function loadBlocks(blocks: Iterable<string>, options: CsvOptions, where: string): LoadedFrame {
  const findings = createFindings();
  const reader = createReader(options, findings);
  try {
    let rest = '';
    for (const block of blocks) {
      const text = rest + block;
      const end = text.lastIndexOf('\n') + 1;
      reader.lines(text.slice(0, end));
      rest = text.slice(end);
    }
    if (rest !== '') reader.lines(`${rest}\n`);
  } catch (error) {
    // An undecodable byte and a folder in place of a file both show on reading only.
    if (error instanceof TypeError && 'code' in error && error.code === 'ERR_ENCODING_INVALID_ENCODED_DATA')
      findings.add('ND_DATA_ENCODING', {});
    else if (error instanceof Error && 'code' in error && error.code === 'EISDIR') {
      throw new NeuroDivergentError('ND_FILE_NOT_FOUND', {
        where,
        what: 'This is a folder.',
        mend: 'Name a file in it.',
        cause: error,
      });
    } else throw error;
    stopOnErrors(where, findings);
  }
  const table = reader.end();
  if (table === undefined) stopOnErrors(where, findings);
  return frameFromColumns(table!.columns, { ...options, axis: table!.axis }, where, findings);
}

interface Reader {
  /** Takes whole lines, each ended by `\n`. */
  lines(text: string): void;
  /** The table, or undefined when it lacks a header or a column that must be there. */
  end(): { columns: FrameColumns; axis: 'time' | 'index' } | undefined;
}

/** Places of the columns in a line; -1 where there is none. */
interface Layout {
  readonly separator: string;
  readonly header: readonly string[];
  readonly series: number;
  readonly time: number;
  readonly available: number;
  readonly values: readonly { readonly name: string; readonly at: number }[];
}

function createReader(options: CsvOptions, findings: FindingList): Reader {
  const ids = new Map<string, number>();
  let layout: Layout | undefined;
  let headerSeen = false;
  let line = 0;
  let rows = 0;
  let zoned: boolean | undefined;
  let axis: 'time' | 'index' | undefined;

  let time = new Float64Array(FIRST_CAPACITY);
  let series = new Uint32Array(FIRST_CAPACITY);
  let lineOf = new Uint32Array(FIRST_CAPACITY);
  let available = new Uint8Array(FIRST_CAPACITY);
  let values: Float32Array<ArrayBuffer>[] = [];

  const grow = (): void => {
    const length = time.length * 2;
    time = enlarged(time, length);
    series = enlarged(series, length);
    lineOf = enlarged(lineOf, length);
    available = enlarged(available, length);
    values = values.map((column) => enlarged(column, length));
  };

  const readTime = (text: string, name: string, id: string): number => {
    const asIndex = axis === 'index' ? parseInteger(text) : NaN;
    const ms = axis === 'index' ? NaN : parseTime(text);
    if (axis === undefined) {
      // the first row decides
      axis = Number.isNaN(ms) && !Number.isNaN(parseInteger(text)) ? 'index' : 'time';
      if (axis === 'index') return readTime(text, name, id);
    }
    if (!Number.isNaN(asIndex)) return options.timeUnit === 's' ? asIndex * 1000 : asIndex;
    if (Number.isNaN(ms)) {
      findings.add('ND_DATA_COLUMN_TYPE', { series: id, row: line, column: name, value: text });
      return NaN;
    }
    const hasOne = hasZone(text);
    zoned ??= hasOne;
    if (hasOne !== zoned) findings.add('ND_DATA_TIMEZONE_MIXED', { series: id, row: line, column: name, value: text });
    return ms;
  };

  const readNumber = (text: string, name: string, id: string): number => {
    const value = Number(text);
    if (!Number.isNaN(value) && text !== '' && text.trim() !== '') return value;
    const word = text.trim().toLowerCase();
    if (MISSING.has(word)) return NaN;
    if (/^[+-]?inf(?:inity)?$/.test(word)) return word.startsWith('-') ? -Infinity : Infinity;
    findings.add('ND_DATA_COLUMN_TYPE', { series: id, row: line, column: name, value: text });
    return 0; // no frame will be made; NaN would be reported as missing, too
  };

  const addRow = (fields: readonly string[], at: Layout): void => {
    const id = at.series < 0 ? 'series' : fields[at.series]!.trim();
    const when = readTime(fields[at.time]!.trim(), at.header[at.time]!, id);
    if (rows === time.length) grow();
    at.values.forEach(({ name, at: column }, i) => (values[i]![rows] = readNumber(fields[column]!, name, id)));
    if (Number.isNaN(when)) return;
    let place = ids.get(id);
    if (place === undefined) ids.set(id, (place = ids.size));
    series[rows] = place;
    time[rows] = when;
    lineOf[rows] = line;
    available[rows] = at.available < 0 || Number(fields[at.available]) !== 0 ? 1 : 0;
    rows++;
  };

  const addLine = (text: string, at: Layout): void => {
    line++;
    const bare = text.endsWith('\r') ? text.slice(0, -1) : text;
    if (bare.trim() === '') return;
    const fields = splitLine(bare, at.separator);
    if (fields.length === at.header.length) addRow(fields, at);
    else
      findings.add(
        'ND_DATA_ROW_LENGTH',
        { row: line, value: bare },
        { what: `the row has not ${at.header.length} fields as the header has` },
      );
  };

  return {
    lines(text) {
      let body = headerSeen ? text : text.replace(/^\uFEFF/, '');
      while (!headerSeen && body !== '') {
        const end = body.indexOf('\n');
        const header = body.slice(0, end).replace(/\r$/, '');
        body = body.slice(end + 1);
        line++;
        if (header.trim() === '') continue;
        headerSeen = true;
        layout = readHeader(header, options, findings, line);
        values = (layout?.values ?? []).map(() => new Float32Array(FIRST_CAPACITY));
      }
      if (layout === undefined || body === '') return;
      const fast = fastRows(body, layout);
      if (fast)
        for (const row of fast) {
          line++;
          addRow(row, layout);
        }
      else for (const each of body.slice(0, -1).split('\n')) addLine(each, layout);
    },
    end() {
      if (!headerSeen) findings.add('ND_DATA_EMPTY', { row: 1 });
      if (layout === undefined) return undefined;
      if (rows === 0) {
        findings.add('ND_DATA_EMPTY', { row: line });
        return undefined;
      }
      const columns = Object.fromEntries(
        layout.values.map(({ name }, i) => [i === 0 ? 'target' : name, values[i]!.subarray(0, rows)]),
      );
      return {
        axis: axis === 'index' && (options.timeUnit ?? 'index') === 'index' ? 'index' : 'time',
        columns: {
          ids: [...ids.keys()],
          series: series.subarray(0, rows),
          time: time.subarray(0, rows),
          lines: lineOf.subarray(0, rows),
          available: available.subarray(0, rows),
          columns: columns as unknown as FrameColumns['columns'],
        },
      };
    },
  };
}

function enlarged<
  A extends Float64Array<ArrayBuffer> | Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>,
>(column: A, length: number): A {
  const larger = new (column.constructor as new (length: number) => A)(length);
  larger.set(column);
  return larger;
}

/** The one that cuts a header into the most names. */
function separatorOf(header: string): string {
  const count = (separator: string): number => header.split(separator).length;
  return SEPARATORS.reduce((best, next) => (count(next) > count(best) ? next : best));
}

/** Finds the columns; undefined when one that must be there is not. */
function readHeader(text: string, options: CsvOptions, findings: FindingList, line: number): Layout | undefined {
  const separator = options.separator ?? separatorOf(text);
  const header = splitLine(text, separator).map((name) => name.trim());
  const lower = header.map((name) => name.toLowerCase());

  const find = (wanted: string | undefined, usual: readonly string[], needed: boolean): number => {
    const names = wanted === undefined ? usual : [wanted.toLowerCase()];
    const at = lower.findIndex((name) => names.includes(name));
    if (at < 0 && needed) {
      findings.add(
        'ND_DATA_COLUMN_MISSING',
        { row: line, column: wanted ?? usual[0]!, value: text },
        {
          what: `there is no column ${names.map((name) => `“${name}”`).join(', ')}; the header has ${header.map((name) => `“${name}”`).join(', ')}`,
        },
      );
    }
    if (at >= 0 && lower.indexOf(lower[at]!, at + 1) >= 0)
      findings.add('ND_DATA_COLUMN_DUPLICATE', { row: line, column: header[at]! });
    return at;
  };
  const time = find(options.columns?.time, columnNames.time, true);
  const target = find(options.columns?.target, columnNames.target, true);
  const series = find(options.columns?.series, columnNames.series, options.columns?.series !== undefined);
  const available = find(undefined, columnNames.available, false);
  const covariates = (options.covariates ?? []).map((name) => ({ name, at: find(name, [], true) }));
  if (
    time < 0 ||
    target < 0 ||
    (series < 0 && options.columns?.series !== undefined) ||
    covariates.some(({ at }) => at < 0)
  )
    return undefined;
  return { separator, header, series, time, available, values: [{ name: header[target]!, at: target }, ...covariates] };
}

/**
 * The rows of a block by the fast parser, or undefined when a line needs care (quotes, empty, too short or too long):
 * that parser takes well-formed text only and would join a short line with the next. One row a line proves there is none.
 */
function fastRows(block: string, { separator, header }: Layout): string[][] | undefined {
  if (block.includes('"')) return undefined;
  const schema: Schema & { skip: number } = {
    skip: 0,
    col: separator,
    row: '\n',
    encl: '',
    esc: '',
    trim: false,
    cols: header.map((name) => ({ name, type: 's', repl: { empty: undefined, null: undefined, NaN: undefined } })),
  };
  const rows = initParser(schema).stringArrs<string[]>(block);
  let lines = 0;
  for (let at = block.indexOf('\n'); at >= 0; at = block.indexOf('\n', at + 1)) lines++;
  if (rows.length !== lines) return undefined;

  const last = header.length - 1;
  for (const row of rows) {
    const field = row[last]!;
    if (field.includes(separator) || (last === 0 && field.trim() === '')) return undefined;
    if (field.endsWith('\r')) row[last] = field.slice(0, -1);
  }
  return rows;
}

/** The fields of one line; a field that opens with a quote ends at the next single quote, and `""` stands for one. */
export function splitLine(line: string, separator: string): string[] {
  if (!line.includes('"')) return line.split(separator);
  const fields: string[] = [];
  for (let at = 0; at <= line.length;) {
    const quoted = /^\s*"((?:[^"]|"")*)"\s*/y.exec(line.slice(at));
    const rest = quoted ? at + quoted[0].length : at;
    if (quoted && (rest === line.length || line.startsWith(separator, rest))) {
      fields.push(quoted[1]!.replaceAll('""', '"'));
      at = rest + separator.length;
    } else {
      const next = line.indexOf(separator, at);
      const end = next < 0 ? line.length : next;
      fields.push(line.slice(at, end));
      at = end + separator.length;
    }
  }
  return fields;
}

/**
 * Reads a table of one row per series: names in the column `series` (or `unique_id`, or the first), numbers in `names`.
 * Throws `ND_FILE_NOT_FOUND` and `DataError`.
 */
export function readStaticCsv(path: string, names: readonly string[]): StaticTable {
  const [header = '', ...lines] = fileText(path).split(/\r?\n/);
  const findings = createFindings();
  const separator = separatorOf(header);
  const known = splitLine(header, separator).map((name) => name.trim());
  const series = Math.max(0, known.findIndex((name) => (columnNames.series as readonly string[]).includes(name.toLowerCase()))); // prettier-ignore
  for (const column of names) if (!known.includes(column)) findings.add('ND_DATA_COLUMN_MISSING', { column, row: 1 });
  const rows = lines.flatMap((line, i) => (line.trim() === '' ? [] : [{ row: i + 2, fields: splitLine(line, separator) }])); // prettier-ignore
  const number = ({ row, fields }: (typeof rows)[number], column: string): number => {
    const text = fields[known.indexOf(column)] ?? '';
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value))
      findings.add('ND_DATA_COLUMN_TYPE', { series: fields[series]!.trim(), row, column, value: text });
    return value;
  };
  const columns = Object.fromEntries(
    names.filter((name) => known.includes(name)).map((name) => [name, rows.map((row) => number(row, name))]),
  );
  stopOnErrors(path, findings);
  return { ids: rows.map(({ fields }) => fields[series]!.trim()), columns };
}

/** The names in the header of a CSV file, as they stand. Throws `ND_FILE_NOT_FOUND`. */
export function readHeaderNames(path: string): string[] {
  for (const block of fileBlocks(path)) {
    const header = block.replace(/^\uFEFF/, '').split(/\r?\n/, 1)[0]!;
    return splitLine(header, separatorOf(header)).map((name) => name.trim());
  }
  return [];
}

/** Columns to write, all of one length: text as it is, numbers in their shortest form, NaN as an empty field. */
export type CsvColumns = Readonly<Record<string, ArrayLike<number | string>>>;

/** CSV text with a header, such as forecasts as `series, time, NHITS, NHITS-lo-90, NHITS-hi-90`. */
export function formatCsv(columns: CsvColumns): string {
  return [...csvBlocks(columns)].join('');
}

/** Writes `formatCsv` to a file, block by block. */
export function writeCsv(path: string, columns: CsvColumns): void {
  const file = openSync(path, 'w');
  try {
    for (const block of csvBlocks(columns)) writeSync(file, block);
  } finally {
    closeSync(file);
  }
}

const ROWS_PER_BLOCK = 10_000;

function* csvBlocks(columns: CsvColumns): Generator<string> {
  const lists = Object.values(columns);
  yield `${Object.keys(columns).map(formatField).join(',')}\n`;
  const rows = lists[0]?.length ?? 0;
  for (let from = 0; from < rows; from += ROWS_PER_BLOCK) {
    const lines = Array.from(
      { length: Math.min(ROWS_PER_BLOCK, rows - from) },
      (_, i) => `${lists.map((list) => formatField(list[from + i]!)).join(',')}\n`,
    );
    yield lines.join('');
  }
}

function formatField(value: number | string): string {
  if (typeof value === 'number') return Number.isNaN(value) ? '' : String(value);
  return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}
