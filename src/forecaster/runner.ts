/** Runs batches of windows through the form of a model that ships. */
import type { TimeSeriesFrame } from '../data/frame.js';
import type { WindowBatch } from '../data/windows.js';
import { createOrtEngine } from '../engine/ort.js';
import type { FloatTensor } from '../engine/port.js';
import { backtest, type BacktestModel } from '../evaluate/backtest.js';
import type { ForecastSpec } from '../models/index.js';
import { exportOnnx, type Trained } from './compile.js';

export interface Runner {
  /** Numbers per step of the forecast. */
  readonly columns: number;
  /** The first `count` windows, `[count, horizon, columns]`. The past of the batch may be longer than the model's. */
  run(batch: WindowBatch, count: number): Float32Array;
  close(): void;
}

export const batchWindows = 256;

export const taskOf = ({ hyperparameters }: ForecastSpec) =>
  hyperparameters as unknown as { readonly inputLength: number; readonly horizon: number };

export async function createRunner(model: Trained): Promise<Runner> {
  const session = await createOrtEngine().load(exportOnnx(model));
  const { inputLength, horizon } = taskOf(model.spec);
  return {
    columns: Math.max(1, model.spec.loss.quantiles.length),
    run: (batch, count) => {
      const size = batch.target.length / horizon;
      const feeds = {
        past: lastSteps(batch.past, size, count, inputLength),
        mask: lastSteps(batch.mask, size, count, inputLength),
      };
      return session.run(feeds)['forecast']!.data;
    },
    close: () => session.close(),
  };
}

/** The last `length` steps of the first `count` of `size` windows, `[count, length, 1]`. */
function lastSteps(values: Float32Array, size: number, count: number, length: number): FloatTensor {
  const held = values.length / size;
  const dims = [count, length, 1];
  if (held === length) return { data: values.subarray(0, count * length), dims };
  const data = new Float32Array(count * length);
  for (let i = 0; i < count; i++) data.set(values.subarray((i + 1) * held - length, (i + 1) * held), i * length);
  return { data, dims };
}

/** A trained model in a backtest: its point forecast. */
export function backtestModel(model: Trained & { readonly name: string }): BacktestModel {
  let runner: Promise<Runner> | undefined;
  const { point } = model.spec.loss;
  return {
    name: model.name,
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
