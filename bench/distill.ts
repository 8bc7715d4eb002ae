/**
 * Distillation on ETTh1 by its usual protocol: 96 steps, all test windows, errors of standardized values. An ensemble of
 * ridge, DLinear and PatchTST teaches a linear student of rank 24, which is then stored in INT8.
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { windowArrays } from '../src/cli/ship.js';
import { rowsOf, type TimeSeriesFrame } from '../src/data/frame.js';
import { splitFrame } from '../src/data/split.js';
import { createWindows } from '../src/data/windows.js';
import { validationWindows } from '../src/distill/lesson.js';
import { createOrtEngine } from '../src/engine/ort.js';
import { forecastWindows } from '../src/evaluate/backtest.js';
import { fitRidge } from '../src/evaluate/baselines.js';
import { mae, mse } from '../src/evaluate/metrics.js';
import { shippedGraph } from '../src/forecaster/compile.js';
import type { ForecasterOptions } from '../src/forecaster/forecaster.js';
import {
  distill,
  dlinear,
  Forecaster,
  modelTeacher,
  nhits,
  onnxTeacher,
  patchtst,
  type Teacher,
} from '../src/index.js';
import { tryQuantize } from '../src/quantize/index.js';
import { readEtt, standardized } from './data.js';
import { rounded } from './statistics.js';

const horizon = 96;
const part = 2880;
const trainRows = 8640;
const inputLength = 512;

const folder = 'node_modules/.cache/nd-distill';
const kept = 'bench/distill.json';
const goal = { bytes: 32_768, mse: 0.368, gap: 0.03 };

const shared = { loss: 'mse', windowsBatchSize: 256, valCheckSteps: 100, threads: 2 } as const;
const large: Readonly<Record<string, ForecasterOptions>> = {
  dlinear: {
    models: [dlinear({ horizon, inputLength: 336 })],
    train: { ...shared, scaler: 'standard', learningRate: 2e-4, maxSteps: 2000, patience: 6 },
  },
  patchtst: {
    models: [
      patchtst({ horizon, inputLength: 336, hidden: 16, heads: 4, feedForward: 128, dropout: 0.3, stride: 16, subtractLast: false }), // prettier-ignore
    ],
    train: { ...shared, scaler: 'identity', windowsBatchSize: 128, learningRate: 1e-3, maxSteps: 1200, patience: 4 },
  },
};
/** The first layer of a block has no activation, so one layer makes a linear map of low rank. */
const student = nhits({ horizon, inputLength, blocks: [1], pool: [1], downsample: [1], hidden: [24] });
const studentTrain = { ...shared, scaler: 'standard', learningRate: 1e-3, maxSteps: 1500 } as const;

export async function benchDistill({ save = false, again = false }: { save?: boolean; again?: boolean }) {
  if (again) rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const whole = readEtt();
  const rows = trainRows + 2 * part;
  const used = splitFrame(whole, { test: { size: whole.time.length / whole.ids.length - rows } }).train;
  const frame = standardized(used, trainRows);
  const seen = splitFrame(frame, { test: { size: part } }).train;
  const engine = createOrtEngine();

  const teachers: Teacher[] = [ridgeTeacher(seen)];
  for (const [name, options] of Object.entries(large)) teachers.push(modelTeacher((await trained(name, options, seen)).models[0]!)); // prettier-ignore
  const said = new Set<string>();
  const { forecaster, report } = await distill({
    teacher: teachers,
    student,
    train: studentTrain,
    frame: seen,
    validationSize: part,
    alpha: 2,
    cache: folder,
    checkpoints: join(folder, 'students'),
    resume: true,
    on: ({ name }) => {
      if (!said.has(name)) console.error(name);
      said.add(name);
    },
  });

  const { windows, actual } = validationWindows(frame, { inputLength, horizon, size: part });
  const error = async (forecasts: Float32Array) => ({
    testMse: rounded(mse(actual, forecasts)),
    testMae: rounded(mae(actual, forecasts)),
  });
  const said2 = await Promise.all(teachers.map((teacher) => forecastWindows(windows, teacher)));
  const weights = report.teacher.members.map(({ weight }) => weight);
  const together = said2[0]!.map((_, i) => said2.reduce((sum, rows, t) => sum + weights[t]! * rows[i]!, 0));
  const [model] = forecaster.models;
  const graph = shippedGraph(model!);
  const parts = splitFrame(seen, { test: { size: part }, context: inputLength });
  const small = await tryQuantize({
    graph,
    to: 'int8',
    engine,
    calibration: windowArrays(parts.train, model!.spec, 512),
    validation: windowArrays(parts.test, model!.spec, 1024),
    family: model!.spec.model.capabilities.quantization,
  });
  const measured = async (name: string, file: Uint8Array) => {
    const path = join(folder, `${name}.onnx`);
    writeFileSync(path, file);
    const teacher = await onnxTeacher(path, { engine, inputLength, horizon });
    const found = await error(await forecastWindows(windows, teacher));
    teacher.close();
    return { name, bytes: file.length, ...found };
  };
  const tests = [
    ...(await Promise.all(
      teachers.map(async ({ name }, i) => ({ name: `teacher ${name}, weight ${weights[i]!.toFixed(2)}`, bytes: null, ...(await error(said2[i]!)) })), // prettier-ignore
    )),
    { name: 'teachers together', bytes: null, ...(await error(together)) },
    await measured('student FP32', small.fp32Model),
    await measured('student INT8', small.model),
  ];
  const [teacher, , int8] = tests.slice(-3) as [(typeof tests)[0], (typeof tests)[0], (typeof tests)[0]];
  const gap = rounded(int8.testMse / teacher.testMse - 1);
  const result = {
    command: 'npm run bench -- distill --save',
    machine: `${cpus().length} cores of ${cpus()[0]!.model.trim()}, Node ${process.versions.node}`,
    rows: tests,
    goal,
    gap,
    met: { bytes: int8.bytes! <= goal.bytes, mse: int8.testMse <= goal.mse, gap: gap <= goal.gap },
    quantizeFaults: small.faults,
    validation: report,
  };
  if (save) writeFileSync(kept, `${JSON.stringify(result, null, 2)}\n`);
  return result;
}

async function trained(name: string, options: ForecasterOptions, frame: TimeSeriesFrame): Promise<Forecaster> {
  const at = join(folder, name);
  if (!existsSync(join(at, 'config.json'))) {
    console.error(`${name} learns`);
    const forecaster = new Forecaster(options);
    await forecaster.fit(frame, { validationSize: part, checkpoints: at, resume: true });
    await forecaster.save(at);
  }
  return Forecaster.load(at);
}

/** Closed form, over windows whose last value is taken off. */
function ridgeTeacher(frame: TimeSeriesFrame): Teacher {
  const rows = (series: number) => ({ from: rowsOf(frame, series).from, to: rowsOf(frame, series).to - part });
  const { forecast } = fitRidge(createWindows(frame, { inputLength, horizon, rows }), Infinity);
  return {
    name: 'ridge',
    fingerprint: `ridge ${inputLength} ${horizon}`,
    inputLength,
    horizon,
    quantiles: [],
    point: 0,
    columns: undefined,
    together: undefined,
    predict: forecast,
    close: () => undefined,
  };
}
