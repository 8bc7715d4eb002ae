import { z } from 'zod';
import {
  add,
  addAll,
  concat,
  constant,
  equal,
  gather,
  gelu,
  matmul,
  maximum,
  mean,
  mul,
  pad,
  reshape,
  slice,
  softmax,
  sqrt,
  square,
  sub,
  sum,
  swapLast,
  transpose,
  type Scope,
  type Tensor,
} from '../graph/index.js';
import { frequencyCount, spectrumOf } from './blocks/dft.js';
import { dataEmbedding } from './blocks/embedding.js';
import { largest, marked } from './blocks/largest.js';
import { layerNormMap } from './blocks/layer-norm.js';
import { linear } from './blocks/linear.js';
import { linearParameter } from './blocks/reference.js';
import { seasonsFit, seasonsOf, selectionOf } from './blocks/selection.js';
import { knownSteps } from './blocks/transformer.js';
import { defineModel, task } from './model.js';

/**
 * TimesNet: finds the strongest periods, folds the window by each of them into a sheet of one period per row, and convolves
 * the sheets. For data with several periods. Windows of a batch share their periods, so a forecast depends on its batch, unless
 * they are static.
 */
export const timesnet = defineModel({
  id: 'timesnet',
  title: 'TimesNet',
  paper: 'https://arxiv.org/abs/2210.02186',
  capabilities: { series: 'one', covariates: ['future'], mode: 'direct', quantization: 'C', mixes: true },

  search: { hidden: [32, 64, 128], convolution: [32, 64, 128] },
  hyperparameters: task
    .extend({
      hidden: z.int().min(1).default(64).describe('width of a step'),
      convolution: z.int().min(1).default(64).describe('width between the two convolutions of a layer'),
      periods: z.int().min(1).default(5).describe('periods used, at most half of inputLength + horizon'),
      ...selectionOf('which periods: the strongest of the data, or (static) fixed ones'),
      ...seasonsOf('the whole window, its half, its third and so on'),
      kernels: z.int().min(1).max(16).default(6).describe('convolutions averaged, of 1, 3, 5, … taps each way'),
      layers: z.int().min(1).default(2).describe('layers, each with periods of its own'),
      dropout: z.number().min(0).max(0.99).default(0.1).describe('share of the embedded window zeroed in training'),
    })
    .refine(({ periods, inputLength, horizon }) => periods <= Math.floor((inputLength + horizon) / 2), {
      path: ['periods'],
      message: 'there are at most (inputLength + horizon) / 2 periods',
    })
    .refine(...seasonsFit)
    .refine(({ periods, seasons }) => seasons.length <= periods, {
      path: ['seasons'],
      message: 'there are at most as many as periods',
    }),

  build(g, inputs, { inputLength, horizon, outputs, layers, ...options }) {
    const { window } = knownSteps(inputs, inputLength);
    const embedded = dataEmbedding(g.scope('embedding'), inputs.past, window, { ...options, positions: true });
    let x = swapLast(linear(g.scope('stretch'), swapLast(embedded), inputLength + horizon)); // [batch, time + horizon, hidden]
    const norm = layerNormMap(g.scope('norm'), options.hidden); // one for all layers
    for (let i = 0; i < layers; i++) x = norm(timesBlock(g.scope(`layer${i}`), x, options));
    const forecast = linear(g.scope('projection'), x, outputs);
    return slice(forecast, { axis: 1, start: inputLength, end: inputLength + horizon }); // [batch, horizon, outputs]
  },

  reference: {
    model: 'TimesNet',
    hyperparameters: {
      hidden: 'hidden_size',
      convolution: 'conv_hidden_size',
      periods: 'top_k',
      kernels: 'num_kernels',
      layers: 'encoder_layers',
      dropout: 'dropout',
    },
    parameter: (path) => {
      const kind = path.slice(path.lastIndexOf('/') + 1);
      const place = path.slice(0, -kind.length - 1);
      if (place === 'embedding/value')
        return { name: 'enc_embedding.value_embedding.tokenConv.weight', transpose: [2, 1, 0] };
      if (place === 'norm') return { name: `layer_norm.${kind}` };
      if (maps[place]) return linearParameter(maps[place], kind);
      const [layer, part, kernel] = place.split('/') as [string, string, string];
      const convolution = `model.${layer.replace('layer', '')}.conv.${part === 'wide' ? 0 : 2}`;
      return { name: `${convolution}.kernels.${kernel.replace('kernel', '')}.${kind}` };
    },
  },
});

const maps: Readonly<Record<string, string>> = {
  'embedding/known': 'enc_embedding.temporal_embedding.embed',
  stretch: 'predict_linear',
  projection: 'projection',
};

