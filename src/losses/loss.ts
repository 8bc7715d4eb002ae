/** What a loss is to the rest of the code: how many numbers it wants per step, what they cost, and what they mean. */
import type { Scope, Tensor } from '../graph/index.js';

/** A window's shift and scale `[batch, 1, series]`, and the scaler's inverse. Distributions are fitted in sensor units. */
export interface WindowUnits {
  readonly shift: Tensor;
  readonly scale: Tensor;
  /** Sensor units to scaled units, `[batch, any, series]`. */
  readonly apply: (x: Tensor) => Tensor;
  /** Scaled units to sensor units. */
  readonly restore: (forecast: Tensor) => Tensor;
}

/** What a loss is worked out from. Shapes: the forecast `[batch, horizon, series·outputs]`, the others `[batch, horizon, series]`. */
export interface LossInputs {
  /** The model's raw output, in scaled units. */
  readonly forecast: Tensor;
  /** The truth in scaled units. */
  readonly target: Tensor;
  /** 1 where the truth is known, else 0. */
  readonly mask: Tensor;
  /** The truth in sensor units. */
  readonly rawTarget: Tensor;
  /** The window before, in scaled units, `[batch, time, series]`. */
  readonly past: Tensor;
  /** Another forecast to be measured against, in scaled units. */
  readonly benchmark?: Tensor;
  /** The quantile levels to ask for, where a loss would draw them. */
  readonly levels?: Tensor;
  /** What a teacher forecasts, in scaled units, `[batch, columns·horizon, series]`, column by column. */
  readonly teacher?: Tensor;
  readonly units: WindowUnits;
}

export interface Loss {
  /** As in reports and files: `mae`, `mq`, `normal`. */
  readonly name: string;
  /** Numbers the model gives per step and series. */
  readonly outputs: number;
  /** Quantile levels of the decoded columns, when they are quantiles; [] for a single point. */
  readonly quantiles: readonly number[];
  /** Which decoded column is the point forecast. */
  readonly point: number;
  /** A recurrent model reads its point forecast next; of quantiles the mean, as the reference does. */
  readonly fedBack?: 'mean';
  /** The same loss with other quantiles decoded, where they have a closed form: samples are drawn so. */
  readonly atQuantiles?: (quantiles: readonly number[]) => Loss;
  /** A scalar. `g` is where a loss with parameters of its own declares them. */
  readonly loss: (g: Scope, inputs: LossInputs) => Tensor;
  /** The forecast in sensor units, `[batch, horizon, series·columns]`, series by series: what an exported graph gives. */
  readonly decode: (g: Scope, forecast: Tensor, units: WindowUnits) => Tensor;
}
