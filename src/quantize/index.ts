/**
 * Makes a trained graph smaller: FP16 storage, or INT8 with scales from calibration windows. What comes out has passed a
 * gate on windows it was not calibrated on, or nothing comes out.
 */
import { NeuroDivergentError } from '../errors.js';
import { foldConstants, fuseBias, mergeEqual, runPasses, simplify, toOnnx, type Graph } from '../graph/index.js';
import { fp16 } from './fp16.js';
import { int8 } from './int8.js';
import type { QuantizeOptions, QuantizeReport, Task } from './task.js';
import { forecastError } from './windows.js';

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

  const { graph, mae, ...found } = to === 'int8' ? await int8(task) : await fp16(task, to);
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
  gate(
    report,
    task.maxLoss,
    fp32Model.length < gatedFromBytes ? Number.POSITIVE_INFINITY : (options.maxSizeRatio ?? limits[to].size),
  );
  return { graph, model, fp32Model, report };
}

function gate(
  { mae, fp32Mae, maeLoss, sizeRatio, keptFp32 }: QuantizeReport,
  maxLoss: number,
  maxSizeRatio: number,
): void {
  const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
  const faults = [
    ...(maeLoss <= maxLoss
      ? []
      : [`the error rises by ${percent(maeLoss)} (${fp32Mae} → ${mae}), the limit is ${percent(maxLoss)}`]),
    ...(sizeRatio <= maxSizeRatio
      ? []
      : [`the file is ${percent(sizeRatio)} of FP32, the limit is ${percent(maxSizeRatio)}`]),
  ];
  if (faults.length === 0) return;
  throw new NeuroDivergentError('ND_QUANTIZE_GATE_FAILED', {
    where: 'quantize',
    what: `On the validation windows ${faults.join(', and ')}${keptFp32.length > 0 ? `, with ${keptFp32.join(', ')} kept in FP32` : ''}.`,
    mend: 'Calibrate on more windows, store in FP16 instead, or raise the limit.',
  });
}
