import { z } from 'zod';
import {
  add,
  broadcastTo,
  concat,
  constant,
  reshape,
  rows,
  slice,
  swapLast,
  type Scope,
  type Tensor,
} from '../graph/index.js';
import { dropout } from './blocks/dropout.js';
import { positionCodes } from './blocks/embedding.js';
import { layerNorm } from './blocks/layer-norm.js';
import { linear } from './blocks/linear.js';
import { linearParameter } from './blocks/reference.js';
import { revIn } from './blocks/rev-in.js';
import { forecastOf, inEachWindow } from './blocks/series.js';
import {
  attentionLayer,
  feedForward,
  fullAttention,
  headsFit,
  transformerParameter,
  type Attend,
} from './blocks/transformer.js';
import { defineModel, task } from './model.js';

const hyperparameters = task
  .extend({
    patch: z
      .int()
      .min(1)
      .default(16)
      .describe('steps per patch, at most inputLength; what is left at the end is not seen'),
    hidden: z.int().min(1).default(512).describe('width of a token, a multiple of heads'),
    heads: z.int().min(1).default(8).describe('attention heads'),
    layers: z.int().min(1).default(2).describe('encoder layers'),
    feedForward: z.int().min(1).default(2048).describe('width between the two linear maps of a layer'),
    dropout: z
      .number()
      .min(0)
      .max(0.99)
      .default(0.1)
      .describe('share of tokens and of layer outputs zeroed in training'),
    normalize: z.boolean().default(true).describe('normalise each window, and undo it at the end'),
  })
  .refine(...headsFit)
  .refine(({ patch, inputLength }) => patch <= inputLength, {
    path: ['patch'],
    message: 'a patch must fit into inputLength',
  });

/**
 * TimeXer: the patches of a series are tokens beside one token for all of it, and that one looks at the windows of all
 * series and covariates. For a few targets and many covariates.
 */
export const timexer = defineModel({
  id: 'timexer',
  title: 'TimeXer',
  paper: 'https://arxiv.org/abs/2402.19072',
  capabilities: { series: 'many', covariates: ['historic', 'static'], mode: 'direct', quantization: 'B' },
  search: { hidden: [128, 256, 512], heads: [4, 8] },
  hyperparameters,

  build(g, inputs, { inputLength, horizon, outputs, series, layers, ...options }) {
    const { patch, hidden } = options;
    const { normalized, restore } = options.normalize
      ? revIn(g, inputs.past)
      : { normalized: inputs.past, restore: (y: Tensor): Tensor => y };
    const windows = swapLast(normalized); // [batch, series, time]

    const patches = Math.floor(inputLength / patch);
    const cut = reshape(slice(windows, { axis: 2, start: 0, end: patches * patch }), {
      shape: [g.batch, series, patches, patch],
    });
    const codes = constant(positionCodes(patches, hidden), [patches, hidden]);
    const parts = add(linear(g.scope('patch'), cut, hidden, { bias: false }), codes); // [batch, series, patch, hidden]
    const token = g.parameter('token', [series, hidden], { kind: 'normal', deviation: 1 });
    const whole = inEachWindow(reshape(token, { shape: [series, 1, hidden] }), inputs.past); // [batch, series, 1, hidden]
    const tokens = dropout(g.scope('patch'), concat([parts, whole], { axis: 2 }), options.dropout); // [batch, series, token, hidden]

    const others = [windows]; // each [batch, columns, time]
    if (inputs.historic) {
      const columns = swapLast(inputs.historic); // [batch, historic, series, time]
      others.push(reshape(columns, { shape: [g.batch, options.historic * series, inputLength] }));
    }
    if (inputs.static) {
      const column = reshape(inputs.static, { shape: [series * options.static, 1] });
      const shape = [series * options.static, inputLength];
      others.push(inEachWindow(broadcastTo(column, { shape }), inputs.past));
    }
    const embedded = linear(g.scope('window'), concat(others, { axis: 1 }), hidden);
    const context = dropout(g.scope('window'), embedded, options.dropout); // [batch, column, hidden]

    const encoder = g.scope('encoder');
    const lines = rows(reshape(tokens, { shape: [g.batch, series, (patches + 1) * hidden] })); // [batch·series, token·hidden]
    let x = reshape(lines, { shape: [lines.shape[0]!, patches + 1, hidden] });
    for (let layer = 0; layer < layers; layer++)
      x = encode(encoder.scope(`layer${layer}`), x, context, { ...options, series });
    const encoded = swapLast(layerNorm(encoder.scope('norm'), x)); // [batch·series, hidden, token]

    const head = g.scope('head');
    const flat = reshape(encoded, { shape: [g.batch, series, hidden * (patches + 1)] });
    const forecast = dropout(head, linear(head, flat, horizon * outputs), options.dropout); // [batch, series, horizon·outputs]
    return forecastOf(forecast, horizon, restore); // [batch, horizon, outputs·series]
  },

  reference: {
    model: 'TimeXer',
    hyperparameters: {
      patch: 'patch_len',
      hidden: 'hidden_size',
      heads: 'n_heads',
      layers: 'e_layers',
      feedForward: 'd_ff',
      dropout: 'dropout',
      normalize: 'use_norm',
    },
    parameter: (path) => {
      if (path === 'token') return { name: 'en_embedding.glb_token' };
      const [place, kind] = path.split('/') as [string, string];
      if (place !== 'encoder') return linearParameter(maps[place]!, kind);
      const { name, ...layout } = transformerParameter(path);
      return { name: name.replace('attn_layers', 'layers'), ...layout };
    },
  },
});

const maps: Record<string, string> = {
  patch: 'en_embedding.value_embedding',
  window: 'ex_embedding.value_embedding',
  head: 'head.linear',
};

type Options = Pick<z.output<typeof hyperparameters>, 'series' | 'heads' | 'feedForward' | 'dropout'>;

/**
 * Tokens look at those of their own series; the last one, which stands for all of the series, looks at the context
 * `[batch, column, hidden]` too. `x [batch·series, token, hidden]` → the same shape.
 */
function encode(g: Scope, x: Tensor, context: Tensor, { heads, ...options }: Options): Tensor {
  const [, count, hidden] = x.shape as [number, number, number];
  const mix = fullAttention(options.dropout);
  const attend: Attend = (part, seeing, seen) => {
    const gathered = attentionLayer(part, seeing, seen, mix, { heads, idle: ['key'] });
    return dropout(part, gathered, options.dropout);
  };
  const own = layerNorm(g.scope('norm1'), add(x, attend(g.scope('self'), x, x)));
  const whole = slice(own, { axis: 1, start: count - 1, end: count }); // [batch·series, 1, hidden]
  const tokens = reshape(whole, { shape: [g.batch, options.series, hidden] });
  const seen = reshape(attend(g.scope('cross'), tokens, context), { shape: whole.shape });
  const informed = layerNorm(g.scope('norm2'), add(whole, seen));
  const all = concat([slice(own, { axis: 1, start: 0, end: count - 1 }), informed], { axis: 1 });
  return layerNorm(g.scope('norm3'), add(all, feedForward(g, all, { ...options, activation: 'relu' })));
}
