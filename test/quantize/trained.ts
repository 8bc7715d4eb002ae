/** A model trained for a moment on sensor data that ships with the package, and windows to calibrate and judge it on. */
import { readFileSync } from 'node:fs';
import type { Engine } from '../../src/engine/port.js';
import { createRandom } from '../../src/engine/random.js';
import { createTrainingStep } from '../../src/engine/training-step.js';
import { bindParameters, type Graph } from '../../src/graph/index.js';
import { createLoss } from '../../src/losses/index.js';
import { inferenceGraph, type ForecastSpec } from '../../src/models/assemble.js';
import type { Model } from '../../src/models/model.js';
import type { WindowArrays } from '../../src/quantize/index.js';
import { planTraining, startingValues } from '../../src/train/plan.js';

export interface Trained {
  readonly graph: Graph;
  readonly calibration: WindowArrays;
  readonly validation: WindowArrays;
}

/** Values of one series, or of all that are forecast together: `[row, series]`. */
export interface Readings {
  readonly values: Float32Array;
  readonly series: number;
}

export interface Brief {
  readonly readings?: Readings;
  readonly hyperparameters?: Record<string, unknown>;
  readonly steps: number;
  readonly batch?: number;
  readonly learningRate?: number;
}

/** Sensor data that ships with the package. */
export function sensor(file = 'ambient_temperature_system_failure'): Readings {
  const rows = readFileSync(`examples/data/${file}.csv`, 'utf8').trim().split('\n').slice(1);
  return { values: Float32Array.from(rows, (row) => Number(row.split(',')[1])), series: 1 };
}

/** Trains on the first 60 % of the rows, in sensor units, by default with window 96 and horizon 24. Validates on the next 20 %. */
export async function trainBriefly(
  model: Model,
  engine: Engine,
  { readings = sensor(), hyperparameters = {}, steps, batch = 64, learningRate = 1e-3 }: Brief,
): Promise<Trained> {
  const { values, series } = readings;
  const own = { inputLength: 96, horizon: 24, series, ...hyperparameters };
  const { inputLength, horizon } = own;
  const random = createRandom(7, 'windows');
  const windows = (count: number, from: number, to: number): WindowArrays & { past: Float32Array } => {
    const last = to - inputLength - horizon;
    const starts = Array.from({ length: count }, () => from + Math.floor(random() * (last - from)));
    return {
      past: gather(readings, starts, 0, inputLength),
      mask: new Float32Array(count * inputLength * series).fill(1),
      target: gather(readings, starts, inputLength, horizon),
      targetMask: new Float32Array(count * horizon * series).fill(1),
    };
  };
  const rows = values.length / series;
  const train = Math.floor(rows * 0.6);
  const spec: ForecastSpec = {
    model,
    hyperparameters: model.parse(own),
    loss: createLoss('mae'),
    scaler: 'standard',
  };
  const plan = planTraining(spec, { batch, seed: 1 });
  const step = await createTrainingStep({ engine, model: plan.model, layout: plan.layout, seed: 1, threads: 2 });
  step.load(startingValues(plan));
  for (let i = 0; i < steps; i++) {
    const arrays = windows(batch, 0, train);
    const feeds = Object.fromEntries(
      plan.layout.inputs.map(({ name, shape }) => [name, { data: arrays[name]!, dims: shape }]),
    );
    step.step(feeds, { learningRate, clipNorm: 1 });
  }
  const graph = bindParameters(inferenceGraph(spec), step.copyValues());
  step.close();
  return {
    graph,
    calibration: windows(256, 0, train),
    validation: windows(256, train, Math.floor(rows * 0.8)),
  };
}

/** `[start, step, series]` */
const gather = (
  { values, series }: Readings,
  starts: readonly number[],
  skip: number,
  length: number,
): Float32Array => {
  const gathered = new Float32Array(starts.length * length * series);
  for (const [i, start] of starts.entries()) {
    const from = (start + skip) * series;
    gathered.set(values.subarray(from, from + length * series), i * length * series);
  }
  return gathered;
};
