import { z } from 'zod';
import {
  abs,
  add,
  addAll,
  concat,
  constant,
  cos,
  div,
  equal,
  exp,
  greater,
  matmul,
  mul,
  neg,
  reshape,
  rows,
  sin,
  slice,
  softmax,
  square,
  sub,
  sum,
  swapLast,
  tanh,
  where,
  type Init,
  type Scope,
  type Tensor,
} from '../graph/index.js';
import { batchNorm } from './blocks/batch-norm.js';
import { dropout } from './blocks/dropout.js';
import { fanIn, linear } from './blocks/linear.js';
import { linearParameter } from './blocks/reference.js';
import { revIn } from './blocks/rev-in.js';
import { forecastOf } from './blocks/series.js';
import { defineModel, task } from './model.js';

const wavelets = {
  'mexican-hat': (x) => mul(mul(sub(square(x), 1), bell(x)), 2 / (Math.sqrt(3) * Math.PI ** 0.25)),
  morlet: (x) => mul(cos(mul(x, 5)), bell(x)),
  dog: (x) => neg(mul(x, bell(x))),
  meyer: (x) => {
    const distance = abs(x);
    return mul(sin(mul(distance, Math.PI)), meyerWindow(distance));
  },
  shannon: (x) => {
    const steps = x.shape.at(-1) as number;
    const centre = equal(x, 0);
    return mul(where(centre, 1, div(sin(x), where(centre, 1, x))), constant(hamming(steps), [steps]));
  },
} satisfies Record<string, (x: Tensor) => Tensor>;
type Wavelet = keyof typeof wavelets;
const waveletNames = Object.keys(wavelets) as [Wavelet, ...Wavelet[]];

/**
 * RMoK: four experts forecast each series, with learned curves of three kinds and a linear map; a gate weighs them.
 * For comparisons: it shows which kind of curve suits the data.
 */
export const rmok = defineModel({
  id: 'rmok',
  title: 'RMoK',
  paper: 'https://arxiv.org/abs/2408.11306',
  capabilities: { series: 'many', covariates: [], mode: 'direct', quantization: 'C' },

  search: { taylor: [3, 4, 5], jacobi: [4, 5, 6], wavelet: waveletNames },
  hyperparameters: task.extend({
    taylor: z.int().min(1).default(3).describe('terms of the Taylor expert'),
    jacobi: z.int().min(0).default(6).describe('degree of the Jacobi expert'),
    wavelet: z.enum(waveletNames).default('mexican-hat').describe('curve of the wavelet expert'),
    dropout: z.number().min(0).max(0.99).default(0.1).describe('share of the window zeroed in training'),
    affine: z.boolean().default(true).describe('a learned scale and shift after normalising'),
  }),

  build(g, inputs, { inputLength, horizon, outputs, series, taylor, jacobi, wavelet, dropout: probability, affine }) {
    const { normalized, restore } = revIn(g.scope('revin'), inputs.past, { affine });
    const x = rows(swapLast(dropout(g, normalized, probability))); // [batch·series, time]
    const width = horizon * outputs;

    const weights = softmax(linear(g.scope('gate'), x, experts), { axis: 1 }); // [batch·series, expert]
    const opinions = [
      add(
        polynomial(g.scope('taylor'), powers(x, taylor), width, { kind: 'normal', deviation: 0.01 }),
        g.scope('taylor').parameter('bias', [width], { kind: 'constant', value: 0 }),
      ),
      polynomial(g.scope('jacobi'), jacobiPolynomials(tanh(x), jacobi), width, {
        kind: 'normal',
        deviation: 1 / (inputLength * (jacobi + 1)),
      }),
      waves(g.scope('wavelet'), x, width, wavelets[wavelet]),
      linear(g.scope('linear'), x, width),
    ]; // [batch·series, horizon·outputs]
    const weighted = opinions.map((y, expert) => mul(y, slice(weights, { axis: 1, start: expert, end: expert + 1 })));

    const perSeries = reshape(addAll(weighted), { shape: [g.batch, series, width] }); // [batch, series, horizon·outputs]
    return forecastOf(perSeries, horizon, restore); // [batch, horizon, outputs·series]
  },

  reference: {
    model: 'RMoK',
    hyperparameters: {
      taylor: 'taylor_order',
      jacobi: 'jacobi_degree',
      wavelet: { name: 'wavelet_function', read: (name) => String(name).replace('_', '-') },
      dropout: 'dropout',
      affine: 'revin_affine',
    },
    parameter: (path) => {
      const kind = path.slice(path.lastIndexOf('/') + 1);
      const place = path.slice(0, -kind.length - 1);
      if (place === 'revin') return { name: `rev.affine_${kind}` };
      if (place === 'gate') return linearParameter('gate', kind);
      if (place === 'linear') return linearParameter('experts.3', kind);
      return parameters[path];
    },
  },
});

