/** All values of a window in one row. */
import { reshape, type Tensor } from '../../graph/index.js';

/** `[batch, …]` → `[batch, everything else]`, last axis fastest. */
export function flat(x: Tensor): Tensor {
  const [batch, ...rest] = x.shape;
  return reshape(x, { shape: [batch!, (rest as number[]).reduce((width, dim) => width * dim, 1)] });
}
