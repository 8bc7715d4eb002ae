import { z } from 'zod';
import { add, relu, reshape, swapLast, type Scope, type Tensor } from '../graph/index.js';
import { batchNorm } from './blocks/batch-norm.js';
import { dropout } from './blocks/dropout.js';
import { flat } from './blocks/flat.js';
import { linear } from './blocks/linear.js';
import { linearParameter } from './blocks/reference.js';
import { revIn } from './blocks/rev-in.js';
import { forecastOf } from './blocks/series.js';
import { defineModel, task } from './model.js';

const hyperparameters = task.extend({
  blocks: z.int().min(1).max(64).default(2).describe('blocks that mix time, then series'),
  hidden: z.int().min(1).max(65_536).default(64).describe('width between the two linear maps over series'),
  dropout: z.number().min(0).max(0.99).default(0.9).describe('share of each layer zeroed in training'),
  revIn: z.boolean().default(true).describe('normalise each window, and undo it at the end'),
});

/**
 * TSMixer: linear maps over time and over series in turn, each added to what came in.
 * For tens of series of one process. Its normalisation is over the batch, so train it with more than a few windows.
 */
export const tsmixer = defineModel({
  id: 'tsmixer',
  title: 'TSMixer',
  paper: 'https://arxiv.org/abs/2303.06053',
  capabilities: { series: 'many', covariates: [], mode: 'direct', quantization: 'A' },
  search: { blocks: [1, 2, 4, 6, 8], hidden: [32, 64, 128], dropout: [0, 0.3, 0.6, 0.9] },
  hyperparameters,

  build(g, inputs, { horizon, outputs, blocks, ...options }) {
    const { normalized, restore } = options.revIn
      ? revIn(g.scope('revin'), inputs.past, { affine: true })
      : { normalized: inputs.past, restore: (y: Tensor): Tensor => y };
    let x = normalized; // [batch, time, series]
    for (let block = 0; block < blocks; block++) {
      x = add(x, mixTime(g.scope(`block${block}`).scope('time'), x, options));
      x = add(x, mixSeries(g.scope(`block${block}`).scope('series'), x, options));
    }
    const rows = linear(g.scope('out'), swapLast(x), horizon * outputs); // [batch, series, horizon·outputs]
    return forecastOf(rows, horizon, restore); // [batch, horizon, outputs·series]
  },

  reference: {
    model: 'TSMixer',
    hyperparameters: { blocks: 'n_block', hidden: 'ff_dim', dropout: 'dropout', revIn: 'revin' },
    parameter: (path) => {
      const kind = path.slice(path.lastIndexOf('/') + 1);
      const [place, part, map] = path.split('/') as [string, string, string];
      if (place === 'revin') return { name: `norm.affine_${kind}` };
      if (place === 'out') return linearParameter('out', kind);
      const axis = part === 'time' ? 'temporal' : 'feature';
      const mixer = `${place.replace('block', 'mixing_layers.')}.${axis}_mixer.${axis}_`;
      if (map === 'norm') return { name: `${mixer}norm.${statistics[kind] ?? kind}` };
      return linearParameter(`${mixer}${maps[map] ?? 'lin'}`, kind);
    },
  },
});

const statistics: Record<string, string> = { mean: 'running_mean', variance: 'running_var' };
const maps: Record<string, string> = { wide: 'lin_1', narrow: 'lin_2' };

type Options = Pick<z.output<typeof hyperparameters>, 'hidden' | 'dropout'>;

/** One map from all steps to all steps, the same for every series. `x [batch, time, series]` */
function mixTime(g: Scope, x: Tensor, options: Options): Tensor {
  const turned = normalize(g.scope('norm'), swapLast(x)); // [batch, series, time]
  return dropout(g, swapLast(relu(linear(g, turned, x.shape[1] as number))), options.dropout);
}

/** Two maps over series, the same for every step. `x [batch, time, series]` */
function mixSeries(g: Scope, x: Tensor, options: Options): Tensor {
  const wide = relu(linear(g.scope('wide'), normalize(g.scope('norm'), x), options.hidden)); // [batch, time, hidden]
  const kept = dropout(g.scope('wide'), wide, options.dropout);
  return dropout(g.scope('narrow'), linear(g.scope('narrow'), kept, x.shape[2] as number), options.dropout);
}

/** Every number of the window by its values over the batch. */
const normalize = (g: Scope, x: Tensor): Tensor =>
  reshape(batchNorm(g, flat(x), { epsilon: 1e-3, momentum: 0.01 }), { shape: x.shape });