const experts = 4;

const parameters: Record<string, { name: string; transpose?: readonly number[] }> = {
  'taylor/weight': { name: 'experts.0.coeffs', transpose: [2, 1, 0] },
  'taylor/bias': { name: 'experts.0.bias' },
  'jacobi/weight': { name: 'experts.1.jacobi_coeffs', transpose: [2, 0, 1] },
  'wavelet/scale': { name: 'experts.2.scale' },
  'wavelet/shift': { name: 'experts.2.translation' },
  'wavelet/weight': { name: 'experts.2.wavelet_weights' },
  'wavelet/norm/weight': { name: 'experts.2.bn.weight' },
  'wavelet/norm/bias': { name: 'experts.2.bn.bias' },
  'wavelet/norm/mean': { name: 'experts.2.bn.running_mean' },
  'wavelet/norm/variance': { name: 'experts.2.bn.running_var' },
};

/** A sum of terms, each a curve of every step with weights of its own. `terms` of `[rows, time]` → `[rows, width]` */
function polynomial(g: Scope, terms: readonly Tensor[], width: number, init: Init): Tensor {
  const time = terms[0]!.shape[1] as number;
  return matmul(concat(terms, { axis: 1 }), g.parameter('weight', [terms.length * time, width], init));
}

const one = (x: Tensor): Tensor => add(mul(x, 0), 1);

/** 1, x, x², … */
function powers(x: Tensor, count: number): Tensor[] {
  const terms = [one(x)];
  while (terms.length < count) terms.push(terms.length === 1 ? x : mul(terms.at(-1)!, x));
  return terms;
}

/** Jacobi polynomials with both parameters 1, by their recurrence (https://dlmf.nist.gov/18.9), up to a degree. */
function jacobiPolynomials(x: Tensor, degree: number): Tensor[] {
  const terms = [one(x), mul(x, 2)].slice(0, degree + 1);
  for (let n = 2; n <= degree; n++) {
    const now = ((n + 1) * (2 * n + 1)) / (n * (n + 2));
    const before = (n + 1) / (n + 2);
    terms.push(sub(mul(mul(x, now), terms[n - 1]!), mul(terms[n - 2]!, before)));
  }
  return terms;
}

/** Every output sees each step through a wavelet that it stretches and shifts. `x [rows, time]` → `[rows, width]` */
function waves(g: Scope, x: Tensor, width: number, wavelet: (x: Tensor) => Tensor): Tensor {
  const [lines, time] = x.shape as [number, number];
  const shape = [width, time];
  const apart = sub(
    reshape(x, { shape: [lines, 1, time] }),
    g.parameter('shift', shape, { kind: 'constant', value: 0 }),
  );
  const scaled = div(apart, g.parameter('scale', shape, { kind: 'constant', value: 1 })); // [rows, width, time]
  const seen = mul(wavelet(scaled), g.parameter('weight', shape, fanIn(time)));
  return batchNorm(g.scope('norm'), sum(seen, { axes: [2] }));
}

const bell = (x: Tensor): Tensor => exp(mul(square(x), -0.5));

/** 1 up to ½, 0 from 1 on, smooth between. */
function meyerWindow(distance: Tensor): Tensor {
  const t = sub(mul(distance, 2), 1);
  const cubic = add(35, mul(t, add(-84, mul(t, add(70, mul(t, -20))))));
  const falling = cos(mul(mul(square(square(t)), cubic), Math.PI / 2));
  return where(greater(distance, 0.5), where(greater(1, distance), falling, 0), 1);
}

/** Hamming's window, both ends included. */
const hamming = (steps: number): Float64Array =>
  Float64Array.from({ length: steps }, (_, i) =>
    steps === 1 ? 1 : 0.54 - 0.46 * Math.cos((2 * Math.PI * i) / (steps - 1)),
  );
