/** What a loss is to the rest of the code: how many numbers it wants per step, what they cost, and what they mean. */
import type { Scope, Tensor } from '../graph/index.js';

/** What a loss is worked out from. Shapes: forecasts `[batch, horizon, outputs]`, the others `[batch, horizon, 1]`. */
export interface LossInputs {
  /** The model's raw output, in scaled units. */
  readonly forecast: Tensor;
  /** The truth in scaled units. */
  readonly target: Tensor;
  /** 1 where the truth is known, else 0. */
  readonly mask: Tensor;
  /** The truth in sensor units, and the window's shift and scale `[batch, 1, 1]`: distributions are fitted in sensor units. */
  readonly rawTarget: Tensor;
  readonly shift: Tensor;
  readonly scale: Tensor;
}

export interface Loss {
  /** As in reports and files: `mae`, `mq`, `normal`. */
  readonly name: string;
  /** Numbers the model gives per step. */
  readonly outputs: number;
  /** Quantile levels of the decoded columns, when they are quantiles; [] for a single point. */
  readonly quantiles: readonly number[];
  /** Which decoded column is the point forecast. */
  readonly point: number;
  /** A scalar. `g` is where a loss with parameters of its own declares them. */
  readonly loss: (g: Scope, inputs: LossInputs) => Tensor;
  /** The forecast in sensor units, `[batch, horizon, columns]`: what an exported graph gives. */
  readonly decode: (g: Scope, inputs: Pick<LossInputs, 'forecast' | 'shift' | 'scale'>) => Tensor;
}
