/** Training on a table of ten million rows: the peak of a process over one step of a model of one node, and the table's own size. */
import { shared, type TimeSeriesFrame } from '../src/data/frame.js';
import { trainSettings } from '../src/train/defaults.js';
import { fitModel } from '../src/train/fit.js';
import { answerApart, measureApart, memoryMb, settledMb } from './apart.js';
import { findCase, specOf } from './case.js';
import { rounded } from './statistics.js';

const rows = 10_000_000;
const megabyte = 2 ** 20;
/** Asked for, over the size of the table. */
const allowedMb = 300;

interface Case {
  readonly series: number;
  readonly validationSize: number;
}

interface Measured {
  readonly dataMb: number;
  readonly overMb: number;
  readonly seconds: number;
}

/** Waves, in columns as `frameFromColumns` makes them. */
function waves(series: number): TimeSeriesFrame {
  const length = rows / series;
  const time = shared(Float64Array, rows);
  const target = shared(Float32Array, rows);
  for (let row = 0; row < rows; row++) {
    time[row] = (row % length) * 3_600_000;
    target[row] = Math.sin(row / 4) + row / rows;
  }
  const available = shared(Uint8Array, rows).fill(1);
  const offsets = Uint32Array.from({ length: series + 1 }, (_, s) => s * length);
  return {
    ids: [...offsets.keys()].slice(1).map(String),
    offsets,
    time,
    columns: { target },
    available,
    frequency: 'h',
  };
}

async function measure({ series, validationSize }: Case): Promise<Measured> {
  const before = await settledMb();
  const frame = waves(series);
  const start = performance.now();
  await fitModel({
    spec: specOf(findCase('dlinear')),
    frame,
    settings: trainSettings('dlinear', { maxSteps: 200, valCheckSteps: 200 }),
    validationSize,
  });
  const seconds = (performance.now() - start) / 1000;
  const columns = [frame.time, frame.available, ...Object.values(frame.columns)];
  const dataMb = columns.reduce((sum, { byteLength }) => sum + byteLength, 0) / megabyte;
  return { dataMb, overMb: memoryMb('VmHWM') - before - dataMb, seconds };
}

export const benchRows = (): object[] =>
  [
    { series: 1, validationSize: 0 },
    { series: 100, validationSize: 0 },
    { series: 100, validationSize: 1000 },
  ].map((given) => {
    const { dataMb, overMb, seconds } = measureApart<Measured>(import.meta.url, given);
    return { rows, ...given, dataMb: rounded(dataMb), overMb: rounded(overMb), allowedMb, seconds: rounded(seconds) };
  });

await answerApart<Case>(import.meta.url, measure);
