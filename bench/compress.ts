/**
 * What compression costs and saves, model by model: each is trained for a moment on the shared data, quantized in every
 * way, and measured beside its FP32 form. What is finished is kept, so a run may be stopped and go on later.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { windowArrays } from '../src/cli/ship.js';
import { splitFrame, type Split } from '../src/data/split.js';
import { createOrtEngine } from '../src/engine/ort.js';
import { shippedGraph } from '../src/forecaster/compile.js';
import { Forecaster, type TrainedModel } from '../src/forecaster/forecaster.js';
import { models, type Model } from '../src/models/index.js';
import { forecastError, lossOf, type ForecastError } from '../src/quantize/error.js';
import {
  measureLatency,
  targets,
  tryQuantize,
  type Attempt,
  type Compression,
  type WindowArrays,
} from '../src/quantize/index.js';
import { peakOf } from './compress-memory.js';
import { quantizeByPeer } from './compress-peer.js';
import { readEtt, readM4, readSkab, standardized } from './data.js';
import { geometricMean, percentile, rounded } from './statistics.js';

const inputLength = 96;
const etthTrain = 8640;
const etthPart = 2880;

interface Dataset {
  readonly horizon: number;
  /** Series of the models that forecast many from each other. */
  readonly together: number;
  /** Parts of one frame; the second and the third begin with `inputLength` rows of the part before. */
  read(together: boolean): Split;
}

const parts = (rows: number) => ({ validation: { size: rows }, test: { size: rows }, context: inputLength });
const datasets: Readonly<Record<string, Dataset>> = {
  etth1: {
    horizon: 24,
    together: 7,
    read: () => {
      const whole = readEtt();
      const used = splitFrame(whole, { test: { size: whole.time.length / 7 - etthTrain - 2 * etthPart } }).train;
      return splitFrame(standardized(used, etthTrain), parts(etthPart));
    },
  },
  'm4-hourly': {
    horizon: 48,
    together: 8,
    read: (together) => splitFrame(readM4(together ? 8 : undefined), parts(96)),
  },
  skab: { horizon: 24, together: 8, read: () => splitFrame(readSkab(), parts(1500)) },
};

/** Measured on every data set; the others on ETTh1. */
const skeleton = ['dlinear', 'mlp', 'nhits', 'tsmixer', 'patchtst', 'tcn', 'lstm', 'gru'];

/** Not measured: most of it is a language model of the user's. */
const without = ['timellm'];

/** Where the defaults are beyond a device, and beyond the time there is. */
const smaller: Readonly<Record<string, Record<string, unknown>>> = {
  stemgnn: { width: 1 },
  timesnet: { hidden: 16, convolution: 16, periods: 2, kernels: 3 },
  timexer: { hidden: 128, feedForward: 512 },
  itransformer: { hidden: 128, feedForward: 512 },
  softs: { hidden: 128, feedForward: 512 },
  softssharp: { hidden: 128, feedForward: 512 },
};

/** Not measured, and why. */
const outside: Readonly<Record<string, string>> = {
  timellm: 'asks a language model of 124 million weights, which its user brings',
};

const trainMs = 6000;
const stepsRange = [40, 400] as const;
const windows = { calibration: 256, validation: 512, test: 512 };
/** Every model in three ways, the skeleton in all. */
const waysOf = ({ id }: Model): readonly Compression[] =>
  skeleton.includes(id) ? ['fp16', 'int8', 'int8-dynamic', 'w4', 'auto'] : ['fp16', 'int8', 'w4'];
const target = targets['x86-64'];

export interface CompressRow {
  readonly model: string;
  readonly dataset: string;
  readonly precision: string;
  /** On the windows that the gate looks at. */
  readonly mae: number;
  readonly fp32Mae: number;
  /** Relative rise: median and 90th percentile over the series; and the median on windows that nothing was chosen by. */
  readonly loss: number;
  readonly lossP90: number;
  readonly testLoss: number;
  readonly bytes: number;
  readonly fp32Bytes: number;
  readonly sizeRatio: number;
  /** Middle time of one window, and of 32 at once. */
  readonly p50Us: number;
  readonly fp32P50Us: number;
  readonly batchUs: number;
  readonly fp32BatchUs: number;
  /** Most memory of a process that loads and runs it; of the skeleton on ETTh1. */
  readonly peakMb: number | null;
  readonly fp32PeakMb: number | null;
  /** How many layers became what: `int8 12, float32 1`. */
  readonly layers: string;
  readonly seconds: number;
  /** Of int8: `loss`, `bytes` and `p50Us` of the file that ONNX Runtime's own quantizer makes of the same calibration windows. */
  readonly peerLoss?: number;
  readonly peerBytes?: number;
  readonly peerP50Us?: number;
  readonly peerFault?: string;
  readonly gate: 'pass' | 'fail';
  readonly fault: string | null;
}

const folder = 'node_modules/.cache/nd-compress';
const rowsPath = join(folder, 'rows.json');
const kept = 'bench/compress.json';

