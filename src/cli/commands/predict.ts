/** `nd predict`: what comes after the last row of each series. */
import { writeCsv, formatCsv, type CsvColumns } from '../../data/csv.js';
import { Forecaster, type Forecasts } from '../../forecaster/forecaster.js';
import { parseFrequency } from '../../time/frequency.js';
import { formatTime } from '../../time/parse.js';
import { futureOf, readData, type DataFlags } from '../table.js';
import { createTerminal, printResult, type OutputFlags } from '../terminal.js';

export interface PredictFlags extends DataFlags, OutputFlags {
  readonly out: string;
  readonly levels?: readonly number[];
}

export async function predictCommand(folder: string, flags: PredictFlags): Promise<void> {
  const { out, levels, json = false } = flags;
  const terminal = createTerminal(flags);
  const forecaster = await Forecaster.load(folder);
  const frame = await readData(flags, { terminal, minLength: forecaster.inputLength, covariates: forecaster.columns });
  const future = futureOf(flags, forecaster.columnsAhead, frame.frequency);
  const { columns, ...where } = await forecaster.predict({
    frame,
    ...(future && { future }),
    ...(levels && { levels }),
  });
  const shown = Object.entries(columns).map(([name, values]) => [name, Array.from(values, sevenDigits)] as const);
  const forecasts: Shown = { ...where, columns: Object.fromEntries(shown) };
  const dated = parseFrequency(frame.frequency).kind !== 'step';
  const times = Array.from(forecasts.time, (time) => (dated ? formatTime(time) : time));
  if (out !== '-') {
    writeCsv(out, table(forecasts, times));
    terminal.say(`Wrote ${forecasts.time.length} rows to ${out}.`);
  }
  if (json) printResult(flags, bySeries(forecasts, times), '');
  else if (out === '-') process.stdout.write(formatCsv(table(forecasts, times)));
}

interface Shown extends Omit<Forecasts, 'columns'> {
  readonly columns: Readonly<Record<string, readonly number[]>>;
}

/** What a 32 bit number holds; the rest is noise of its conversion. */
const sevenDigits = (value: number): number => Number(value.toPrecision(7));

const table = ({ ids, horizon, columns }: Shown, time: readonly (string | number)[]): CsvColumns => ({
  series: time.map((_, row) => ids[Math.floor(row / horizon)]!),
  time,
  ...columns,
});

function bySeries({ ids, horizon, columns }: Shown, times: readonly (string | number)[]): object {
  const cut = <T>(values: ArrayLike<T>, series: number): T[] =>
    Array.from({ length: horizon }, (_, step) => values[series * horizon + step]!);
  return {
    horizon,
    forecasts: ids.map((id, series) => ({
      series: id,
      time: cut(times, series),
      columns: Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, cut(values, series)])),
    })),
  };
}