interface BlockOptions {
  readonly hidden: number;
  readonly convolution: number;
  readonly periods: number;
  readonly selection: 'data' | 'static';
  readonly seasons: readonly number[];
  readonly kernels: number;
}

/** `x [batch, time, hidden]` and what its sheets say, each weighted by how strong its period is. */
function timesBlock(g: Scope, x: Tensor, options: BlockOptions): Tensor {
  const { hidden, convolution, kernels } = options;
  const [batch, time] = x.shape as [number, number];
  const { real, imaginary } = spectrumOf(swapLast(x)); // [batch, hidden, frequency]
  // A little more than nothing, so that the root has a slope.
  const amplitude = mean(sqrt(maximum(add(square(real), square(imaginary)), 1e-30)), { axes: [1] }); // [batch, frequency]
  const { strength, sheet } = (options.selection === 'static' ? fixedPeriods : strongestPeriods)(
    amplitude,
    time,
    options,
  );
  const weights = softmax(strength, { axis: 1 }); // [batch, period]

  const padded = pad(x, { axis: 1, before: 0, after: sheet.length - time });
  const sheets = reshape(padded, { shape: [batch, 1, sheet.length, hidden] });
  const wide = gelu(inception(g.scope('wide'), sheets, convolution, kernels, sheet)); // [batch, period, length, convolution]
  const narrow = inception(g.scope('narrow'), wide, hidden, kernels, sheet); // [batch, period, length, hidden]
  const seen = slice(narrow, { axis: 2, start: 0, end: time });
  // Neighbouring frequencies may have the same period, hence the same sheet: their weights then get a gradient of zero,
  // and not the rounding noise around it, of which Adam makes steps, because only the differences are weighted.
  const first = slice(seen, { axis: 1, start: 0, end: 1 }); // [batch, 1, time, hidden]
  const others = mul(sub(seen, first), reshape(weights, { shape: [...weights.shape, 1, 1] }));
  return add(x, add(sum(others, { axes: [1] }), reshape(first, { shape: x.shape })));
}

interface Periods {
  /** `[batch, period]` */
  readonly strength: Tensor;
  readonly sheet: Sheet;
}

/** Those of the largest amplitudes `[batch, frequency]`, over all windows of the batch. */
function strongestPeriods(amplitude: Tensor, time: number, { periods, kernels }: BlockOptions): Periods {
  const all = Array.from({ length: frequencyCount(time) }, (_, f) => Math.floor(time / Math.max(f, 1)));
  const varying = constant(Float32Array.from(all, (_, f) => (f === 0 ? 0 : 1)));
  const chosen = marked(largest(mul(mean(amplitude, { axes: [0] }), varying), periods), periods); // [period, frequency]
  return {
    strength: matmul(amplitude, swapLast(chosen)),
    sheet: chosenSheet(chosen, foldsOf(all, time, 2 * kernels - 1)),
  };
}

/** The seasons, each as strong as the nearest frequency, then those of the lowest frequencies. */
function fixedPeriods(amplitude: Tensor, time: number, { periods, seasons, kernels }: BlockOptions): Periods {
  const lowest = Array.from({ length: Math.floor(time / 2) }, (_, i) => Math.floor(time / (i + 1)));
  const fixed = [...new Set([...seasons, ...lowest])].slice(0, periods);
  return {
    strength: gather(amplitude, { axis: 1, indices: fixed.map((period) => Math.round(time / period)) }),
    sheet: fixedSheet(foldsOf(fixed, time, 2 * kernels - 1)),
  };
}

/** For every period, where the neighbours of each step lie when the window is folded by it. */
interface Folds {
  /** Steps of the longest sheet, its last row filled up. */
  readonly length: number;
  readonly taps: number;
  /** The step as many rows away, -1 outside the sheet: `[period, tap, step]` */
  readonly rows: Float32Array;
  /** 1 where the step as many columns away is in the same row: `[period, tap, step]` */
  readonly columns: Float32Array;
}

function foldsOf(periods: readonly number[], time: number, taps: number): Folds {
  const filled = (period: number): number => Math.ceil(time / period) * period;
  const length = Math.max(...periods.map(filled));
  const table = (value: (step: number, distance: number, period: number) => number): Float32Array =>
    Float32Array.from({ length: periods.length * taps * length }, (_, i) => {
      const period = periods[Math.floor(i / (taps * length))]!;
      return value(i % length, (Math.floor(i / length) % taps) - (taps - 1) / 2, period);
    });
  return {
    length,
    taps,
    rows: table((step, distance, period) => {
      const other = step + distance * period;
      return step < filled(period) && other >= 0 && other < filled(period) ? other : -1;
    }),
    columns: table((step, distance, period) => {
      const column = (step % period) + distance;
      return step < filled(period) && column >= 0 && column < period ? 1 : 0;
    }),
  };
}

