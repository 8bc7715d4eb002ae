import { z } from 'zod';
import {
  add,
  addAll,
  constant,
  gelu,
  matmul,
  reshape,
  rows,
  sub,
  swapLast,
  type Scope,
  type Tensor,
} from '../graph/index.js';
import { dropout } from './blocks/dropout.js';
import { circularNeighbours } from './blocks/embedding.js';
import { linear, linearMap } from './blocks/linear.js';
import { movingAverageMatrix } from './blocks/moving-average.js';
import { pool, poolings } from './blocks/pooling.js';
import { linearParameter } from './blocks/reference.js';
import { revIn } from './blocks/rev-in.js';
import { defineModel, task } from './model.js';

const hyperparameters = task
  .extend({
    hidden: z.int().min(1).default(32).describe('width of a step'),
    feedForward: z.int().min(1).default(32).describe('width between the two linear maps over a step'),
    dropout: z.number().min(0).max(0.99).default(0.1).describe('share of the embedded steps zeroed in training'),
    layers: z.int().min(1).default(4).describe('mixing layers'),
    decomposition: z.literal('moving-average').default('moving-average').describe('what parts trend from season'),
    kernel: z
      .int()
      .min(1)
      .max(255)
      .default(25)
      .refine((n) => n % 2 === 1, 'kernel must be odd, so that the average has a centre')
      .describe('width of the moving average, in time steps'),
    independent: z.boolean().default(false).describe('treat each series by itself, with the same weights'),
    scales: z.int().min(1).default(1).describe('coarser copies of the window'),
    window: z.int().min(2).default(2).describe('steps of a scale that become one of the next'),
    pooling: z.enum(poolings).default('average').describe('what stands for the steps that become one'),
    normalize: z.boolean().default(true).describe('normalise each window, and undo it at the end'),
  })
  .refine(({ inputLength, scales, window }) => inputLength % window ** scales === 0, {
    path: ['inputLength'],
    message: 'inputLength must be a multiple of window to the power of scales',
  });
type Hyperparameters = z.output<typeof hyperparameters>;

/**
 * TimeMixer: the window at several resolutions; season is mixed from fine to coarse, trend from coarse to fine, and each
 * resolution adds its forecast. Strong when the window is short.
 */
export const timemixer = defineModel({
  id: 'timemixer',
  title: 'TimeMixer',
  paper: 'https://arxiv.org/abs/2405.14616',
  capabilities: { series: 'many', covariates: [], mode: 'direct', quantization: 'B' },
  search: { hidden: [16, 32, 64], feedForward: [16, 32, 64], scales: [1, 2] },
  hyperparameters,

  build(g, inputs, options) {
    const { horizon, outputs, series, hidden, scales, window, independent, kernel } = options;
    const sampled = [inputs.past]; // the finest first
    for (let scale = 0; scale < scales; scale++) sampled.push(pool(sampled[scale]!, window, options.pooling));
    const norms = sampled.map((x, scale) =>
      options.normalize ? revIn(g.scope(`norm${scale}`), x, { affine: true }) : { normalized: x, restore: same },
    );
    const windows = norms.map(({ normalized }) => (independent ? apart(normalized) : decompose(normalized, kernel)));

    const embedding = g.scope('embedding');
    const columns = independent ? 1 : series;
    const embed = linearMap(embedding, 3 * columns, hidden, { bias: false });
    let steps = windows.map(({ season }, scale) =>
      dropout(embedding.scope(scale), embed(circularNeighbours(season)), options.dropout),
    ); // of each scale [batch, time, hidden]
    for (let layer = 0; layer < options.layers; layer++) steps = mix(g.scope(`layer${layer}`), steps, options);

    const project = linearMap(g.scope('projection'), hidden, columns);
    const parts = windows.map(({ trend }, scale) => {
      const ahead = project(overTime(g.scope(`predict${scale}`), steps[scale]!, horizon)); // [batch, horizon, columns]
      if (trend === undefined) return swapLast(reshape(ahead, { shape: [g.batch, series, horizon] }));
      const smooth = overTime(g.scope(`smooth${scale}`), trend, trend.shape[1] as number);
      return add(ahead, overTime(g.scope(`regression${scale}`), smooth, horizon));
    }); // of each scale [batch, horizon, series]
    const forecast = norms[0]!.restore(addAll(parts)); // [batch, horizon, series]
    return outputs === 1 ? forecast : linear(g.scope('distribution'), forecast, series * outputs); // [batch, horizon, series·outputs]
  },

  reference: {
    model: 'TimeMixer',
    hyperparameters: {
      hidden: 'd_model',
      feedForward: 'd_ff',
      dropout: 'dropout',
      layers: 'e_layers',
      decomposition: { name: 'decomp_method', read: (name) => (name === 'moving_avg' ? 'moving-average' : name) },
      kernel: 'moving_avg',
      independent: { name: 'channel_independence', read: (value) => value === 1 },
      scales: 'down_sampling_layers',
      window: 'down_sampling_window',
      pooling: { name: 'down_sampling_method', read: (name) => (name === 'avg' ? 'average' : name) },
      normalize: 'use_norm',
    },
    parameter: (path, { scales }) => {
      const kind = path.slice(path.lastIndexOf('/') + 1);
      const place = path.slice(0, -kind.length - 1);
      const number = /\d+$/.exec(place)?.[0];
      if (place === 'embedding')
        return { name: 'enc_embedding.value_embedding.tokenConv.weight', transpose: [2, 1, 0] };
      if (place.startsWith('norm')) return { name: `normalize_layers.${number}.affine_${kind}` };
      if (place === 'projection') return linearParameter('projection_layer', kind);
      if (place === 'distribution') return linearParameter('distr_output', kind);
      const [layer, part, map] = place.split('/') as [string, string?, string?];
      if (part === undefined) return linearParameter(`${heads[layer.replace(/\d+$/, '')]}.${number}`, kind);

      const block = layer.replace('layer', 'pdm_blocks.');
      const position = map === 'first' ? 0 : 2;
      if (part === 'step') return linearParameter(`${block}.cross_layer.${position}`, kind);
      if (part === 'output') return linearParameter(`${block}.out_cross_layer.${position}`, kind);
      const scale = Number(part.replace(/\D+/, ''));
      // There the maps of the trend are listed from the coarsest on.
      const list = part.startsWith('season')
        ? `mixing_multi_scale_season.down_sampling_layers.${scale}`
        : `mixing_multi_scale_trend.up_sampling_layers.${Number(scales) - 1 - scale}`;
      return linearParameter(`${block}.${list}.${position}`, kind);
    },
  },
});

