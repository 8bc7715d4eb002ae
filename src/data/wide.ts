/** Tables that are not long: a column for each series, as those of the long-horizon papers, or a row for each, as M4's. */
import { fileText, splitLine } from './csv.js';
import { frameFromColumns } from './from-columns.js';
import { rowsOf, shared, type TimeSeriesFrame } from './frame.js';
import { createFindings, stopOnErrors } from './validate.js';

/** Columns of the one series of a frame as series of their own: `target`, called `name`, and the `others`. */
export function seriesFromColumns(frame: TimeSeriesFrame, name: string, others: readonly string[]): TimeSeriesFrame {
  const sources = [frame.columns.target, ...others.map((column) => frame.columns[column]!)];
  const rows = frame.time.length;
  const time = shared(Float64Array, rows * sources.length);
  const target = shared(Float32Array, rows * sources.length);
  const available = shared(Uint8Array, rows * sources.length);
  for (const [s, source] of sources.entries()) {
    time.set(frame.time, s * rows);
    target.set(source, s * rows);
    for (let row = 0; row < rows; row++)
      available[s * rows + row] = Number.isNaN(source[row]) ? 0 : frame.available[row]!;
  }
  return {
    ids: [name, ...others],
    offsets: Uint32Array.from({ length: sources.length + 1 }, (_, s) => s * rows),
    time,
    columns: { target },
    available,
    frequency: frame.frequency,
  };
}

/** Is this the header of M4's files: `V1`, the name of a series, and `V2`, `V3`, … its values? */
export const isRowPerSeries = (header: readonly string[]): boolean => header[0] === 'V1' && header[1] === 'V2';

/**
 * Reads M4's files: a row for each series, its name first, blanks behind its last value, no times. A test part in a file of
 * its own continues the series of the first. Throws `ND_FILE_NOT_FOUND`, `DataError`.
 */
export function readRowPerSeries(path: string, testPath?: string): { frame: TimeSeriesFrame; testRows: number } {
  const parts = [path, ...(testPath === undefined ? [] : [testPath])].map(readRows);
  const [train = new Map<string, number[]>(), test] = parts;
  const findings = createFindings();
  const ids = [...train.keys()];
  if (test)
    for (const series of ids) if (!test.has(series)) findings.add('ND_DATA_SERIES_TOO_SHORT', { series, column: 'target' }, { what: `${testPath} has no row of it` }); // prettier-ignore
  const lists = [...train].map(([id, values]) => [...values, ...(test?.get(id) ?? [])]);
  const { frame } = frameFromColumns(
    {
      ids,
      series: lists.flatMap((values, s) => values.map(() => s)),
      time: lists.flatMap((values) => values.map((_, row) => row)),
      columns: { target: lists.flat() },
    },
    { axis: 'index', frequency: '1' },
    path,
    findings,
  );
  const lengths = test ? [...test.values()].map(({ length }) => length) : [];
  return { frame, testRows: lengths.reduce((least, length) => Math.min(least, length), lengths[0] ?? 0) };
}

function readRows(path: string): Map<string, number[]> {
  const findings = createFindings();
  const rows = new Map<string, number[]>();
  for (const [i, line] of fileText(path).split(/\r?\n/).slice(1).entries()) {
    if (line.trim() === '') continue;
    const [series = '', ...fields] = splitLine(line, ',').map((field) => field.trim());
    while (fields.length > 0 && /^(NA)?$/.test(fields.at(-1)!)) fields.pop();
    const values = fields.map((field, at) => {
      const value = field === '' ? Number.NaN : Number(field);
      if (!Number.isFinite(value)) findings.add('ND_DATA_COLUMN_TYPE', { series, row: i + 2, column: `V${at + 2}`, value: field }); // prettier-ignore
      return value;
    });
    if (rows.has(series)) findings.add('ND_DATA_DUPLICATE_ROW', { series, row: i + 2, column: 'V1' });
    rows.set(series, values);
  }
  stopOnErrors(path, findings);
  return rows;
}

/** The series of a frame with what `scale` gives for each taken off and divided by; times are untouched. */
export function rescaled(
  frame: TimeSeriesFrame,
  scale: (series: number) => { readonly mean: number; readonly deviation: number },
): TimeSeriesFrame {
  const target = shared(Float32Array, frame.time.length);
  for (const s of frame.ids.keys()) {
    const { mean, deviation } = scale(s);
    const { from, to } = rowsOf(frame, s);
    for (let row = from; row < to; row++) target[row] = (frame.columns.target[row]! - mean) / deviation;
  }
  return { ...frame, columns: { ...frame.columns, target } };
}
