/** Teachers as one: their forecasts for any windows of the student, combined, kept on disk. */
import { rowsOf, type TimeSeriesFrame } from '../data/frame.js';
import { createBatch, createWindows, gatherWindows, seriesPerWindow, type Windows } from '../data/windows.js';
import { NeuroDivergentError } from '../errors.js';
import { forecastWindows } from '../evaluate/backtest.js';
import { cached } from './cache.js';
import { columnsOf, type Teacher } from './teacher.js';

export interface LessonOptions {
  readonly teachers: readonly Teacher[];
  readonly horizon: number;
  /** Where forecasts are kept. */
  readonly cache?: string | undefined;
  readonly on?: ((teacher: string, done: number, total: number) => void) | undefined;
}

/** What every teacher says, and all of them together. */
export interface Lesson {
  /** The longest past that a teacher reads. */
  readonly inputLength: number;
  /** Levels of the columns; [] of points, which it is where teachers have different levels. */
  readonly quantiles: readonly number[];
  readonly point: number;
  readonly columns: number;
  /** Of each teacher, for windows of single series: [count, horizon, columns]. */
  all(windows: Windows): Promise<Float32Array[]>;
  /** The mean by these weights, for windows of the student: [count, columns·horizon, series], column by column. */
  taught(windows: Windows, weights: readonly number[]): Promise<Float32Array>;
}

/** Throws `ND_DISTILL_HORIZON` for a teacher that sees less far than its student, or is told of a longer future. */
export function createLesson({ teachers, horizon, cache, on }: LessonOptions): Lesson {
  const short = teachers.find(
    (teacher) => teacher.horizon < horizon || (teacher.horizon > horizon && (teacher.columns?.future?.length ?? 0) > 0),
  );
  if (short !== undefined) {
    throw new NeuroDivergentError('ND_DISTILL_HORIZON', {
      where: short.name,
      what: `It forecasts ${short.horizon} steps, and the student is to learn ${horizon}.`,
      mend: `Take a teacher of ${horizon} steps, or of more if it reads no future columns, or a student of ${short.horizon}.`,
    });
  }
  const [first] = teachers as readonly [Teacher, ...Teacher[]];
  const alike = teachers.every((teacher) => teacher.quantiles.join() === first.quantiles.join());
  const quantiles = alike ? first.quantiles : [];
  const columns = columnsOf({ quantiles });

  const all = async (windows: Windows): Promise<Float32Array[]> => {
    const forecasts: Float32Array[] = [];
    for (const teacher of teachers) {
      const width = teacher.horizon * columnsOf(teacher);
      const work = async (): Promise<Float32Array> => {
        const report = on && ((done: number, total: number) => on(teacher.name, done, total));
        return cut(await forecastWindows(windows, teacher, { width, on: report }), teacher);
      };
      forecasts.push(await cached(cache, teacher, windows, columns, work));
    }
    return forecasts;
  };
  /** Keeps the steps of the student; and of its columns the point alone, unless all teachers have the same. */
  const cut = (rows: Float32Array, teacher: Teacher): Float32Array => {
    const width = columnsOf(teacher);
    if (teacher.horizon === horizon && width === columns) return rows;
    const count = rows.length / (teacher.horizon * width);
    return Float32Array.from({ length: count * horizon * columns }, (_, i) => {
      const step = Math.floor(i / columns) % horizon;
      const window = Math.floor(i / (columns * horizon));
      const column = columns === width ? i % columns : teacher.point;
      return rows[(window * teacher.horizon + step) * width + column]!;
    });
  };
  return {
    inputLength: Math.max(...teachers.map(({ inputLength }) => inputLength)),
    quantiles,
    point: alike ? first.point : 0,
    columns,
    all,
    taught: async (windows, weights) => {
      const rows = weighted(await all(bySeries(windows)), weights);
      return byColumn(rows, { series: seriesPerWindow(windows), horizon, columns });
    },
  };
}

/** Σ weight · forecast */
export function weighted(forecasts: readonly Float32Array[], weights: readonly number[]): Float32Array {
  const sum = new Float32Array(forecasts[0]!.length);
  for (const [member, rows] of forecasts.entries()) {
    const weight = weights[member]!;
    if (weight > 0) for (let i = 0; i < sum.length; i++) sum[i]! += weight * rows[i]!;
  }
  return sum;
}

/** Windows of single series instead of those that series share, window by window. */
function bySeries(windows: Windows): Windows {
  const { together, frame, starts, count } = windows;
  if (together === undefined) return windows;
  const shift = (i: number): number => frame.offsets[i % together]! - frame.offsets[0]!;
  return {
    ...windows,
    together: undefined,
    count: count * together,
    starts: Uint32Array.from({ length: count * together }, (_, i) => starts[Math.floor(i / together)]! + shift(i)),
    series: Uint32Array.from({ length: count * together }, (_, i) => i % together),
  };
}

/** `[count·series, horizon, columns]` → `[count, columns·horizon, series]` */
function byColumn(
  rows: Float32Array,
  { series, horizon, columns }: { series: number; horizon: number; columns: number },
): Float32Array {
  const turned = new Float32Array(new SharedArrayBuffer(rows.byteLength)); // a worker reads it where it lies
  for (let i = 0; i < rows.length; i++) {
    const column = i % columns;
    const step = Math.floor(i / columns) % horizon;
    const row = Math.floor(i / (columns * horizon));
    const window = Math.floor(row / series);
    turned[((window * columns + column) * horizon + step) * series + (row % series)] = rows[i]!;
  }
  return turned;
}

/** Windows of single series over the last rows, with a past as long as the longest that is read, and what then happened: NaN where unknown. */
export function validationWindows(
  frame: TimeSeriesFrame,
  { inputLength, horizon, size }: { inputLength: number; horizon: number; size: number },
): { windows: Windows; actual: Float32Array } {
  const windows = createWindows(frame, {
    inputLength,
    horizon,
    rows: (series) => {
      const { from, to } = rowsOf(frame, series);
      return { from: Math.max(from, to - size - inputLength), to };
    },
  });
  const actual = new Float32Array(windows.count * horizon);
  const batch = createBatch(windows, 1);
  for (let i = 0; i < windows.count; i++) {
    gatherWindows(windows, [i], batch);
    for (let step = 0; step < horizon; step++)
      actual[i * horizon + step] = batch.targetMask[step] === 0 ? NaN : batch.target[step]!;
  }
  return { windows, actual };
}
