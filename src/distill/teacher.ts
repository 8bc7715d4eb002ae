/** What can teach: anything that forecasts windows. A trained model does; an ONNX file, see onnx-teacher.ts. */
import type { BacktestModel } from '../evaluate/backtest.js';
import type { TrainedModel } from '../forecaster/forecaster.js';
import { createRunner, taskOf, type Runner } from '../forecaster/runner.js';
import { seriesTogether } from '../models/index.js';
import { fingerprint } from '../train/start.js';

export interface Teacher extends Pick<BacktestModel, 'name' | 'together' | 'columns'> {
  /** Of all that its forecasts depend on: what they are kept under. */
  readonly fingerprint: string;
  readonly inputLength: number;
  readonly horizon: number;
  /** Levels of its columns; [] of a single point. */
  readonly quantiles: readonly number[];
  /** Which column is the point. */
  readonly point: number;
  /** The first `count` windows of a batch: [count·series, horizon, columns], in sensor units. */
  readonly predict: BacktestModel['predict'];
  close(): void;
}

export const columnsOf = ({ quantiles }: Pick<Teacher, 'quantiles'>): number => Math.max(1, quantiles.length);

/** A model of ours: trained here, or imported. */
export function modelTeacher({ name, spec, values }: TrainedModel): Teacher {
  const { model, hyperparameters, loss, scaler } = spec;
  let runner: Promise<Runner> | undefined;
  let loaded: Runner | undefined;
  const weights = Object.keys(values).sort();
  return {
    name,
    together: seriesTogether(spec),
    columns: spec.columns,
    ...taskOf(spec),
    quantiles: loss.quantiles,
    point: loss.point,
    fingerprint: fingerprint(
      JSON.stringify([model.id, hyperparameters, loss.name, loss.quantiles, scaler, spec.columns ?? {}, weights]),
      ...weights.map((path) => bytesOf(values[path]!)),
    ),
    predict: async (batch, count) => {
      runner ??= createRunner({ spec, values });
      loaded = await runner;
      return loaded.run(batch, count);
    },
    close: () => {
      loaded?.close();
      [runner, loaded] = [undefined, undefined];
    },
  };
}

export const bytesOf = (array: Float32Array | Uint32Array | Uint8Array | Float64Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
