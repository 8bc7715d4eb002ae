import { z } from 'zod';
import { concat, mul, relu, sigmoid, slice, swapLast, type Scope, type Tensor } from '../graph/index.js';
import { dropout } from './blocks/dropout.js';
import { linear } from './blocks/linear.js';
import { linearParameter } from './blocks/reference.js';
import { revIn } from './blocks/rev-in.js';
import { forecastOf, inEachWindow, perSeries } from './blocks/series.js';
import { defineModel, task } from './model.js';

const probability = z.number().min(0).max(0.99).default(0);

/**
 * XLinear: each series is one row of numbers beside a learned token; gates decide what of both passes, and through the
 * tokens the series read each other. As cheap as a linear model, with covariates of every kind.
 */
export const xlinear = defineModel({
  id: 'xlinear',
  title: 'XLinear',
  paper: 'https://arxiv.org/abs/2601.09237',
  capabilities: { series: 'many', covariates: ['historic', 'future', 'static'], mode: 'direct', quantization: 'A' },

  search: { hidden: [64, 128, 256], normalize: [true, false] },
  hyperparameters: task.extend({
    hidden: z.int().min(1).max(65_536).default(128).describe('width of a series'),
    timeGate: z.int().min(1).max(65_536).default(256).describe('width inside the gate over the numbers of a series'),
    seriesGate: z
      .int()
      .min(1)
      .max(65_536)
      .default(8)
      .describe('width inside the gate over series, best a multiple of them'),
    timeDropout: probability.describe('share of the gate over numbers zeroed in training'),
    seriesDropout: probability.describe('share of the gate over series zeroed in training'),
    embeddingDropout: probability.describe('share of the embedded series zeroed in training'),
    headDropout: probability.describe('share of what the forecast is made from zeroed in training'),
    normalize: z.boolean().default(true).describe('normalise each window, and undo it at the end'),
  }),

  build(g, inputs, { horizon, series, outputs, hidden, ...options }) {
    const { normalized, restore } = options.normalize
      ? revIn(g, inputs.past)
      : { normalized: inputs.past, restore: (y: Tensor): Tensor => y };
    const embedding = g.scope('embedding');
    const own = dropout(embedding, linear(embedding, swapLast(normalized), hidden), options.embeddingDropout); // [batch, series, hidden]
    const token = g.parameter('token', [series, hidden], { kind: 'normal', deviation: 1 });
    const tokens = inEachWindow(token, inputs.past); // [batch, series, hidden]

    const inTime = gated(g.scope('time'), concat([own, tokens], { axis: 2 }), options.timeGate, options.timeDropout);
    const [ownPassed, tokenPassed] = [0, 1].map((part) =>
      slice(inTime, { axis: 2, start: part * hidden, end: (part + 1) * hidden }),
    ) as [Tensor, Tensor]; // each [batch, series, hidden]
    const all = swapLast(concat([own, tokenPassed], { axis: 1 })); // [batch, hidden, 2·series]
    const across = gated(g.scope('series'), all, options.seriesGate, options.seriesDropout);
    const shared = swapLast(slice(across, { axis: 2, start: series, end: 2 * series })); // [batch, series, hidden]

    const columns = [ownPassed, shared];
    if (inputs.historic) columns.push(linear(g.scope('historic'), perSeries(inputs.historic), hidden));
    if (inputs.future) columns.push(linear(g.scope('future'), perSeries(inputs.future), hidden));
    if (inputs.static) columns.push(inEachWindow(linear(g.scope('static'), inputs.static, hidden), inputs.past));
    const seen = dropout(g.scope('head'), concat(columns, { axis: 2 }), options.headDropout);
    return forecastOf(linear(g.scope('head'), seen, horizon * outputs), horizon, restore); // [batch, horizon, outputs·series]
  },

  reference: {
    model: 'XLinear',
    hyperparameters: {
      hidden: 'hidden_size',
      timeGate: 'temporal_ff',
      seriesGate: 'channel_ff',
      timeDropout: 'temporal_dropout',
      seriesDropout: 'channel_dropout',
      embeddingDropout: 'embed_dropout',
      headDropout: 'head_dropout',
      normalize: 'use_norm',
    },
    parameter: (path) => {
      if (path === 'token') return { name: 'glob_token' };
      const kind = path.slice(path.lastIndexOf('/') + 1);
      return linearParameter(maps[path.slice(0, -kind.length - 1)]!, kind);
    },
  },
});

const maps: Record<string, string> = {
  embedding: 'projection.0',
  'time/first': 'temporal_gating.weight.0',
  'time/second': 'temporal_gating.weight.3',
  'series/first': 'channel_gating.weight.0',
  'series/second': 'channel_gating.weight.3',
  historic: 'hist_exog_projection',
  future: 'futr_exog_projection',
  static: 'stat_exog_projection',
  head: 'head.1',
};

/** What passes of each number, by a small network that sees all of the last axis. */
function gated(g: Scope, x: Tensor, width: number, share: number): Tensor {
  const first = dropout(g.scope('first'), relu(linear(g.scope('first'), x, width)), share);
  return mul(x, sigmoid(linear(g.scope('second'), first, x.shape.at(-1) as number)));
}
