/** The way from a trained model to a bundle, shared by `nd quantize`, `nd pack` and the demo. */
import type { Bundle } from '../bundle/pack.js';
import { covariateNames, covariatesOf } from '../data/covariates.js';
import { rowsOf, type TimeSeriesFrame } from '../data/frame.js';
import { splitFrame } from '../data/split.js';
import { createBatch, createWindows, gatherWindows } from '../data/windows.js';
import { NeuroDivergentError } from '../errors.js';
import type { Engine, FloatTensor } from '../engine/port.js';
import { backtest, type Backtest, type BacktestModel } from '../evaluate/backtest.js';
import { conformalHalfWidths, intervalAround } from '../evaluate/conformal.js';
import { coverage as coverageOf, mae } from '../evaluate/metrics.js';
import { shippedGraph } from '../forecaster/compile.js';
import type { Forecaster, TrainedModel } from '../forecaster/forecaster.js';
import { taskOf, type Task } from '../forecaster/runner.js';
import { createPrompter } from '../language/prompter.js';
import { measureLatency, quantize, type Latency, type Quantized } from '../quantize/index.js';
import type { Compression, Target, WindowArrays } from '../quantize/index.js';
import { seriesTogether, type ForecastSpec } from '../models/index.js';
import { parseFrequency } from '../time/frequency.js';
import { makeBundle, type BundleParts } from './make-bundle.js';

/** Throws `ND_CONFIG_CONFLICT` for a model that needs several series, columns, scaled series or a language model: on a device every series has a lane of its own. */
export const deviceTask = ({ spec }: Pick<TrainedModel, 'spec'>): Task => {
  if ((seriesTogether(spec) ?? 1) > 1) {
    throw new NeuroDivergentError('ND_CONFIG_CONFLICT', {
      where: spec.model.id,
      what: 'It forecasts many series from each other, and a device forecasts each by itself.',
      mend: 'Name a model of one series; `nd models` says which are.',
    });
  }
  if (spec.model.prompt !== undefined) {
    throw new NeuroDivergentError('ND_CONFIG_CONFLICT', {
      where: spec.model.id,
      what: 'It asks a language model about every window, and a device has none.',
      mend: 'Train another model for devices.',
    });
  }
  if (spec.columns?.scaler !== undefined) {
    throw new NeuroDivergentError('ND_CONFIG_CONFLICT', {
      where: spec.model.id,
      what: 'It scales whole series by what it learned of each, and a device does not know which series it is.',
      mend: 'Train a model without `seriesScaler` for devices.',
    });
  }
  const read = covariateNames(spec.columns ?? {});
  if (read.length > 0) {
    throw new NeuroDivergentError('ND_CONFIG_CONFLICT', {
      where: `${spec.model.id}: ${read.join(', ')}`,
      what: 'It reads columns beside the target, and a device has the target alone.',
      mend: 'Train a model without covariates for devices.',
    });
  }
  return taskOf(spec);
};

/** Up to `limit` windows with all that the model reads, evenly spread over the frame. */
export function windowArrays(
  frame: TimeSeriesFrame,
  spec: ForecastSpec,
  limit: number,
): WindowArrays & Record<string, Float32Array> {
  const windows = createWindows(frame, {
    ...taskOf(spec),
    ...covariatesOf(frame, spec.columns ?? {}),
    together: seriesTogether(spec),
    minAvailable: 1,
  });
  const count = Math.min(limit, windows.count);
  const chosen = Array.from({ length: count }, (_, i) => Math.floor((i * windows.count) / count));
  const batch = createBatch(windows, count);
  gatherWindows(windows, chosen, batch);
  const prompt = spec.model.prompt?.(spec.hyperparameters);
  const told = prompt && { prompt: createPrompter(prompt, count).read(batch.past, count).data };
  return { ...batch, ...told, series: Float32Array.from(chosen, (window) => windows.series[window]!) };
}

const calibrationWindows = 512;
const gateWindows = 1024;

export interface Compressed extends Quantized {
  readonly latency: { readonly fp32: Latency; readonly small: Latency };
}

/** Quantizes a trained model, calibrated on one part of the data and gated on another, and times both. */
export async function compress(
  model: TrainedModel,
  {
    engine,
    to,
    target,
    calibration,
    validation,
    maxLoss,
  }: {
    engine: Engine;
    to: Compression;
    target?: Target | undefined;
    calibration: TimeSeriesFrame;
    validation: TimeSeriesFrame;
    maxLoss?: number | undefined;
  },
): Promise<Compressed> {
  const { spec } = model;
  const graph = shippedGraph(model);
  const { loss, model: definition } = spec;
  const windows = windowArrays(validation, spec, gateWindows);
  const result = await quantize({
    graph,
    to,
    engine,
    ...(target && { target }),
    calibration: windowArrays(calibration, spec, calibrationWindows),
    validation: windows,
    family: definition.capabilities.quantization,
    point: loss.point,
    ...(maxLoss !== undefined && { maxLoss }),
  });
  const [fp32, small] = await measureLatency([result.fp32Model, result.model], {
    engine,
    graph: result.graph,
    windows,
  });
  return { ...result, latency: { fp32: fp32!, small: small! } };
}

