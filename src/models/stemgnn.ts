import { z } from 'zod';
import {
  add,
  concat,
  constant,
  div,
  matmul,
  maximum,
  mean,
  mul,
  reshape,
  sigmoid,
  softmax,
  sqrt,
  sub,
  sum,
  swapLast,
  transpose,
  type Scope,
  type Tensor,
} from '../graph/index.js';
import { dropout } from './blocks/dropout.js';
import { linear } from './blocks/linear.js';
import { gruLayer } from './blocks/recurrent-encoder.js';
import { linearParameter } from './blocks/reference.js';
import { forecastOf } from './blocks/series.js';
import { defineModel, task } from './model.js';

const hyperparameters = task.extend({
  stacks: z.literal(2).default(2).describe('blocks; the second explains what the first left'),
  width: z.int().min(1).default(5).describe('how much wider than the window the layers inside a block are'),
  dropout: z.number().min(0).max(0.99).default(0.5).describe('share of the links between series cut in training'),
  slope: z.number().min(0).max(1).default(0.2).describe('slope below zero of the scores of a link'),
});
type Hyperparameters = z.output<typeof hyperparameters>;

/**
 * StemGNN: a recurrent network finds which series are linked; blocks filter the window over that graph and in frequency.
 * For sensor grids. The graph is an average over the windows of a batch, so a forecast depends a little on what is beside it.
 */
export const stemgnn = defineModel({
  id: 'stemgnn',
  title: 'StemGNN',
  paper: 'https://arxiv.org/abs/2103.07719',
  capabilities: { series: 'many', covariates: [], mode: 'direct', quantization: 'C', mixes: true },
  search: { width: [3, 5, 7] },
  hyperparameters,

  build(g, inputs, options) {
    const { inputLength, horizon, outputs } = options;
    const lines = swapLast(inputs.past); // [batch, series, time]
    const filters = chebyshev(laplacian(links(g.scope('links'), inputs.past, options))); // [order, series, series]

    const first = block(g.scope('block0'), lines, filters, options);
    const second = block(
      g.scope('block1'),
      backcast(g.scope('block0'), lines, first.inside, inputLength),
      filters,
      options,
    );
    const both = add(first.forecast, second.forecast); // [batch, series, time]

    const wide = linear(g.scope('head').scope('first'), both, inputLength);
    const forecast = linear(g.scope('head').scope('second'), leaky(wide, 0.01), horizon * outputs); // [batch, series, horizon·outputs]
    return forecastOf(forecast, horizon, (y) => y); // [batch, horizon, outputs·series]
  },

  reference: {
    model: 'StemGNN',
    hyperparameters: { stacks: 'n_stacks', width: 'multi_layer', dropout: 'dropout_rate', slope: 'leaky_rate' },
    parameter: (path) => {
      const kind = path.slice(path.lastIndexOf('/') + 1);
      const [place, part, map, side] = path.slice(0, -kind.length - 1).split('/') as [
        string,
        string?,
        string?,
        string?,
      ];
      if (place === 'head') return linearParameter(`fc.${part === 'first' ? 0 : 2}`, kind);
      if (place === 'links' && part === undefined) return { name: `weight_${kind}` };
      if (place === 'links') {
        const name = `GRU.${kind}_${map === 'input' ? 'ih' : 'hh'}_l0`;
        return kind === 'weight' ? { name, transpose: [1, 0] } : { name };
      }
      const stack = place.replace('block', 'stock_block.');
      if (part === 'mix') return { name: `${stack}.weight` };
      if (side === undefined) return linearParameter(`${stack}.${names[part!]}`, kind);
      const number = 2 * Number(map!.replace('layer', '')) + (part === 'real' ? 0 : 1);
      return linearParameter(`${stack}.GLUs.${number}.linear_${side}`, kind);
    },
  },
});

const names: Record<string, string> = {
  forecast: 'forecast',
  result: 'forecast_result',
  backcast: 'backcast',
  shortcut: 'backcast_short_cut',
};

/** How much each series looks at each other one, on average over the windows: `[series, series]`, rows add up to 1. */
function links(g: Scope, past: Tensor, { series, slope, dropout: probability }: Hyperparameters): Tensor {
  const bySeries = transpose(past, { order: [2, 0, 1] }); // [series, batch, time]: the network steps from series to series
  const states = gruLayer(g.scope('gru'), bySeries, { hidden: series, bias: true }); // [series, batch, series]
  const features = transpose(states, { order: [1, 2, 0] }); // [batch, series, series]
  const bound = { kind: 'uniform', bound: 1.414 * Math.sqrt(6 / (series + 1)) } as const;
  const key = matmul(features, g.parameter('key', [series, 1], bound)); // [batch, series, 1]
  const query = swapLast(matmul(features, g.parameter('query', [series, 1], bound))); // [batch, 1, series]
  const shares = softmax(leaky(add(key, query), slope), { axis: 2 }); // [batch, series, series]
  return mean(dropout(g, shares, probability), { axes: [0] });
}

