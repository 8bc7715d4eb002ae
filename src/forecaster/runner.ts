/** Runs batches of windows through the form of a model that ships. */
import type { TimeSeriesFrame } from '../data/frame.js';
import { windowShapes, type BatchShapes, type WindowBatch, type WindowSizes } from '../data/windows.js';
import { createOrtEngine } from '../engine/ort.js';
import type { FloatTensor } from '../engine/port.js';
import { backtest, type BacktestModel } from '../evaluate/backtest.js';
import { createPrompter } from '../language/prompter.js';
import { seriesTogether, type ForecastSpec } from '../models/index.js';
import { exportOnnx, type Trained } from './compile.js';

export interface Runner {
  /** Numbers per step of the forecast. */
  readonly columns: number;
  /** The first `count` windows, `[count·series, horizon, columns]`: series by series where they share a window. */
  run(batch: WindowBatch, count: number): Float32Array;
  close(): void;
}

export const batchWindows = 256;

export interface Task {
  readonly inputLength: number;
  readonly horizon: number;
}

/** The two lengths alone, so that the result may be spread where other hyperparameters would mean something else. */
export function taskOf({ hyperparameters }: ForecastSpec): Task {
  const { inputLength, horizon } = hyperparameters as unknown as Task;
  return { inputLength, horizon };
}

export async function createRunner(model: Trained): Promise<Runner> {
  const session = await createOrtEngine().load(exportOnnx(model));
  const { horizon } = taskOf(model.spec);
  const together = seriesTogether(model.spec);
  const series = together ?? 1;
  const counts = model.spec.hyperparameters as unknown as Omit<WindowSizes, 'together'>;
  const statistics = 2 * (model.spec.columns?.scaler?.columns.length ?? 0);
  const sizes = { ...counts, static: counts.static + statistics, together };
  const columns = Math.max(1, model.spec.loss.quantiles.length);
  const prompt = model.spec.model.prompt?.(model.spec.hyperparameters);
  const prompter = prompt && createPrompter(prompt, batchWindows);
  return {
    columns,
    run: (batch, count) => {
      const feeds = feedsOf(batch, windowShapes(sizes, count));
      if (prompter) feeds['prompt'] = prompter.read(batch.past, count);
      return bySeries(session.run(feeds)['forecast']!.data, { horizon, series, columns });
    },
    close: () => session.close(),
  };
}

/** The first windows of a batch, as many as the shapes are for: views. */
function feedsOf(batch: WindowBatch, shapes: BatchShapes): Record<string, FloatTensor> {
  const names = (['past', 'mask', 'historic', 'future', 'static'] as const).filter((name) => batch[name] !== undefined);
  return Object.fromEntries(
    names.map((name) => {
      const dims = shapes[name];
      return [
        name,
        {
          data: batch[name]!.subarray(
            0,
            dims.reduce((product, dim) => product * dim, 1),
          ),
          dims,
        },
      ];
    }),
  );
}

/** `[count, horizon, series, columns]` → `[count, series, horizon, columns]` */
function bySeries(
  values: Float32Array,
  { horizon, series, columns }: { horizon: number; series: number; columns: number },
): Float32Array {
  if (series === 1) return values;
  const turned = new Float32Array(values.length);
  for (let row = 0; row < values.length / columns; row++) {
    const s = row % series;
    const step = Math.floor(row / series) % horizon;
    const window = Math.floor(row / (series * horizon));
    const at = ((window * series + s) * horizon + step) * columns;
    turned.set(values.subarray(row * columns, (row + 1) * columns), at);
  }
  return turned;
}

/** A trained model in a backtest: its point forecast. */
export function backtestModel(model: Trained & { readonly name: string }): BacktestModel {
  let runner: Promise<Runner> | undefined;
  const { point } = model.spec.loss;
  return {
    name: model.name,
    inputLength: taskOf(model.spec).inputLength,
    together: seriesTogether(model.spec),
    columns: model.spec.columns,
    predict: async (batch, count) => {
      runner ??= createRunner(model);
      const loaded = await runner;
      const rows = loaded.run(batch, count);
      const { columns } = loaded;
      if (columns === 1) return rows;
      return Float32Array.from({ length: rows.length / columns }, (_, row) => rows[row * columns + point]!);
    },
  };
}

/** Absolute errors over the validation part, [windows, horizon], NaN where nothing was observed. */
export async function validationErrors(
  model: Trained & { readonly name: string },
  frame: TimeSeriesFrame,
  validationSize: number,
): Promise<Float32Array> {
  const { inputLength, horizon } = taskOf(model.spec);
  const windows = validationSize - horizon + 1;
  const { actual, forecasts } = await backtest(frame, [backtestModel(model)], {
    inputLength,
    horizon,
    step: 1,
    windows,
  });
  return actual.map((value, i) => Math.abs(value - forecasts[model.name]![i]!));
}
