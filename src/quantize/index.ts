/**
 * Makes a trained graph smaller: FP16 storage, or INT8 with scales from calibration windows. What comes out has passed a
 * gate on windows it was not calibrated on, or nothing comes out.
 */
import { NeuroDivergentError } from '../errors.js';
import { foldConstants, fuseBias, mergeEqual, runPasses, simplify, toOnnx, type Graph } from '../graph/index.js';
import { forecastError, lossOf, tail } from './error.js';
import { fp16 } from './fp16.js';
import { search, type Ladder } from './search.js';
import { targets } from './targets.js';
import type { Compression, QuantizeOptions, QuantizeReport, Task } from './task.js';

export { measureLatency, type Latency } from './latency.js';
export { targets, type Target, type TargetName } from './targets.js';
export type { Compression, QuantizeOptions, QuantizeReport } from './task.js';
export { quantizationAware } from './aware.js';
export type { WindowArrays } from './windows.js';

export interface Quantized {
  readonly graph: Graph;
  /** ONNX bytes, and those of the FP32 graph it was compared with. */
  readonly model: Uint8Array;
  readonly fp32Model: Uint8Array;
  readonly report: QuantizeReport;
}

const half = { loss: 0.001, size: 0.55 };
const few = { loss: 0.01, size: 0.35 };
const limits: Record<Compression, typeof few> = {
  int8: few,
  'int8-dynamic': few,
  w8: few,
  w4: few,
  auto: few,
  fp16: half,
  'fp16-compute': half,
};
const [ranges, runs, eight, four] = (['int8', 'int8-dynamic', 'int8-weights', 'int4-weights'] as const).map(
  (first): Ladder => [first, ...(['int8-weights', 'float16'] as const).filter((step) => step !== first)],
) as [Ladder, Ladder, Ladder, Ladder];
/** What a layer becomes, and what it steps back to when that loses too much: the first ladder that begins with what it can be. */
const ladders: Partial<Record<Compression, readonly Ladder[]>> = {
  int8: [ranges, runs, eight],
  'int8-dynamic': [runs, eight],
  w8: [eight],
  w4: [four],
  auto: [ranges, runs, four],
};
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
  const task: Task = {
    ...options,
    target: options.target ?? targets.any,
    float,
    point,
    maxLoss,
    lossOf: (error, beside = fp32) => lossOf(error, beside).gated,
  };

  const choice = ladders[to];
  const { graph, error, ...found } = choice
    ? await search(task, choice)
    : await fp16(task, to as 'fp16' | 'fp16-compute');
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

/** Layers that are named as those to blame. */
const blamed = 3;

function lossFault({ mae, fp32Mae, maeLoss, maeLossP90, keptFp32, layers }: QuantizeReport, maxLoss: number): string {
  const kept = keptFp32.length > 0 ? ` with ${keptFp32.join(', ')} kept in FP32` : '';
  const worst = layers
    .flatMap(({ name, lossAlone = 0 }) => (lossAlone > 0 ? [{ name, lossAlone }] : []))
    .sort((a, b) => b.lossAlone - a.lossAlone)
    .slice(0, blamed)
    .map(({ name, lossAlone }) => `${name} by ${percent(lossAlone)}`);
  const blame = worst.length > 0 ? `; alone, in few bits, ${worst.join(', ')}` : '';
  return (
    `the error rises by ${percent(maeLoss)} in the median over the series and by ${percent(maeLossP90)} in the 90th ` +
    `percentile (${fp32Mae} → ${mae} over all)${kept}, where ${percent(maxLoss)} and ${percent(tail * maxLoss)} are allowed${blame}`
  );
}
