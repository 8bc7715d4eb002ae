import { z } from 'zod';
import {
  add,
  broadcastTo,
  concat,
  relu,
  reshape,
  slice,
  swapLast,
  transpose,
  type Scope,
  type Tensor,
} from '../graph/index.js';
import { dropout } from './blocks/dropout.js';
import { flat } from './blocks/flat.js';
import { layerNorm } from './blocks/layer-norm.js';
import { linear } from './blocks/linear.js';
import { linearParameter } from './blocks/reference.js';
import { revIn } from './blocks/rev-in.js';
import { inEachWindow } from './blocks/series.js';
import { defineModel, task } from './model.js';

const hyperparameters = task.extend({
  blocks: z.int().min(1).max(64).default(2).describe('blocks that mix time, then columns'),
  hidden: z.int().min(1).max(65_536).default(64).describe('columns that everything known becomes'),
  dropout: z.number().min(0).max(0.99).default(0).describe('share of each layer zeroed in training'),
  revIn: z.boolean().default(true).describe('normalise each window of the target, and undo it at the end'),
});

/**
 * TSMixerx: TSMixer with covariates. Past, future and static columns of all series become columns of the horizon, which
 * are mixed over time and over columns in turn.
 */
export const tsmixerx = defineModel({
  id: 'tsmixerx',
  title: 'TSMixerx',
  paper: 'https://arxiv.org/abs/2303.06053',
  capabilities: { series: 'many', covariates: ['historic', 'future', 'static'], mode: 'direct', quantization: 'B' },
  search: { blocks: [1, 2, 4, 6, 8], hidden: [32, 64, 128], dropout: [0, 0.1, 0.3, 0.5] },
  hyperparameters,

  build(g, inputs, { inputLength, horizon, outputs, series, blocks, ...options }) {
    const { normalized, restore } = options.revIn
      ? revIn(g.scope('revin'), inputs.past, { affine: true })
      : { normalized: inputs.past, restore: (y: Tensor): Tensor => y };
    const ahead = (x: Tensor): Tensor => {
      const [batch, columns, time] = x.shape as [number, number, number];
      return reshape(transpose(x, { order: [0, 2, 1, 3] }), { shape: [batch, time, columns * series] });
    };

    const known = [reshape(normalized, { shape: [g.batch, 1, inputLength, series] })]; // each [batch, columns, time, series]
    if (inputs.historic) known.push(inputs.historic);
    if (inputs.future) known.push(slice(inputs.future, { axis: 2, start: 0, end: inputLength }));
    const overTime = swapLast(linear(g.scope('project'), swapLast(concat(known, { axis: 1 })), horizon)); // [batch, columns, horizon, series]
    const mixed = [mixColumns(g.scope('past'), ahead(overTime), options)]; // each [batch, horizon, hidden]
    if (inputs.future) {
      const coming = slice(inputs.future, { axis: 2, start: inputLength, end: inputLength + horizon });
      mixed.push(mixColumns(g.scope('future'), ahead(coming), options));
    }
    const width = series * options.static;
    const fixed =
      inputs.static &&
      inEachWindow(
        broadcastTo(reshape(inputs.static, { shape: [1, width] }), { shape: [horizon, width] }),
        inputs.past,
      ); // [batch, horizon, series·static]
    if (fixed) mixed.push(mixColumns(g.scope('static'), fixed, options));

    let x = mix(g.scope('first'), concat(mixed, { axis: 2 }), options); // [batch, horizon, hidden]
    for (let block = 0; block < blocks; block++) {
      const scope = g.scope(`block${block}`);
      const seen = fixed ? concat([x, mixColumns(scope.scope('static'), fixed, options)], { axis: 2 }) : x;
      x = mix(scope, seen, options);
    }
    const forecast = linear(g.scope('out'), x, outputs * series); // [batch, horizon, outputs·series]
    const perSeries = reshape(forecast, { shape: [g.batch, horizon * outputs, series] });
    return reshape(restore(perSeries), { shape: forecast.shape }); // [batch, horizon, outputs·series]
  },

  reference: {
    model: 'TSMixerx',
    hyperparameters: { blocks: 'n_block', hidden: 'ff_dim', dropout: 'dropout', revIn: 'revin' },
    parameter: (path) => {
      const kind = path.slice(path.lastIndexOf('/') + 1);
      if (path.startsWith('revin/')) return { name: `norm.affine_${kind}` };
      const layer = path
        .slice(0, -kind.length - 1)
        .replace('project', 'temporal_projection')
        .replace('first/', 'first_mixing/')
        .replace(/block(\d+)/, 'mixing_block/$1')
        .replace(/time$/, 'temporal_mixer/temporal_lin')
        .replace('time/norm', 'temporal_mixer/temporal_norm')
        .replace(
          /(^|\/)(past|future|static|columns)\//,
          (_, before: string, name: string) => `${before}${mixers[name]}/`,
        )
        .replace('wide', 'feature_lin_1')
        .replace('narrow', 'feature_lin_2')
        .replace('kept', 'project_residual')
        .replace(/mixer(\w*)\/norm/, 'mixer$1/feature_norm')
        .replaceAll('/', '.');
      return layer.endsWith('norm') ? { name: `${layer}.${kind}` } : linearParameter(layer, kind);
    },
  },
});

const mixers: Record<string, string> = {
  past: 'feature_mixer_hist',
  future: 'feature_mixer_futr',
  static: 'feature_mixer_stat',
  columns: 'feature_mixer',
};

type Options = Pick<z.output<typeof hyperparameters>, 'hidden' | 'dropout'>;

/** Over time, then over columns. `x [batch, horizon, columns]` → `[batch, horizon, hidden]` */
function mix(g: Scope, x: Tensor, options: Options): Tensor {
  const time = g.scope('time');
  const turned = swapLast(relu(linear(time, swapLast(x), x.shape[1] as number))); // [batch, horizon, columns]
  const mixed = normalize(time.scope('norm'), add(dropout(time, turned, options.dropout), x));
  return mixColumns(g.scope('columns'), mixed, options);
}

/** Two maps over columns, the same for every step. `x [batch, horizon, columns]` → `[batch, horizon, hidden]` */
function mixColumns(g: Scope, x: Tensor, { hidden, dropout: probability }: Options): Tensor {
  const wide = dropout(g.scope('wide'), relu(linear(g.scope('wide'), x, hidden)), probability);
  const narrow = dropout(g.scope('narrow'), linear(g.scope('narrow'), wide, hidden), probability);
  const kept = x.shape[2] === hidden ? x : linear(g.scope('kept'), x, hidden);
  return normalize(g.scope('norm'), add(narrow, kept));
}

/** Over all numbers of a window. */
const normalize = (g: Scope, x: Tensor): Tensor => reshape(layerNorm(g, flat(x)), { shape: x.shape });