export interface CompressOptions {
  readonly only?: readonly string[] | undefined;
  /** Write `bench/compress.json`. */
  readonly save?: boolean;
  /** Measure also what is finished. */
  readonly again?: boolean;
  /** Beside ONNX Runtime's own quantizer. */
  readonly peers?: boolean;
}

export async function benchCompress({ only, save = false, again = false, peers = false }: CompressOptions) {
  mkdirSync(folder, { recursive: true });
  const finished = (): CompressRow[] =>
    existsSync(rowsPath) ? (JSON.parse(readFileSync(rowsPath, 'utf8')) as CompressRow[]) : [];
  for (const [dataset, data] of Object.entries(datasets)) {
    for (const model of models) {
      if (only?.includes(model.id) === false || without.includes(model.id)) continue;
      if (dataset !== 'etth1' && !skeleton.includes(model.id)) continue;
      const mine = (row: CompressRow): boolean => row.model === model.id && row.dataset === dataset;
      const missing = waysOf(model).filter(
        (way) => again || !finished().some((row) => mine(row) && row.precision === way),
      );
      if (missing.length === 0) continue;
      const measured = await measure(model, dataset, data, missing, peers && dataset === 'etth1');
      const rows = [
        ...finished().filter((row) => !mine(row) || !measured.some((other) => other.precision === row.precision)), ...measured]; // prettier-ignore
      writeFileSync(rowsPath, JSON.stringify(rows, null, 1));
      for (const row of measured) console.error(JSON.stringify(row)); // the table comes at the end
    }
  }
  const shown = finished()
    .filter(({ model }) => only?.includes(model) ?? true)
    .sort(byName);
  const report = {
    command: 'npm run bench -- compress --save',
    machine: `${cpus().length} cores of ${cpus()[0]!.model.trim()}, Node ${process.versions.node}`,
    rows: shown,
    passed: shown.filter(({ gate }) => gate === 'pass').length,
    failed: shown.filter(({ gate }) => gate === 'fail').length,
    outside,
    peer: peerSummary(shown),
    ways: Object.fromEntries(
      [...new Set(shown.map(({ precision }) => precision))].map((way) => [
        way,
        summary(shown.filter(({ precision }) => precision === way)),
      ]),
    ),
  };
  if (save) writeFileSync(kept, `${JSON.stringify(report, null, 2)}\n`);
  return report;
}

const byName = (a: CompressRow, b: CompressRow): number =>
  `${a.dataset} ${a.model} ${a.precision}`.localeCompare(`${b.dataset} ${b.model} ${b.precision}`);

/** The gate looks at sizes from 64 kB on, and so does the mean of sizes. */
const gatedBytes = 65_536;

function summary(rows: readonly CompressRow[]) {
  const mean = (values: readonly number[]): number | null =>
    values.length > 0 ? rounded(geometricMean(values)) : null;
  return {
    passed: rows.filter(({ gate }) => gate === 'pass').length,
    failed: rows.filter(({ gate }) => gate === 'fail').map(({ model, dataset }) => `${model} ${dataset}`),
    sizeRatio: mean(rows.filter(({ fp32Bytes }) => fp32Bytes >= gatedBytes).map(({ sizeRatio }) => sizeRatio)),
    speedUp: mean(rows.map(({ p50Us, fp32P50Us }) => fp32P50Us / p50Us)),
  };
}

/** Median loss of both over the models that both quantized. */
function peerSummary(rows: readonly CompressRow[]) {
  const both = rows.filter(({ peerLoss }) => peerLoss !== undefined);
  if (both.length === 0) return null;
  return {
    models: both.length,
    loss: rounded(percentile(both.map(({ loss }) => loss), 0.5)), // prettier-ignore
    peerLoss: rounded(percentile(both.map(({ peerLoss }) => peerLoss!), 0.5)), // prettier-ignore
    refused: rows.flatMap(({ model, peerFault }) => (peerFault === undefined ? [] : [`${model}: ${peerFault}`])),
  };
}

