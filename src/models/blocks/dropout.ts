/** Dropout (https://jmlr.org/papers/v15/srivastava14a.html): zeroes elements at random in training, scales the others up. */
import { mul, type Scope, type Tensor } from '../../graph/index.js';

/** Each element is zero with this probability. Draws nothing outside training, or when it would drop nothing. */
export function dropout(g: Scope, x: Tensor, probability: number): Tensor {
  if (!g.training || probability === 0) return x;
  return mul(x, g.keep('keep', x.shape, 1 - probability));
}
