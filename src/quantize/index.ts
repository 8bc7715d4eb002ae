/**
 * Makes a trained graph smaller: FP16 storage, or INT8 with scales from calibration windows. What comes out has passed a
 * gate on windows it was not calibrated on, or nothing comes out.
 */
import { NeuroDivergentError } from '../errors.js';
import { foldConstants, fuseBias, mergeEqual, runPasses, simplify, toOnnx, type Graph } from '../graph/index.js';
import { forecastError, lossOf, tail } from './error.js';
import { fp16 } from './fp16.js';
import { int8 } from './int8.js';
import type { QuantizeOptions, QuantizeReport, Task } from './task.js';

export { measureLatency, type Latency } from './latency.js';
export type { Compression, QuantizeOptions, QuantizeReport } from './task.js';
export type { WindowArrays } from './windows.js';

export interface Quantized {
  readonly graph: Graph;
  /** ONNX bytes, and those of the FP32 graph it was compared with. */
  readonly model: Uint8Array;
  readonly fp32Model: Uint8Array;
  readonly report: QuantizeReport;
}

const half = { loss: 0.001, size: 0.55 };
const limits = { int8: { loss: 0.01, size: 0.35 }, fp16: half, 'fp16-compute': half };
/** Smaller files consist of what does not shrink. */
const gatedFromBytes = 65_536;

/** What was found, good enough or not. */
export interface Attempt extends Quantized {
  /** What keeps it from passing the gate; none when it does. */
  readonly faults: readonly string[];
}

/**
 * Throws `ND_QUANTIZE_GATE_FAILED` when the result is too wrong or too large, and what `tryQuantize` throws.
 */
export async function quantize(options: QuantizeOptions): Promise<Quantized> {
  const { faults, ...quantized } = await tryQuantize(options);
  refuseFaults(faults);
  return quantized;
}

/** Throws `ND_QUANTIZE_GATE_FAILED` when there are any. */
export function refuseFaults(faults: readonly string[]): void {
  if (faults.length === 0) return;
  throw new NeuroDivergentError('ND_QUANTIZE_GATE_FAILED', {
    where: 'quantize',
    what: `On the validation windows ${faults.join(', and ')}.`,
    mend: 'Calibrate on more windows, store in FP16 instead, or raise the limit.',
  });
}

/**
 * The same without the gate. Throws `ND_QUANTIZE_NO_CALIBRATION` without windows to calibrate on,
 * `ND_QUANTIZE_OP_UNSUPPORTED` when there is nothing to quantize, `ND_QUANTIZE_RANGE_COLLAPSED` and
 * `ND_QUANTIZE_SCALE_NOT_FINITE` when an activation cannot be scaled.
 */
export async function tryQuantize(options: QuantizeOptions): Promise<Attempt> {
  const { to, engine, validation, metadata = {}, point = 0, maxLoss = limits[to].loss } = options;
  const { maxSizeRatio = limits[to].size } = options;
  const float = runPasses(options.graph, [simplify, foldConstants, mergeEqual, fuseBias]);
  const fp32Model = toOnnx(float, { metadata });
  const fp32 = await forecastError(engine, float, validation, point);
  const task: Task = { ...options, float, point, maxLoss, lossOf: (error) => lossOf(error, fp32).gated };

  const { graph, error, ...found } = to === 'int8' ? await int8(task) : await fp16(task, to);
  const model = toOnnx(graph, { metadata });
  const { median, p90, gated } = lossOf(error, fp32);
  const sizeRatio = model.length / fp32Model.length;
  const report: QuantizeReport = {
    sizeBytes: model.length,
    fp32Bytes: fp32Model.length,
    sizeRatio,
    mae: error.mae,
    fp32Mae: fp32.mae,
    maeLoss: median,
    maeLossP90: p90,
    ...found,
  };
  const faults: string[] = [];
  if (!(gated <= maxLoss)) faults.push(lossFault(report, maxLoss));
  if (fp32Model.length >= gatedFromBytes && sizeRatio > maxSizeRatio)
    faults.push(`the file is ${percent(sizeRatio)} of FP32, the limit is ${percent(maxSizeRatio)}`);
  return { graph, model, fp32Model, report, faults };
}

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

function lossFault({ mae, fp32Mae, maeLoss, maeLossP90, keptFp32 }: QuantizeReport, maxLoss: number): string {
  const kept = keptFp32.length > 0 ? ` with ${keptFp32.join(', ')} kept in FP32` : '';
  return (
    `the error rises by ${percent(maeLoss)} in the median over the series and by ${percent(maeLossP90)} in the 90th ` +
    `percentile (${fp32Mae} → ${mae} over all)${kept}, where ${percent(maxLoss)} and ${percent(tail * maxLoss)} are allowed`
  );
}
