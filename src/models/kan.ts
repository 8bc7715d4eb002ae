import { z } from 'zod';
import {
  add,
  concat,
  constant,
  greater,
  matmul,
  mul,
  reshape,
  sigmoid,
  slice,
  sub,
  type Scope,
  type Tensor,
} from '../graph/index.js';
import { flat } from './blocks/flat.js';
import { defineModel, task } from './model.js';

const hyperparameters = task
  .extend({
    layers: z.int().min(1).default(1).describe('hidden layers'),
    hidden: z
      .union([z.int().min(1), z.array(z.int().min(1)).min(1)])
      .default(512)
      .describe('width of the hidden layers, one for all or one each'),
    grid: z.int().min(1).default(5).describe('intervals of the range, each with a piece of every spline'),
    order: z.int().min(1).max(10).default(3).describe('order of the splines; 3 is cubic'),
    range: z
      .tuple([z.number(), z.number()])
      .refine(([low, high]) => low < high, 'the first end must be below the second')
      .default([-1, 1])
      .describe('where the splines bend; far outside they are zero'),
    noise: z.number().min(0).default(0.1).describe('size of the splines before training'),
    baseScale: z.number().gt(0).default(1).describe('narrows the start of the smooth part'),
    splineScale: z.number().gt(0).default(1).describe('narrows the start of the factors of the splines'),
  })
  .refine(({ layers, hidden }) => typeof hidden === 'number' || hidden.length === layers, {
    path: ['hidden'],
    message: 'hidden needs one entry per layer',
  });
type Hyperparameters = z.output<typeof hyperparameters>;

/**
 * KAN: between any two nodes lies a function of its own, a spline beside a smooth step, and nodes only add up. Few
 * nodes can say much; on common data it rarely beats an MLP.
 */
export const kan = defineModel({
  id: 'kan',
  title: 'KAN',
  paper: 'https://arxiv.org/abs/2404.19756',
  capabilities: { series: 'one', covariates: ['historic', 'future', 'static'], mode: 'direct', quantization: 'C' },
  search: { grid: [5, 10, 15], order: [2, 3, 4], hidden: [64, 128, 256, 512] },
  hyperparameters,

  build(g, inputs, { horizon, outputs, layers, hidden, ...options }) {
    const { past, historic, future, static: fixed } = inputs;
    const columns = [past, historic, future, fixed].flatMap((x) => (x === undefined ? [] : [flat(x)]));
    const widths = typeof hidden === 'number' ? new Array<number>(layers).fill(hidden) : hidden;
    let state = concat(columns, { axis: 1 }); // [batch, every value of the window]
    for (const [layer, width] of [...widths, horizon * outputs].entries()) {
      state = splineLayer(g.scope(`layer${layer}`), state, width, options); // [batch, width]
    }
    return reshape(state, { shape: [g.batch, horizon, outputs] }); // [batch, horizon, outputs]
  },

  reference: {
    model: 'KAN',
    hyperparameters: {
      layers: 'n_hidden_layers',
      hidden: 'hidden_size',
      grid: 'grid_size',
      order: 'spline_order',
      range: 'grid_range',
      noise: 'scale_noise',
      baseScale: 'scale_base',
      splineScale: 'scale_spline',
    },
    parameter: (path) => {
      const [layer, kind] = path.split('/') as [string, 'base' | 'spline' | 'factor'];
      const { name, transpose } = parameters[kind];
      return { name: `${layer.replace('layer', 'layers.')}.${name}`, transpose };
    },
  },
});

/** There outputs come first. */
const parameters = {
  base: { name: 'base_weight', transpose: [1, 0] },
  spline: { name: 'spline_weight', transpose: [1, 2, 0] },
  factor: { name: 'spline_scaler', transpose: [1, 0] },
};

type SplineOptions = Pick<Hyperparameters, 'grid' | 'order' | 'range' | 'noise' | 'baseScale' | 'splineScale'>;

/** A weighted SiLU and a spline of each input, added up for each output. `[batch, inputs]` → `[batch, outputs]` */
function splineLayer(g: Scope, x: Tensor, outputs: number, options: SplineOptions): Tensor {
  const inputs = x.shape[1] as number;
  const pieces = options.grid + options.order;
  const spread = (scale: number) => ({ kind: 'uniform', bound: Math.sqrt(6 / (1 + 5 * scale ** 2) / inputs) }) as const;
  const base = g.parameter('base', [inputs, outputs], spread(options.baseScale));
  // The reference draws this noise at the knots and fits splines to it; here it is that of the coefficients.
  const noise = { kind: 'uniform', bound: options.noise / (2 * options.grid) } as const;
  const spline = g.parameter('spline', [inputs, pieces, outputs], noise);
  const factor = g.parameter('factor', [inputs, outputs], spread(options.splineScale));

  const smooth = matmul(mul(x, sigmoid(x)), base); // [batch, outputs]
  const scaled = mul(spline, reshape(factor, { shape: [inputs, 1, outputs] })); // [input, piece, output]
  const coefficients = reshape(scaled, { shape: [inputs * pieces, outputs] });
  return add(smooth, matmul(flat(splineBases(x, options)), coefficients));
}

/**
 * How much each piece of a B-spline counts at x, by the recursion of Cox and de Boor over evenly spaced knots that go on for
 * `order` steps beyond both ends. `[batch, inputs]` → `[batch, inputs, grid + order]`
 */
function splineBases(x: Tensor, { grid, order, range: [low, high] }: SplineOptions): Tensor {
  const step = (high - low) / grid;
  const knots = (from: number, count: number): Tensor =>
    constant(
      Float64Array.from({ length: count }, (_, i) => low + (from + i - order) * step),
      [count],
    );
  const part = (of: Tensor, start: number, count: number): Tensor => slice(of, { axis: 2, start, end: start + count });

  const at = reshape(x, { shape: [...x.shape, 1] }); // [batch, inputs, 1]
  let count = grid + 2 * order;
  const below = greater(knots(0, count + 1), at); // 1 where x lies below the knot, [batch, inputs, knot]
  let bases = sub(part(below, 1, count), part(below, 0, count)); // 1 in the interval of x
  for (let k = 1; k <= order; k++) {
    count--;
    const rising = mul(sub(at, knots(0, count)), part(bases, 0, count));
    const falling = mul(sub(knots(k + 1, count), at), part(bases, 1, count));
    bases = mul(add(rising, falling), 1 / (k * step)); // [batch, inputs, count]
  }
  return bases;
}
