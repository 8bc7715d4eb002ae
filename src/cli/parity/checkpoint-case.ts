/** A checkpoint of the reference library: our forecast of its panel against the one the library made. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Engine, FloatTensor } from '../../engine/port.js';
import { exportOnnx } from '../../forecaster/compile.js';
import { feedsBack } from '../../models/index.js';
import type { CheckpointModel, SeriesStatistics } from '../../import/checkpoint.js';
import { convertModel, type Converted } from '../../import/convert.js';
import { readCheckpoint } from '../../import/read-checkpoint.js';
import { compareFedBack } from './recursion.js';
import { createTally, type Outcome, type Tally } from './tally.js';

export async function checkpointCase(folder: string, engine: Engine): Promise<Outcome> {
  const { models, seriesScalers } = readCheckpoint(join(folder, 'model'));
  const tally = createTally();
  const panel = readPanel(folder, seriesScalers);
  for (const model of models) {
    const converted = convertModel(model);
    const theirs = panel.predictions(model.name);
    await compareForecast(model, converted, panel, theirs, engine, tally);
  }
  if (models.length === 0) tally.fault('there is no model in it');
  return tally.outcome();
}

async function compareForecast(
  { hyperparameters: given, loss }: CheckpointModel,
  { spec, values }: Converted,
  panel: Panel,
  theirs: FloatTensor,
  engine: Engine,
  tally: Tally,
): Promise<void> {
  const { inputLength, horizon } = spec.hyperparameters as { inputLength: number; horizon: number };
  const together = spec.model.capabilities.series === 'many';
  const { series } = panel;
  const list = columnsOf(given);
  /** `[series, steps, columns]`, or `[1, columns, steps, series]` where they share a window. */
  const window = (columns: readonly string[], steps: number, target = false): FloatTensor => {
    const data = panel.window(columns, inputLength, steps);
    if (!together) return { data, dims: [series, steps, columns.length] };
    const turned = new Float32Array(data.length);
    for (let i = 0; i < data.length; i++) {
      const column = i % columns.length;
      const step = Math.floor(i / columns.length) % steps;
      const row = Math.floor(i / columns.length / steps);
      turned[(column * steps + step) * series + row] = data[i]!;
    }
    return { data: turned, dims: target ? [1, steps, series] : [1, columns.length, steps, series] };
  };
  const past = window(['y'], inputLength, true);
  const session = await engine.load(exportOnnx({ spec, values }));
  const { forecast } = session.run({
    past,
    mask: { ...past, data: new Float32Array(past.data.length).fill(1) },
    historic: window(list.historic, inputLength),
    future: window(list.future, inputLength + horizon),
    static: { data: panel.fixed(list.fixed), dims: [series, list.fixed.length] },
  });
  session.close();
  const ours = forecast && { ...forecast, data: panel.restore(bySeries(forecast, together ? series : 1)) };
  if (ours !== undefined && feedsBack(spec.model, spec.hyperparameters))
    compareFedBack(spec, ours, theirs, 'distribution' in loss.args, tally);
  else tally.compare('forward', 'predict.csv', ours, theirs);
}

/** `[1, horizon, series·columns]` → `[series, horizon, columns]`; as it is where every series has a window. */
function bySeries({ data, dims }: FloatTensor, together: number): Float32Array {
  if (together === 1) return data;
  const [, horizon, width] = dims as [number, number, number];
  const columns = width / together;
  return Float32Array.from(data, (_, i) => {
    const column = i % columns;
    const step = Math.floor(i / columns) % horizon;
    const row = Math.floor(i / columns / horizon);
    return data[step * width + row * columns + column]!;
  });
}

const columnsOf = (given: Readonly<Record<string, unknown>>) => {
  const list = (key: string): readonly string[] => (given[key] as readonly string[] | null | undefined) ?? [];
  return { historic: list('hist_exog_list'), future: list('futr_exog_list'), fixed: list('stat_exog_list') };
};

interface Panel {
  readonly series: number;
  /** `[series, steps, columns]`, from `past` steps before the end of the history on, with what is known of the future. */
  window(columns: readonly string[], past: number, steps: number): Float32Array;
  /** `[series, columns]` */
  fixed(columns: readonly string[]): Float32Array;
  /** What the library forecast, `[series, horizon, columns]`. */
  predictions(model: string): FloatTensor;
  /** Back from the scale of whole series, `[series, …]`. */
  restore(values: Float32Array): Float32Array;
}

/** The tables beside a checkpoint; columns scaled as its whole series are. */
function readPanel(folder: string, scalers: Readonly<Record<string, SeriesStatistics>>): Panel {
  const history = readTable(join(folder, 'panel.csv'));
  const ahead = readTable(join(folder, 'futr.csv'));
  const fixed = readTable(join(folder, 'static.csv'));
  const ids = [...history.keys()].sort();
  /** Shift and scale of a column of a series. */
  const scaling = (column: string, row: number): readonly [number, number] => {
    const { statistics } = scalers[column] ?? {};
    return statistics === undefined ? [0, 1] : [statistics.data[row * 2]!, statistics.data[row * 2 + 1]!];
  };
  return {
    series: ids.length,
    window: (columns, past, steps) =>
      Float32Array.from(
        ids.flatMap((id, row) => {
          const known = history.get(id)!;
          return Array.from({ length: steps }, (_, step) =>
            columns.map((column) => {
              if (column === 'available_mask') return step < past ? 1 : 0;
              const value = step < past ? known[known.length - past + step] : ahead.get(id)?.[step - past];
              const [shift, scale] = scaling(column, row);
              return value?.[column] === undefined ? 0 : (Number(value[column]) - shift) / scale;
            }),
          ).flat();
        }),
      ),
    fixed: (columns) =>
      Float32Array.from(ids.flatMap((id) => columns.map((column) => Number(fixed.get(id)?.[0]?.[column])))),
    predictions: (model) => {
      const rows = readTable(join(folder, 'predict.csv'));
      const all = ids.map((id) => rows.get(id)!);
      const names = Object.keys(all[0]![0]!).filter((name) => name === model || name.startsWith(`${model}-`));
      return {
        data: Float32Array.from(
          all.flatMap((steps) => steps.flatMap((step) => names.map((name) => Number(step[name])))),
        ),
        dims: [ids.length, all[0]!.length, names.length],
      };
    },
    restore: (values) => {
      const perSeries = values.length / ids.length;
      return values.map((value, i) => {
        const [shift, scale] = scaling('y', Math.floor(i / perSeries));
        return value * scale + shift;
      });
    },
  };
}

/** Rows by `unique_id`, each a map of its columns; empty where there is no such file. */
function readTable(path: string): Map<string, Readonly<Record<string, string>>[]> {
  const rows = new Map<string, Readonly<Record<string, string>>[]>();
  if (!existsSync(path)) return rows;
  const [header, ...lines] = readFileSync(path, 'utf8').trim().split('\n');
  const names = header!.split(',');
  for (const line of lines) {
    const row = Object.fromEntries(line.split(',').map((cell, i) => [names[i]!, cell]));
    const id = row['unique_id']!;
    if (!rows.has(id)) rows.set(id, []);
    rows.get(id)!.push(row);
  }
  return rows;
}