interface Sheet {
  readonly length: number;
  readonly taps: number;
  /** Brings the steps so many rows away: `[batch, 1 or period, step, columns]` → `[batch, period, tap·step, columns]` */
  readonly rows: (x: Tensor) => Tensor;
  /** `[period, tap, step]` */
  readonly columns: Tensor;
}

/** The folds of the chosen frequencies. Chosen by a product: what depends on data has shapes that do not. */
function chosenSheet(chosen: Tensor, { length, taps, rows, columns }: Folds): Sheet {
  const [periods, frequencies] = chosen.shape as [number, number];
  const of = (values: Float32Array): Tensor => matmul(chosen, constant(values, [frequencies, taps * length]));
  const steps = constant(Float32Array.from({ length }, (_, step) => step));
  const matrix = equal(reshape(of(rows), { shape: [periods, taps * length, 1] }), steps); // [period, tap·step, step]
  return {
    length,
    taps,
    rows: (x) => matmul(matrix, x),
    columns: reshape(of(columns), { shape: [periods, taps, length] }),
  };
}

/** All folds. What is the same for all windows is looked up. */
function fixedSheet({ length, taps, rows, columns }: Folds): Sheet {
  const size = taps * length;
  const periods = rows.length / size;
  const indices = Array.from(rows, (step) => (step < 0 ? length : step)); // outside is a row of zeros after the last
  return {
    length,
    taps,
    rows: (x) => {
      const all = pad(x, { axis: 2, before: 0, after: 1 });
      const own = (p: number): Tensor => (x.shape[1] === 1 ? all : slice(all, { axis: 1, start: p, end: p + 1 }));
      const sheets = Array.from({ length: periods }, (_, p) =>
        gather(own(p), { axis: 2, indices: indices.slice(p * size, (p + 1) * size) }),
      );
      return concat(sheets, { axis: 1 });
    },
    columns: constant(columns, [periods, taps, length]),
  };
}

/**
 * The mean of convolutions of 1, 3, 5, … taps each way, as one: their kernels are filled up with zeros and averaged.
 * `[batch, period, length, inputs]` → `[batch, period, length, outputs]`
 */
function inception(g: Scope, x: Tensor, outputs: number, kernels: number, { taps, rows, columns }: Sheet): Tensor {
  const [batch, , length, inputs] = x.shape as [number, number, number, number];
  const periods = columns.shape[0] as number;
  const all = Array.from({ length: kernels }, (_, i) => {
    const scope = g.scope(`kernel${i}`);
    const size = 2 * i + 1;
    const deviation = Math.sqrt(2 / (outputs * size ** 2));
    const weight = scope.parameter('weight', [outputs, inputs, size, size], { kind: 'normal', deviation });
    const missing = { before: kernels - 1 - i, after: kernels - 1 - i };
    return {
      weight: pad(pad(weight, { axis: 2, ...missing }), { axis: 3, ...missing }), // [outputs, inputs, tap, tap]
      bias: scope.parameter('bias', [outputs], { kind: 'constant', value: 0 }),
    };
  });
  const averaged = mul(addAll(all.map(({ weight }) => weight)), 1 / kernels);
  const weight = reshape(transpose(averaged, { order: [2, 1, 3, 0] }), { shape: [taps * inputs, taps * outputs] });
  const bias = mul(addAll(all.map((kernel) => kernel.bias)), 1 / kernels);

  const above = reshape(rows(x), { shape: [batch, periods, taps, length, inputs] });
  const stacked = reshape(transpose(above, { order: [0, 1, 3, 2, 4] }), {
    shape: [batch, periods, length, taps * inputs],
  });
  const spread = matmul(stacked, weight); // [batch, period, length, tap·outputs]
  const beside = Array.from({ length: taps }, (_, tap) => {
    const distance = tap - (taps - 1) / 2;
    const part = slice(spread, { axis: 3, start: tap * outputs, end: (tap + 1) * outputs });
    const inRow = slice(columns, { axis: 1, start: tap, end: tap + 1 }); // [period, 1, length]
    return mul(shifted(part, distance), reshape(inRow, { shape: [periods, length, 1] }));
  });
  return add(addAll(beside), bias);
}

/** Each step gets the value of the step that lies so far after it. `[batch, period, length, columns]` */
function shifted(x: Tensor, distance: number): Tensor {
  const length = x.shape[2] as number;
  const start = Math.max(distance, 0);
  const end = length + Math.min(distance, 0);
  if (distance === 0) return x;
  if (start >= end) return mul(x, 0);
  return pad(slice(x, { axis: 2, start, end }), { axis: 2, before: Math.max(-distance, 0), after: start });
}
