/** The shared data as frames. They lie in `data` in the folder `ND_SHARED`, `../shared` by default. */
import { readFileSync } from 'node:fs';
import { frameFromColumns } from '../src/data/from-columns.js';
import type { TimeSeriesFrame } from '../src/data/frame.js';

export const dataFolder = (): string => `${process.env['ND_SHARED'] ?? '../shared'}/data`;
const pathOf = (file: string): string => `${dataFolder()}/${file}`;
const linesOf = (file: string): string[] => readFileSync(pathOf(file), 'utf8').trimEnd().split('\n');

export const ettPath = (): string => pathOf('ett/ETTh1.csv');

/** Seven channels of an electricity transformer, hour by hour. */
export function readEtt(): TimeSeriesFrame {
  const [header, ...lines] = linesOf('ett/ETTh1.csv');
  const cells = lines.map((line) => line.trim().split(','));
  const times = cells.map(([date]) => Date.parse(`${date!.replace(' ', 'T')}Z`));
  const ids = header!.trim().split(',').slice(1);
  return frameOf(
    ids,
    ids.map((_, i) => cells.map((row) => Number(row[i + 1]))),
    times,
  );
}

/** M4's hourly series, the 48 values of the test part behind those of the training part; `count` of the longest ones when given. */
export function readM4(count = Infinity): TimeSeriesFrame {
  const numbers = (line: string): number[] =>
    line
      .replaceAll('"', '')
      .trim()
      .split(',')
      .slice(1)
      .filter((cell) => cell !== '')
      .map(Number);
  const test = linesOf('m4/Hourly-test.csv').slice(1);
  const all = linesOf('m4/Hourly-train.csv')
    .slice(1)
    .map((line, i) => ({ id: `H${i + 1}`, values: [...numbers(line), ...numbers(test[i]!)] }));
  const longest = Math.max(...all.map(({ values }) => values.length));
  const chosen = count === Infinity ? all : all.filter(({ values }) => values.length === longest).slice(0, count);
  return frameOf(
    chosen.map(({ id }) => id),
    chosen.map(({ values }) => values),
  );
}

/** Eight sensors of a water pump test bed while nothing is wrong, one row after the other. */
export function readSkab(): TimeSeriesFrame {
  const [header, ...lines] = linesOf('skab/anomaly-free/anomaly-free.csv');
  const cells = lines.map((line) => line.trim().split(';'));
  const ids = header!.trim().split(';').slice(1);
  return frameOf(
    ids,
    ids.map((_, i) => cells.map((row) => Number(row[i + 1]))),
  );
}

/** The seven recordings of NAB's realKnownCause, each by itself, on the grid of its first two rows. */
export function readNab(): TimeSeriesFrame[] {
  const files = Object.keys(JSON.parse(readFileSync(pathOf('nab/windows.json'), 'utf8')) as object);
  return files.map((file) => {
    const rows = linesOf(`nab/${file}`).slice(1).map((line) => line.trim().split(',')); // prettier-ignore
    const [first, second] = rows.map(([time]) => Date.parse(`${time!.replace(' ', 'T')}Z`));
    return onGrid([file], [rows.map((cells) => Number(cells[1]))], second! - first!);
  });
}

/** Numbered rows as if a step of so long lay between them, for what needs a clock. */
export function onGrid(
  ids: readonly string[],
  values: readonly (readonly number[])[],
  stepMs: number,
): TimeSeriesFrame {
  return frameFromColumns(
    {
      ids,
      series: values.flatMap((list, i) => list.map(() => i)),
      time: values.flatMap((list) => list.map((_, row) => row * stepMs)),
      columns: { target: values.flat() },
    },
    { frequency: `${stepMs / 60_000}min` },
  ).frame;
}

/** Series by series; with hours as `times`, or else numbered rows. */
function frameOf(
  ids: readonly string[],
  values: readonly (readonly number[])[],
  times?: readonly number[],
): TimeSeriesFrame {
  return frameFromColumns(
    {
      ids,
      series: values.flatMap((list, i) => list.map(() => i)),
      time: values.flatMap((list) => times ?? list.map((_, row) => row)),
      columns: { target: values.flat() },
    },
    times ? { frequency: '1h' } : { axis: 'index' },
  ).frame;
}

/** Every series with the mean and deviation of its first `rows` rows taken off, as ETTh1 is reported. */
export function standardized(frame: TimeSeriesFrame, rows: number): TimeSeriesFrame {
  const target = Float32Array.from(frame.columns.target);
  for (const s of frame.ids.keys()) {
    const series = target.subarray(frame.offsets[s], frame.offsets[s + 1]);
    const known = series.subarray(0, rows);
    const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
    const deviation = Math.sqrt(known.reduce((sum, value) => sum + (value - mean) ** 2, 0) / known.length);
    for (let i = 0; i < series.length; i++) series[i] = (series[i]! - mean) / deviation;
  }
  return { ...frame, columns: { ...frame.columns, target } };
}
