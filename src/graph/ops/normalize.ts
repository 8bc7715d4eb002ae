/** Normalisation of rows: one node forward, and few passes over memory on the way back. */
import { defineOp, type OpCall, type Tensor } from '../ir.js';
import { elements } from '../ndarray.js';
import { ShapeError } from '../../errors.js';
import { sameShape, staticDim, type Shape } from '../shape.js';
import { mul, sub } from './elementwise.js';
import { reshape, swapLast } from './layout.js';
import { matmul, rows } from './linear.js';
import { sum } from './reduce.js';

interface Epsilon {
  /** Added to the variance. */
  readonly eps: number;
}

export interface Normalized {
  /** `[…, columns]` */
  readonly y: Tensor;
  /** `[…, 1]`, as is the inverse of the deviation. */
  readonly mean: Tensor;
  readonly inverse: Tensor;
}

/**
 * Layer normalisation (https://arxiv.org/abs/1607.06450): every row gets mean 0 and variance 1, then a scale and a shift
 * per column. `x […, columns]`, `weight`, `bias [columns]`. Gradients flow through `y` alone.
 */
export const normalizeRows: OpCall<[x: Tensor, weight: Tensor, bias: Tensor, attributes: Epsilon], Normalized> =
  defineOp({
    name: 'normalizeRows',
    inputs: ['x', 'weight', 'bias'],
    outputs: ['y', 'mean', 'inverse'],
    shape: ({ x, weight, bias }) => {
      const columns: Shape = x.slice(-1);
      if (x.length < 2 || !sameShape(weight, columns) || !sameShape(bias, columns)) {
        throw new ShapeError({
          where: 'normalizeRows',
          what: `x [${x}], weight [${weight}] and bias [${bias}] do not fit.`,
          mend: 'Give x at least two axes, and weight and bias one value per column.',
        });
      }
      const row = x.with(-1, 1);
      return { y: x, mean: row, inverse: row };
    },
    grad: ({ x, weight, bias }, { outputs: { mean, inverse }, gradients }) => {
      const dy = gradients.y!;
      const columns = staticDim('normalizeRows', weight.shape, 0);
      const column = (values: Tensor): Tensor => reshape(values, { shape: [columns, 1] });
      const share = mul(column(weight), 1 / columns);
      const centred = sub(x, mean);
      const product = mul(dy, centred); // sums over rows and over columns are products with vectors: cheaper than reductions
      const slope = mul(mul(matmul(product, share), inverse), mul(inverse, inverse)); // […, 1]
      const level = mul(matmul(dy, share), inverse); // […, 1]
      const dx = sub(sub(mul(mul(dy, weight), inverse), mul(centred, slope)), level);
      const dweight = reshape(matmul(swapLast(rows(inverse)), rows(product)), { shape: weight.shape });
      return { x: dx, weight: dweight, bias: reshape(sum(rows(dy), { axes: [0] }), { shape: bias.shape }) };
    },
    onnx: ({ eps }) => ({ type: 'LayerNormalization', attributes: { axis: -1, epsilon: { float: eps } } }),
    run: ({ x, weight, bias }, { eps }) => {
      const columns = weight.data.length;
      const count = elements(x.shape) / columns;
      const y = new Float64Array(x.data.length);
      const means = new Float64Array(count);
      const inverses = new Float64Array(count);
      for (let row = 0; row < count; row++) {
        const values = x.data.subarray(row * columns, (row + 1) * columns);
        const mean = values.reduce((total, value) => total + value, 0) / columns;
        const variance = values.reduce((total, value) => total + (value - mean) ** 2, 0) / columns;
        const inverse = 1 / Math.sqrt(variance + eps);
        means[row] = mean;
        inverses[row] = inverse;
        for (let i = 0; i < columns; i++)
          y[row * columns + i] = (values[i]! - mean) * inverse * weight.data[i]! + bias.data[i]!;
      }
      return [y, means, inverses];
    },
    samples: [
      { shapes: [[2, 3], [3], [3]], with: { eps: 1e-5 } },
      { shapes: [[2, 3, 4], [4], [4]], with: { eps: 1e-3 } },
    ],
  });
