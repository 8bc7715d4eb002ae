/** Reversible instance normalisation (https://openreview.net/forum?id=cGDAkQo1C0p): each window gets its own scale, and loses it at the end. */
import { add, div, mean, mul, slice, sqrt, square, sub, type Scope, type Tensor } from '../../graph/index.js';

const epsilon = 1e-5;

interface RevInOptions {
  /** A learned scale and shift after normalising. */
  readonly affine?: boolean;
  /** Centre on the last value, not on the mean. */
  readonly subtractLast?: boolean;
}

/** `x [batch, time]` or `[batch, time, series]` normalised over time, and the way back for anything that has one row per window. */
export function revIn(g: Scope, x: Tensor, { affine = false, subtractLast = false }: RevInOptions = {}) {
  const [, steps, series = 1] = x.shape as readonly [number, number, number?];
  const average = mean(x, { axes: [1], keep: true }); // [batch, 1]
  const centre = subtractLast ? slice(x, { axis: 1, start: steps - 1, end: steps }) : average; // [batch, 1]
  const deviation = sqrt(add(mean(square(sub(x, average)), { axes: [1], keep: true }), epsilon)); // [batch, 1]
  const normalized = div(sub(x, centre), deviation); // [batch, time]
  const restore = (y: Tensor): Tensor => add(mul(y, deviation), centre);
  if (!affine) return { normalized, restore };

  const weight = g.parameter('weight', [series], { kind: 'constant', value: 1 });
  const bias = g.parameter('bias', [series], { kind: 'constant', value: 0 });
  return {
    normalized: add(mul(normalized, weight), bias),
    // ε² as in the reference: it keeps the division defined should the weight reach zero.
    restore: (y: Tensor): Tensor => restore(div(sub(y, bias), add(weight, epsilon * epsilon))),
  };
}