async function measure(
  model: Model,
  dataset: string,
  data: Dataset,
  to: readonly Compression[],
  peers: boolean,
): Promise<CompressRow[]> {
  const engine = createOrtEngine();
  const together = model.capabilities.series === 'many';
  const split = data.read(together);
  const trained = await train(model, dataset, data, split);
  const { spec } = trained;
  const graph = shippedGraph(trained);
  const [calibration, validation, test] = [
    windowArrays(split.train, spec, windows.calibration),
    windowArrays(split.validation, spec, windows.validation),
    windowArrays(split.test, spec, windows.test),
  ];
  const error = (of: Attempt['graph']) => forecastError(engine, of, test, spec.loss.point);
  const fp32Test = await error(graph);
  const tried: { to: Compression; seconds: number; attempt: Attempt; testLoss: number }[] = [];
  for (const way of to) {
    const began = performance.now();
    const attempt = await tryQuantize({
      graph,
      to: way,
      target,
      engine,
      calibration,
      validation,
      family: model.capabilities.quantization,
      point: spec.loss.point,
    });
    const seconds = (performance.now() - began) / 1000;
    tried.push({ to: way, seconds, attempt, testLoss: lossOf(await error(attempt.graph), fp32Test).median });
  }
  const fp32Model = tried[0]!.attempt.fp32Model;
  const errorOfFile = (file: Uint8Array) =>
    forecastError({ ...engine, load: () => engine.load(file) }, graph, validation, spec.loss.point);
  const peer = peers && to.includes('int8') ? await peerFile(fp32Model, graph, calibration, errorOfFile) : undefined;
  const peerModel = typeof peer === 'object' ? peer.file : undefined;
  const peerLoss = typeof peer === 'object' ? lossOf(peer.error, await errorOfFile(fp32Model)).median : undefined;
  const files = [fp32Model, ...tried.map(({ attempt }) => attempt.model), ...(peerModel ? [peerModel] : [])];
  const timing = { engine, graph, windows: validation, budgetMs: 1500 };
  const single = await measureLatency(files, timing);
  const batched = await measureLatency(files, { ...timing, batch: 32, runs: 50, warmUps: 3 });
  const peaks = skeleton.includes(model.id) && dataset === 'etth1' ? files.map((file) => rounded(peakOf(file, graph, folder))) : []; // prettier-ignore
  return tried.map(({ to: way, seconds, attempt: { report, faults }, testLoss }, i): CompressRow => {
    const counts = new Map<string, number>();
    for (const { precision } of report.layers) counts.set(precision, (counts.get(precision) ?? 0) + 1);
    return {
      model: model.id,
      dataset,
      precision: way,
      mae: rounded(report.mae),
      fp32Mae: rounded(report.fp32Mae),
      loss: rounded(report.maeLoss),
      lossP90: rounded(report.maeLossP90),
      testLoss: rounded(testLoss),
      bytes: report.sizeBytes,
      fp32Bytes: report.fp32Bytes,
      sizeRatio: rounded(report.sizeRatio),
      p50Us: rounded(single[i + 1]!.p50Us),
      fp32P50Us: rounded(single[0]!.p50Us),
      batchUs: rounded(batched[i + 1]!.p50Us),
      fp32BatchUs: rounded(batched[0]!.p50Us),
      peakMb: peaks[i + 1] ?? null,
      fp32PeakMb: peaks[0] ?? null,
      layers: [...counts].map(([precision, count]) => `${precision} ${count}`).join(', '),
      seconds: rounded(seconds),
      ...(way === 'int8' &&
        peerModel &&
        peerLoss !== undefined && {
          peerLoss: rounded(peerLoss),
          peerBytes: peerModel.length,
          peerP50Us: rounded(single.at(-1)!.p50Us),
        }),
      ...(way === 'int8' && typeof peer === 'string' && { peerFault: peer }),
      gate: faults.length === 0 ? 'pass' : 'fail',
      fault: faults.length > 0 ? faults.join('; ') : null,
    };
  });
}

/** The file and its error, or why there is none: it cannot be made, or not be run. */
async function peerFile(
  fp32: Uint8Array,
  graph: Attempt['graph'],
  windows: WindowArrays,
  errorOf: (file: Uint8Array) => Promise<ForecastError>,
): Promise<{ file: Uint8Array; error: ForecastError } | string> {
  try {
    const file = quantizeByPeer(fp32, graph, windows);
    return { file, error: await errorOf(file) };
  } catch (error) {
    return (error as Error).message;
  }
}

/** Trained once: what is quantized later is the same. Steps are counted by what one takes on the machine of bench/cards.json. */
async function train(
  model: Model,
  dataset: string,
  { horizon, together }: Dataset,
  split: Split,
): Promise<TrainedModel> {
  const at = join(folder, `${dataset}-${model.id}`);
  const many = model.capabilities.series === 'many';
  if (!existsSync(join(at, 'config.json'))) {
    const hyperparameters = { inputLength, horizon, ...(many && { series: together }), ...smaller[model.id] };
    const forecaster = new Forecaster({
      models: [{ name: model.id, model, hyperparameters }],
      train: {
        maxSteps: stepsOf(model.id),
        windowsBatchSize: 32,
        learningRate: 1e-3,
        schedule: 'none',
        scaler: 'standard',
        threads: 2,
      },
    });
    await forecaster.fit(split.train, { inProcess: true });
    rmSync(at, { recursive: true, force: true });
    await forecaster.save(at);
  }
  return (await Forecaster.load(at)).model(model.id);
}

function stepsOf(model: string): number {
  const { rows } = JSON.parse(readFileSync('bench/cards.json', 'utf8')) as {
    rows: { model: string; stepMs: number }[];
  };
  const stepMs = rows.find((row) => row.model === model)?.stepMs ?? 50;
  const [least, most] = stepsRange;
  return Math.min(most, Math.max(least, Math.round(trainMs / stepMs)));
}