const heads: Record<string, string> = {
  predict: 'predict_layers',
  smooth: 'out_res_layers',
  regression: 'regression_layers',
};

const same = (y: Tensor): Tensor => y;

interface Parts {
  readonly season: Tensor;
  readonly trend?: Tensor;
}

/** Every series as a window of its own: `[batch, time, series]` → `[batch·series, time, 1]`. */
function apart(x: Tensor): Parts {
  const lines = rows(swapLast(x)); // [batch·series, time]
  return { season: reshape(lines, { shape: [...lines.shape, 1] }) };
}

/** Parts every column `[batch, time, columns]` in a moving average and the rest. */
function decompose(x: Tensor, kernel: number): Required<Parts> {
  const time = x.shape[1] as number;
  const average = constant(movingAverageMatrix(time, kernel), [time, time]);
  const trend = swapLast(matmul(swapLast(x), average)); // [batch, time, columns]
  return { season: sub(x, trend), trend };
}

/** One layer: `steps`, of each scale `[batch, time, hidden]`, the finest first. */
function mix(g: Scope, steps: readonly Tensor[], options: Hyperparameters): Tensor[] {
  const { hidden, feedForward, independent, kernel } = options;
  const perStep = (part: Scope): ((x: Tensor) => Tensor) => {
    const [first, second] = [
      linearMap(part.scope('first'), hidden, feedForward),
      linearMap(part.scope('second'), feedForward, hidden),
    ];
    return (x) => second(gelu(first(x)));
  };
  const change = independent ? same : perStep(g.scope('step'));
  const parts = steps.map((x) => decompose(x, kernel));
  const seasons = parts.map(({ season }) => change(season));
  const trends = parts.map(({ trend }) => change(trend));

  const last = steps.length - 1;
  for (let scale = 0; scale < last; scale++) {
    const finer = seasons[scale]!;
    const coarser = seasons[scale + 1]!;
    seasons[scale + 1] = add(coarser, resample(g.scope(`season${scale}`), finer, coarser));
  }
  for (let scale = last - 1; scale >= 0; scale--) {
    const finer = trends[scale]!;
    const coarser = trends[scale + 1]!;
    trends[scale] = add(finer, resample(g.scope(`trend${scale}`), coarser, finer));
  }
  const sums = seasons.map((season, scale) => add(season, trends[scale]!));
  if (!independent) return sums;
  const output = perStep(g.scope('output'));
  return sums.map((x, scale) => add(steps[scale]!, output(x)));
}

/** Two maps over time, from the number of steps of `x` to that of `like`. */
function resample(g: Scope, x: Tensor, like: Tensor): Tensor {
  const time = like.shape[1] as number;
  return overTime(g.scope('second'), gelu(overTime(g.scope('first'), x, time)), time);
}

/** `[batch, time, columns]` → `[batch, outputs, columns]` */
const overTime = (g: Scope, x: Tensor, outputs: number): Tensor => swapLast(linear(g, swapLast(x), outputs));