/** An ONNX forecast model in a backtest: its point column. */
export async function onnxModel(
  name: string,
  model: Uint8Array,
  engine: Engine,
  { inputLength, horizon }: Task,
  point: number,
): Promise<BacktestModel & { close(): void }> {
  const session = await engine.load(model);
  return {
    name,
    predict: (batch, count) => {
      const rows = (values: Float32Array): FloatTensor => ({
        data: values.subarray(0, count * inputLength),
        dims: [count, inputLength, 1],
      });
      const offered: Record<string, FloatTensor> = { past: rows(batch.past), mask: rows(batch.mask) };
      const forecast = session.run(Object.fromEntries(session.inputNames.map((input) => [input, offered[input]!])))[
        'forecast'
      ]!;
      const columns = forecast.data.length / (count * horizon);
      return Float32Array.from({ length: count * horizon }, (_, row) => forecast.data[row * columns + point]!);
    },
    close: () => session.close(),
  };
}

const coverage = 0.9;

export interface PackOptions extends Pick<
  BundleParts,
  'dir' | 'line' | 'release' | 'models' | 'providers' | 'unit' | 'createdMs' | 'notes' | 'tuning'
> {
  readonly model: TrainedModel;
  /** Rows the model was not fitted to: they give the interval, the golden windows and the figures on the card. */
  readonly heldOut: TimeSeriesFrame;
  readonly dataset: string;
  readonly engine: Engine;
}

/** Measures the model that ships on rows it has not learned from, and packs it with what the device needs. */
export async function packModel({
  model,
  heldOut,
  dataset,
  engine,
  ...options
}: PackOptions): Promise<{ bundle: Bundle; measured: Backtest }> {
  const task = deviceTask(model);
  const { quantiles, point } = model.spec.loss;
  const shipped = await onnxModel(model.name, Object.values(options.models)[0]!, engine, task, point);
  const measured = await backtest(heldOut, [shipped], { ...task, step: 1 });
  shipped.close();
  const forecast = measured.forecasts[model.name]!;
  const halfWidths = Array.from(conformalHalfWidths(measured, model.name, coverage));
  const { lo, hi } = intervalAround(forecast, halfWidths);
  const bundle = await makeBundle(
    {
      ...options,
      ...task,
      model: model.name,
      quantiles,
      cadenceMs: cadenceOf(heldOut),
      golden: goldenWindows(heldOut, model.spec),
      calibration: { coverage, halfWidths },
      metrics: { dataset, mae: mae(measured.actual, forecast), coverage: coverageOf(measured.actual, lo, hi) },
    },
    engine,
  );
  return { bundle, measured };
}

const goldenCases = 4;

function goldenWindows(frame: TimeSeriesFrame, spec: ForecastSpec): Record<string, FloatTensor>[] {
  const { inputLength } = taskOf(spec);
  const windows = windowArrays(frame, spec, goldenCases);
  const cut = (values: Float32Array, i: number): FloatTensor => ({
    data: values.slice(i * inputLength, (i + 1) * inputLength),
    dims: [1, inputLength, 1],
  });
  return Array.from({ length: windows['past']!.length / inputLength }, (_, i) => ({
    past: cut(windows['past']!, i),
    mask: cut(windows['mask']!, i),
  }));
}

/** Milliseconds between two rows. Devices work on a fixed grid: months and plain indices have none. */
function cadenceOf(frame: TimeSeriesFrame): number {
  const frequency = parseFrequency(frame.frequency);
  if (frequency.kind === 'duration') return frequency.ms;
  throw new NeuroDivergentError('ND_CONFIG_CONFLICT', {
    where: 'pack',
    what: `A device cannot keep the cadence "${frame.frequency}".`,
    mend: 'Resample to a fixed step of weeks or less, such as 5min, h or D.',
  });
}

/** Cuts the last rows off each series; those held out keep enough past for their first window. */
export function holdOut(
  frame: TimeSeriesFrame,
  rows: number,
  context: number,
): { rest: TimeSeriesFrame; held: TimeSeriesFrame } {
  const { train, test } = splitFrame(frame, { test: { size: rows }, context });
  return { rest: train, held: test };
}

/** The rows at the end of each series that this model was validated on; a fifth of the shortest where it was not. */
export function heldOutRows({ spec, errors }: TrainedModel, frame: TimeSeriesFrame): number {
  const { horizon } = taskOf(spec);
  const lengths = frame.ids.map((_, series) => rowsOf(frame, series).to - rowsOf(frame, series).from);
  const shortest = lengths.reduce((a, b) => Math.min(a, b), Infinity);
  if (errors === undefined) return Math.max(horizon, Math.floor(shortest / 5));
  return Math.ceil(errors.length / horizon / frame.ids.length) + horizon - 1; // one window per row, from the first horizon on
}

/** The model of this name; without one, that with the smallest error on its validation part. */
export function chosenModel(forecaster: Forecaster, name?: string): TrainedModel {
  if (name !== undefined) return forecaster.model(name);
  const error = ({ errors }: TrainedModel): number => mae(new Float32Array(errors?.length ?? 0), errors ?? []);
  return forecaster.models.reduce((best, model) => (error(model) < error(best) ? model : best));
}