/** The normalised Laplacian of the links, made symmetric. */
function laplacian(shares: Tensor): Tensor {
  const series = shares.shape[0] as number;
  const identity = constant(diagonal(series), [series, series]);
  const degree = sum(shares, { axes: [1], keep: true }); // [series, 1]
  const symmetric = mul(add(shares, swapLast(shares)), 0.5);
  // Dropout can cut all links of a series; without the bound the slope of the root would be infinite then.
  const scale = div(1, add(sqrt(maximum(degree, tiny)), 1e-7)); // [series, 1]
  return mul(mul(sub(mul(identity, degree), symmetric), scale), swapLast(scale));
}

const tiny = 1e-14;
const orders = 4;

/** Chebyshev polynomials of it, `[order, series, series]`; the first is zero, as in the reference. */
function chebyshev(matrix: Tensor): Tensor {
  const second = mul(matmul(matrix, matrix), 2);
  const third = sub(mul(matmul(matrix, second), 2), matrix);
  const terms = [mul(matrix, 0), matrix, second, third];
  return concat(
    terms.map((term) => reshape(term, { shape: [1, ...term.shape] })),
    { axis: 0 },
  );
}

/** `lines [batch, series, time]` → what is inside a block `[batch, series, width·time]`, and its share of the forecast `[batch, series, time]`. */
function block(g: Scope, lines: Tensor, filters: Tensor, { inputLength, series, width }: Hyperparameters) {
  const inner = width * inputLength;
  // The Fourier transform over the orders is taken of the filters: they are few and small.
  const filtered = (matrix: Float64Array): Tensor => {
    const flat = matmul(constant(matrix, [orders, orders]), reshape(filters, { shape: [orders, series * series] }));
    const spectrum = reshape(flat, { shape: [orders, series, series] });
    const seen = matmul(spectrum, reshape(lines, { shape: [g.batch, 1, series, inputLength] })); // [batch, frequency, series, time]
    return reshape(transpose(seen, { order: [0, 2, 1, 3] }), { shape: [g.batch, series, orders * inputLength] });
  };
  const gated = (part: Scope, x: Tensor): Tensor => {
    let y = x;
    for (let layer = 0; layer < 3; layer++) {
      const scope = part.scope(`layer${layer}`);
      const open = sigmoid(linear(scope.scope('right'), y, orders * inner));
      y = mul(linear(scope.scope('left'), y, orders * inner), open);
    }
    return reshape(y, { shape: [g.batch, series, orders, inner] });
  };
  const real = gated(g.scope('real'), filtered(fourier.real));
  const imaginary = gated(g.scope('imaginary'), filtered(fourier.imaginary));
  const back = add(
    matmul(constant(inverse.real, [orders, orders]), real),
    matmul(constant(inverse.imaginary, [orders, orders]), imaginary),
  ); // [batch, series, order, width·time]

  const bound = { kind: 'normal', deviation: Math.sqrt(2 / (orders * inner * (inner + 1))) } as const;
  const mix = g.scope('mix').parameter('weight', [orders * inner, inner], bound);
  const inside = matmul(reshape(back, { shape: [g.batch, series, orders * inner] }), mix); // [batch, series, width·time]
  const source = sigmoid(linear(g.scope('forecast'), inside, inner));
  return { inside, forecast: linear(g.scope('result'), source, inputLength) };
}

/** What the first block leaves to the second: `[batch, series, time]`. */
const backcast = (g: Scope, lines: Tensor, inside: Tensor, time: number): Tensor =>
  sigmoid(sub(linear(g.scope('backcast'), inside, time), linear(g.scope('shortcut'), lines, time)));

const leaky = (x: Tensor, slope: number): Tensor => maximum(x, mul(x, slope));

const square = (value: (row: number, column: number) => number): Float64Array =>
  Float64Array.from({ length: orders * orders }, (_, i) => value(Math.floor(i / orders), i % orders));
const angle = (row: number, column: number): number => (2 * Math.PI * row * column) / orders;

/** The discrete Fourier transform of real numbers. */
const fourier = {
  real: square((frequency, order) => Math.cos(angle(frequency, order))),
  imaginary: square((frequency, order) => -Math.sin(angle(frequency, order))),
};
/** Its inverse to real numbers, which reads the lower half of the spectrum only. */
const weightOf = (frequency: number): number =>
  frequency > orders / 2 ? 0 : (frequency % (orders / 2) === 0 ? 1 : 2) / orders;
const inverse = {
  real: square((order, frequency) => weightOf(frequency) * Math.cos(angle(order, frequency))),
  imaginary: square((order, frequency) => -weightOf(frequency) * Math.sin(angle(order, frequency))),
};

const diagonal = (length: number): Float64Array =>
  Float64Array.from({ length: length * length }, (_, i) => (i % (length + 1) === 0 ? 1 : 0));
