/** Losses of a single forecast per step. */
import {
  abs,
  add,
  constant,
  div,
  equal,
  greater,
  matmul,
  maximum,
  mean,
  mul,
  slice,
  sqrt,
  square,
  sub,
  sum,
  swapLast,
  where,
  type Tensor,
} from '../graph/index.js';
import type { Loss, LossInputs } from './loss.js';
import { averageOf, ratio, type HorizonWeight } from './weight.js';

/** One output, which is the forecast itself. */
export const pointLoss = (name: string, loss: (inputs: LossInputs) => Tensor): Loss => ({
  name,
  outputs: 1,
  quantiles: [],
  point: 0,
  loss: (_, inputs) => loss(inputs),
  decode: (_, forecast, { restore }) => restore(forecast),
});

const errorOf = ({ target, forecast }: LossInputs): Tensor => sub(target, forecast);
const squaredError = (inputs: LossInputs): Tensor => square(errorOf(inputs));
const absoluteError = (inputs: LossInputs): Tensor => abs(errorOf(inputs));

/** Mean absolute error. */
export const mae = (options: HorizonWeight = {}): Loss =>
  pointLoss('mae', (inputs) => averageOf(absoluteError(inputs), inputs.mask, options));

/** Mean squared error. */
export const mse = (options: HorizonWeight = {}): Loss =>
  pointLoss('mse', (inputs) => averageOf(squaredError(inputs), inputs.mask, options));

/** Root of the mean squared error. */
export const rmse = (options: HorizonWeight = {}): Loss =>
  pointLoss('rmse', (inputs) => sqrt(averageOf(squaredError(inputs), inputs.mask, options)));

/** Mean of |y - ŷ| / |y|; a step whose truth is 0 counts 0. */
export const mape = (options: HorizonWeight = {}): Loss =>
  pointLoss('mape', (inputs) => averageOf(ratio(absoluteError(inputs), abs(inputs.target)), inputs.mask, options));

/** Twice the mean of |y - ŷ| / (|y| + |ŷ|): from 0 to 2; a step where both are 0 counts 0. */
export const smape = (options: HorizonWeight = {}): Loss =>
  pointLoss('smape', (inputs) => {
    const size = add(abs(inputs.target), abs(inputs.forecast));
    return mul(averageOf(ratio(absoluteError(inputs), size), inputs.mask, options), 2);
  });

interface MaseOptions extends HorizonWeight {
  /** Steps of one season; the scale is the error of the forecast "as one season ago" over the past. */
  readonly seasonality: number;
  /** As the reference library trains: every window is divided by the scale of every window of the batch, and summed. */
  readonly batchPairs?: boolean;
}

/** Mean absolute error in units of the seasonal naive forecast's error over the past (https://doi.org/10.1016/j.ijforecast.2006.03.001). */
export const mase = ({ seasonality, batchPairs = false, ...options }: MaseOptions): Loss =>
  pointLoss('mase', (inputs) => {
    const time = inputs.past.shape[1] as number;
    const later = slice(inputs.past, { axis: 1, start: seasonality, end: time });
    const earlier = slice(inputs.past, { axis: 1, start: 0, end: time - seasonality });
    const scale = mean(abs(sub(later, earlier)), { axes: [1], keep: true }); // [batch, 1, series]
    if (!batchPairs) return averageOf(ratio(absoluteError(inputs), scale), inputs.mask, options);
    const inverse = sum(ratio(constant([1], [1, 1, 1]), scale), { axes: [0], keep: true }); // [1, 1, series]
    return averageOf(mul(absoluteError(inputs), inverse), inputs.mask, options);
  });

/** Squared error relative to that of a benchmark forecast. */
export const relMse = (options: HorizonWeight = {}): Loss =>
  pointLoss('rel-mse', (inputs) => {
    const benchmark = averageOf(square(sub(inputs.target, benchmarkOf(inputs))), inputs.mask, options);
    return div(averageOf(squaredError(inputs), inputs.mask, options), add(benchmark, 1e-5));
  });

/** The benchmark that was given, else the last value of the past. */
function benchmarkOf({ benchmark, past }: LossInputs): Tensor {
  const time = past.shape[1] as number;
  return benchmark ?? slice(past, { axis: 1, start: time - 1, end: time });
}

/** Half the square up to δ, then a straight line; `size` is not negative. */
export const huberOf = (size: Tensor, delta: number): Tensor =>
  where(greater(size, delta), mul(sub(size, delta / 2), delta), mul(square(size), 0.5));

/** Quadratic near 0 and linear beyond δ (https://doi.org/10.1214/aoms/1177703732). */
export const huber = ({ delta = 1, ...options }: HorizonWeight & { readonly delta?: number } = {}): Loss =>
  pointLoss('huber', (inputs) => averageOf(huberOf(absoluteError(inputs), delta), inputs.mask, options));

/**
 * Tukey's biweight: constant beyond c, so that an outlier pulls no more. As in the reference, the error is divided by
 * the deviation over series, and a masked step inside the bound counts 0 in a mean over all steps.
 */
export const tukey = ({
  c = 4.685,
  normalize = true,
}: { readonly c?: number; readonly normalize?: boolean } = {}): Loss =>
  pointLoss('tukey', (inputs) => {
    const { mask, target } = inputs;
    const overSeries = (x: Tensor): Tensor =>
      ratio(sum(mul(x, mask), { axes: [2], keep: true }), sum(mask, { axes: [2], keep: true }));
    const deviation = sqrt(overSeries(square(sub(target, overSeries(target)))));
    const error = normalize ? div(absoluteError(inputs), add(deviation, 1e-2)) : absoluteError(inputs);
    const inner = sub(1, square(div(error, c)));
    const losses = where(greater(error, c), 1, mul(mask, mul(inner, square(inner))));
    return mul(mean(losses, { axes: [0, 1, 2] }), c ** 2 / 6);
  });

/** Share of steps that are met exactly; as in the reference, a masked one counts as missed. It has no slope to learn from. */
export const accuracy = (): Loss =>
  pointLoss('accuracy', ({ target, forecast, mask }) => mean(mul(equal(target, forecast), mask), { axes: [0, 1, 2] }));

/** (1 - α) squared error + α |error| of the spectrum over the horizon (https://arxiv.org/abs/2402.02399). */
export const fredf = ({ alpha = 0.5, ...options }: HorizonWeight & { readonly alpha?: number } = {}): Loss =>
  pointLoss('fredf', (inputs) => {
    const horizon = inputs.target.shape[1] as number;
    const bins = Math.floor(horizon / 2) + 1;
    const wave = (f: (angle: number) => number): Tensor =>
      constant(
        Float64Array.from({ length: horizon * bins }, (_, i) =>
          f((2 * Math.PI * Math.floor(i / bins) * (i % bins)) / horizon),
        ),
        [horizon, bins],
      );
    const error = swapLast(errorOf(inputs)); // [batch, series, horizon]
    const power = add(square(matmul(error, wave(Math.cos))), square(matmul(error, wave(Math.sin)))); // [batch, series, bins]
    const amplitude = sqrt(maximum(power, 1e-30)); // the root has no slope at 0
    const inTime = averageOf(squaredError(inputs), inputs.mask, options);
    return add(mul(inTime, 1 - alpha), mul(mean(amplitude, { axes: [0, 1, 2] }), alpha));
  });
