/** Dropout (https://jmlr.org/papers/v15/srivastava14a.html): zeroes elements at random in training, scales the others up. */
import { greater, mul, type Scope, type Tensor } from '../../graph/index.js';

/** Each element is zero with this probability. Draws nothing outside training, or when it would drop nothing. */
export function dropout(g: Scope, x: Tensor, probability: number): Tensor {
  if (!g.training || probability === 0) return x;
  const kept = greater(g.uniform('keep', x.shape), probability);
  return mul(x, mul(kept, 1 / (1 - probability)));
}
