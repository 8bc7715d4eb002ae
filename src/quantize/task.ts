/** What quantizing is asked for, and what it answers. */
import type { Engine } from '../engine/port.js';
import type { Graph } from '../graph/index.js';
import type { ForecastError } from './error.js';
import type { Precision } from './layers.js';
import type { Method } from './range.js';
import type { WindowArrays } from './windows.js';

/** `fp16` is stored so and computed in FP32; `fp16-compute` is computed so too, which wants a processor with units for it. */
export type Compression = 'int8' | 'fp16' | 'fp16-compute';

export interface QuantizeOptions {
  /** An inference graph with bound parameters and the output `forecast [batch, horizon, series · columns]`. */
  readonly graph: Graph;
  readonly to: Compression;
  readonly engine: Engine;
  /** From the training part alone; 256 to 1024 windows. FP16 needs none. */
  readonly calibration?: WindowArrays;
  /** What methods and layers are chosen by, and what the gate looks at. */
  readonly validation: WindowArrays;
  /** The model's class, `capabilities.quantization`: C keeps all activations in FP32. Default A. */
  readonly family?: 'A' | 'B' | 'C';
  /** Largest relative rise of the error, as the median over the series, and a third of what the 90th percentile may be: 0.01 for INT8, 0.001 for FP16. */
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
    readonly precision: Precision | 'float16';
    readonly signalToNoiseDb: number;
  }[];
  readonly keptFp32: readonly string[];
  /** Pair sums beyond 16 bits on calibration windows, see saturation.ts; always 0 in what passes. */
  readonly saturations: number;
}

/** The options with what every way of quantizing starts from. */
export interface Task extends QuantizeOptions {
  /** The graph after the passes that come first. */
  readonly float: Graph;
  readonly point: number;
  readonly maxLoss: number;
  /** The relative rise of the error, as it is compared with `maxLoss`. */
  readonly lossOf: (error: ForecastError) => number;
}

/** What a way of quantizing found. */
export type Found = Pick<QuantizeReport, 'method' | 'layers' | 'keptFp32' | 'saturations'> & {
  readonly graph: Graph;
  readonly error: ForecastError;
};
