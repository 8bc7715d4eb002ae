/** What quantizing is asked for, and what it answers. */
import type { Engine } from '../engine/port.js';
import type { Graph } from '../graph/index.js';
import type { ForecastError } from './error.js';
import type { Precision } from './layers.js';
import type { Method } from './range.js';
import type { Target } from './targets.js';
import type { WindowArrays } from './windows.js';

/**
 * `fp16`, `w8` and `w4` are stored so and computed in FP32; `fp16-compute` is computed in FP16, which wants a processor with
 * units for it; `int8` multiplies in integers where the target gains by it, with ranges from calibration, `int8-dynamic`
 * with those of each run; `auto` mixes what the target has to the smallest file that is good enough.
 */
export const compressions = ['int8', 'int8-dynamic', 'w8', 'w4', 'auto', 'fp16', 'fp16-compute'] as const;
export type Compression = (typeof compressions)[number];

export interface QuantizeOptions {
  /** An inference graph with bound parameters and the output `forecast [batch, horizon, series · columns]`. */
  readonly graph: Graph;
  readonly to: Compression;
  readonly engine: Engine;
  /** What it is for; any processor and any runtime by default. */
  readonly target?: Target;
  /** From the training part alone; 256 to 1024 windows. Only ranges of activations need them. */
  readonly calibration?: WindowArrays;
  /** What methods and layers are chosen by, and what the gate looks at. */
  readonly validation: WindowArrays;
  /** The model's class, `capabilities.quantization`: C keeps all activations in FP32. Default A. */
  readonly family?: 'A' | 'B' | 'C';
  /** Largest relative rise of the error, as the median over the series, and a third of what the 90th percentile may be: 0.001 for FP16, 0.01 for all else. */
  readonly maxLoss?: number;
  /** Largest size of the file, as a share of FP32; default 0.55 for FP16, 0.35 for all else. Only looked at from 64 kB FP32 on. */
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
  /** Mean absolute errors on the validation windows, in sensor units. */
  readonly mae: number;
  readonly fp32Mae: number;
  /** Relative rise of the error: the median over the series, and the 90th percentile. */
  readonly maeLoss: number;
  readonly maeLossP90: number;
  /** How activation ranges were chosen; none when no activation is quantized. */
  readonly method: Method | 'none';
  readonly layers: readonly {
    readonly name: string;
    readonly precision: Precision;
    readonly signalToNoiseDb: number;
    /** Rise of the error when this layer alone has few bits; found when all together lose too much. */
    readonly lossAlone?: number;
  }[];
  readonly keptFp32: readonly string[];
  /** Output channels in which sums of two products can exceed 16 bits, see saturation.ts; always 0 in what passes. */
  readonly saturations: number;
}

/** The options with what every way of quantizing starts from. */
export interface Task extends QuantizeOptions {
  /** The graph after the passes that come first. */
  readonly float: Graph;
  readonly point: number;
  readonly maxLoss: number;
  readonly target: Target;
  /** The relative rise of the error, as it is compared with `maxLoss`; beside FP32 on the validation windows when `fp32` is left out. */
  readonly lossOf: (error: ForecastError, fp32?: ForecastError) => number;
}

/** What a way of quantizing found. */
export type Found = Pick<QuantizeReport, 'method' | 'layers' | 'keptFp32' | 'saturations'> & {
  readonly graph: Graph;
  readonly error: ForecastError;
};
