/**
 * Makes a trained graph smaller: FP16 storage, or INT8 with scales from calibration windows. What comes out has passed a
 * gate on windows it was not calibrated on, or nothing comes out.
 */
import type { Engine } from '../engine/port.js';
import { NeuroDivergentError } from '../errors.js';
import { constantValues, foldConstants, fuseBias, mergeEqual, runPasses, simplify, toOnnx, type Graph } from '../graph/index.js';
import { quantizeLinear } from '../graph/index.js';
import { storeFp16 } from './fp16.js';
import { integerWeight, observe, rewrite, type Histograms, type Precisions } from './int8.js';
import { findLayers, type Layer, type Precision } from './layers.js';
import { activationScale, methods, type Method } from './range.js';
import { asProduct, saturatedPairs } from './saturation.js';
import { forecastError, runWindows, windowCount, withSession, type WindowArrays } from './windows.js';

export { measureLatency, type Latency, type LatencyOptions } from './latency.js';
export type { Precision } from './layers.js';
export type { Method } from './range.js';
export type { WindowArrays } from './windows.js';

export interface QuantizeOptions {
  /** An inference graph with bound parameters and the output `forecast [batch, horizon, columns]`. */
  readonly graph: Graph;
  readonly to: 'int8' | 'fp16';
  readonly engine: Engine;
  /** From the training part alone; 256 to 1024 windows. FP16 needs none. */
  readonly calibration?: WindowArrays;
  /** What methods and layers are chosen by, and what the gate looks at. */
  readonly validation: WindowArrays;
  /** The model's class, `capabilities.quantization`: C keeps all activations in FP32. Default A. */
  readonly family?: 'A' | 'B' | 'C';
  /** Largest relative rise of the error: 0.01 for INT8, 0.001 for FP16. */
  readonly maxLoss?: number;
  /** Largest size of the file, as a share of FP32; default 0.35 for INT8, 0.55 for FP16. Only looked at from 64 kB FP32 on. */
  readonly maxSizeRatio?: number;
  /** Which column of the forecast is the point; default 0. */
  readonly point?: number;
  /** Written into the model, see `toOnnx`. */
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface QuantizeReport {
  readonly sizeBytes: number;
  readonly fp32Bytes: number;
  readonly sizeRatio: number;
  /** Mean absolute errors on the validation windows, in sensor units; `maeLoss` is the relative rise. */
  readonly mae: number;
  readonly fp32Mae: number;
  readonly maeLoss: number;
  /** How activation ranges were chosen; none when no activation is quantized. */
  readonly method: Method | 'none';
  readonly layers: readonly { readonly name: string; readonly precision: Precision | 'float16'; readonly signalToNoiseDb: number }[];
  readonly keptFp32: readonly string[];
  /** Pair sums beyond 16 bits on calibration windows, see saturation.ts; always 0 in what passes. */
  readonly saturations: number;
}

export interface Quantized {
  readonly graph: Graph;
  /** ONNX bytes, and those of the FP32 graph it was compared with. */
  readonly model: Uint8Array;
  readonly fp32Model: Uint8Array;
  readonly report: QuantizeReport;
}

const limits = { int8: { loss: 0.01, size: 0.35 }, fp16: { loss: 0.001, size: 0.55 } };
/** Smaller files consist of what does not shrink. */
const gatedFromBytes = 65_536;

/**
 * Throws `ND_QUANTIZE_GATE_FAILED` when the result is too wrong or too large, `ND_QUANTIZE_NO_CALIBRATION` without
 * windows to calibrate on, `ND_QUANTIZE_OP_UNSUPPORTED` when there is nothing to quantize, `ND_QUANTIZE_RANGE_COLLAPSED`
 * and `ND_QUANTIZE_SCALE_NOT_FINITE` when an activation cannot be scaled.
 */
export async function quantize(options: QuantizeOptions): Promise<Quantized> {
  const { to, engine, validation, metadata = {}, point = 0 } = options;
  const float = runPasses(options.graph, [simplify, foldConstants, mergeEqual, fuseBias]);
  const fp32Model = toOnnx(float, { metadata });
  const fp32Mae = await forecastError(engine, float, validation, point);
  const lossOf = (mae: number): number => (mae - fp32Mae) / Math.max(fp32Mae, Number.MIN_VALUE);
  const task: Task = { ...options, float, point, maxLoss: options.maxLoss ?? limits[to].loss, fp32Mae, lossOf };

  const { graph, mae, ...found } = to === 'fp16' ? await fp16(task) : await int8(task);
  const model = toOnnx(graph, { metadata });
  const report: QuantizeReport = {
    sizeBytes: model.length,
    fp32Bytes: fp32Model.length,
    sizeRatio: model.length / fp32Model.length,
    mae,
    fp32Mae,
    maeLoss: lossOf(mae),
    ...found,
  };
  gate(report, task.maxLoss, fp32Model.length < gatedFromBytes ? Number.POSITIVE_INFINITY : (options.maxSizeRatio ?? limits[to].size));
  return { graph, model, fp32Model, report };
}

interface Task extends QuantizeOptions {
  readonly float: Graph;
  readonly point: number;
  readonly maxLoss: number;
  readonly fp32Mae: number;
  readonly lossOf: (mae: number) => number;
}

type Found = Pick<QuantizeReport, 'mae' | 'method' | 'layers' | 'keptFp32' | 'saturations'> & { readonly graph: Graph };

async function fp16(task: Task): Promise<Found> {
  const graph = storeFp16(task.float);
  const mae = await forecastError(task.engine, graph, task.validation, task.point);
  const layers = findLayers(task.float, { activations: false });
  const noise = await signalToNoise(task, layers, storeFp16, task.validation);
  return {
    graph,
    mae,
    method: 'none',
    layers: layers.map(({ name }, i) => ({ name, precision: 'float16', signalToNoiseDb: noise[i]! })),
    keptFp32: [],
    saturations: 0,
  };
}

async function int8(task: Task): Promise<Found> {
  const { engine, float, validation, point, maxLoss, lossOf } = task;
  const calibration = calibrationOf(task);
  const layers = findLayers(float, { activations: task.family !== 'C' });
  if (layers.length === 0) {
    throw new NeuroDivergentError('ND_QUANTIZE_OP_UNSUPPORTED', {
      where: 'quantize',
      what: 'The graph has no product with 1024 known weights or more, so INT8 would save nothing.',
      mend: 'Bind the parameters first; ship a model this small in FP32 or FP16.',
    });
  }
  const histograms = await observe(engine, float, layers, calibration);
  const errorOf = (precisions: Precisions, method: Method): Promise<number> =>
    forecastError(engine, rewrite(float, precisions, histograms, method), validation, point);

  let precisions: Precisions = new Map(layers.map((layer) => [layer, layer.precisions[0]!]));
  let method: Method = 'minmax';
  let mae = Number.POSITIVE_INFINITY;
  for (const candidate of histograms.size === 0 ? [method] : methods) {
    const error = await errorOf(precisions, candidate);
    if (error < mae) [method, mae] = [candidate, error];
  }

  if (lossOf(mae) > maxLoss) {
    // The layers that cost the most error for the bytes they save go first, one step down at a time.
    const cost = new Map<Layer, number>();
    for (const layer of layers) {
      const alone = await errorOf(new Map([[layer, layer.precisions[0]!]]), method);
      cost.set(layer, (alone - task.fp32Mae) / constantValues(layer.weight)!.length);
    }
    const order = [...layers].sort((a, b) => cost.get(b)! - cost.get(a)!);
    for (const next of ['int8-weights', 'float32'] as const) {
      for (const layer of order) {
        if (lossOf(mae) <= maxLoss || precisions.get(layer) === next) continue;
        precisions = new Map(precisions).set(layer, next);
        mae = await errorOf(precisions, method);
      }
    }
  }

  const saturations = await countSaturations(task, calibration, precisions, histograms, method);
  const noise = await signalToNoise(task, layers, (graph) => rewrite(graph, precisions, histograms, method), calibration);
  return {
    graph: rewrite(float, precisions, histograms, method),
    mae,
    method: [...precisions.values()].includes('int8') ? method : 'none',
    layers: layers.map((layer, i) => ({ name: layer.name, precision: precisions.get(layer)!, signalToNoiseDb: noise[i]! })),
    keptFp32: layers.filter((layer) => precisions.get(layer) === 'float32').map(({ name }) => name),
    saturations,
  };
}

function calibrationOf({ calibration, float }: Task): WindowArrays {
  if (calibration !== undefined && windowCount(float, calibration) > 0) return calibration;
  throw new NeuroDivergentError('ND_QUANTIZE_NO_CALIBRATION', {
    where: 'quantize',
    what: 'There are no windows to calibrate on.',
    mend: 'Pass 256 to 1024 windows from the training part.',
  });
}

/** The first windows: enough to look inside a network. */
const fewWindows = (graph: Graph, windows: WindowArrays, count: number): WindowArrays => {
  const total = windowCount(graph, windows);
  const entries = Object.entries(windows).map(([name, data]) => [name, data?.subarray(0, (data.length / total) * Math.min(count, total))]);
  return Object.fromEntries(entries) as unknown as WindowArrays;
};

/** How much stronger each layer's output is than the error in it, in decibel, everything before it being quantized too. */
async function signalToNoise({ engine, float }: Task, layers: readonly Layer[], change: (graph: Graph) => Graph, windows: WindowArrays): Promise<number[]> {
  const outputs = Object.fromEntries(layers.map(({ nodes: [node] }, i) => [`layer${i}`, node.outputs[0]!]));
  const watching = { ...float, outputs: { forecast: float.outputs.forecast!, ...outputs } };
  const few = fewWindows(float, windows, 64);
  const values = async (graph: Graph): Promise<number[][]> => {
    const collected = layers.map((): number[] => []);
    await withSession(engine, graph, (session) =>
      runWindows(session, graph, few, (found) => {
        for (const [i, list] of collected.entries()) for (const value of found[`layer${i}`]!.data) list.push(value);
      }),
    );
    return collected;
  };
  const [expected, actual] = [await values(watching), await values(change(watching))];
  return expected.map((signal, i) => {
    let power = 0;
    let noise = 0;
    for (const [j, value] of signal.entries()) {
      power += value * value;
      noise += (value - actual[i]![j]!) ** 2;
    }
    return 10 * Math.log10(power / noise);
  });
}

/** Counts what x86 without VNNI would clip, on a few calibration windows. Throws `ND_QUANTIZE_SATURATION` when anything is. */
async function countSaturations(
  { engine, float }: Task,
  calibration: WindowArrays,
  precisions: Precisions,
  histograms: Histograms,
  method: Method,
): Promise<number> {
  const layers = [...precisions].flatMap(([layer, precision]) => (precision === 'int8' ? [layer] : []));
  if (layers.length === 0) return 0;
  const watching = { ...float, outputs: Object.fromEntries(layers.map(({ nodes: [node] }, i) => [`input${i}`, node.inputs[0]!])) };
  const few = fewWindows(float, calibration, 16);
  let count = 0;
  await withSession(engine, watching, (session) =>
    runWindows(session, watching, few, (found) => {
      for (const [i, layer] of layers.entries()) {
        const [node] = layer.nodes;
        const scale = activationScale(histograms.get(node.inputs[0]!)!, method);
        const { data, dims } = found[`input${i}`]!;
        const x = quantizeLinear.op.run({ x: { data: Float64Array.from(data), shape: dims } }, scale, [dims], []) as Float64Array;
        const product = asProduct(node, Uint8Array.from(x), integerWeight(layer, scale).values);
        count += saturatedPairs(product.x, product.w, product.inner);
      }
    }),
  );
  if (count === 0) return 0;
  throw new NeuroDivergentError('ND_QUANTIZE_SATURATION', {
    where: 'quantize',
    what: `${count} sums of two products exceed 16 bits on the calibration windows; some processors would clip them silently.`,
    mend: 'Keep weights within 7 bits.',
  });
}

function gate({ mae, fp32Mae, maeLoss, sizeRatio, keptFp32 }: QuantizeReport, maxLoss: number, maxSizeRatio: number): void {
  const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
  const faults = [
    ...(maeLoss <= maxLoss ? [] : [`the error rises by ${percent(maeLoss)} (${fp32Mae} → ${mae}), the limit is ${percent(maxLoss)}`]),
    ...(sizeRatio <= maxSizeRatio ? [] : [`the file is ${percent(sizeRatio)} of FP32, the limit is ${percent(maxSizeRatio)}`]),
  ];
  if (faults.length === 0) return;
  throw new NeuroDivergentError('ND_QUANTIZE_GATE_FAILED', {
    where: 'quantize',
    what: `On the validation windows ${faults.join(', and ')}${keptFp32.length > 0 ? `, with ${keptFp32.join(', ')} kept in FP32` : ''}.`,
    mend: 'Calibrate on more windows, store in FP16 instead, or raise the limit.',
  });
}
