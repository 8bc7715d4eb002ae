import { z } from 'zod';
import { add, gather, gelu, relu, reshape, rows, transpose, type Scope, type Tensor } from '../graph/index.js';
import { selfAttention } from './blocks/attention.js';
import { batchNorm } from './blocks/batch-norm.js';
import { dropout } from './blocks/dropout.js';
import { linear } from './blocks/linear.js';
import { patchIndices } from './blocks/patches.js';
import { linearParameter } from './blocks/reference.js';
import { revIn } from './blocks/rev-in.js';
import { defineModel, task } from './model.js';

const probability = z.number().min(0).max(0.99);

const hyperparameters = task
  .extend({
    layers: z.int().min(1).default(3).describe('encoder layers'),
    heads: z.int().min(1).default(16).describe('attention heads; hidden is a multiple of it'),
    hidden: z.int().min(1).default(128).describe('width of a token'),
    feedForward: z.int().min(1).default(256).describe('width between the two linear maps of a layer'),
    dropout: probability.default(0.2).describe('share of tokens and of layer outputs zeroed in training'),
    attentionDropout: probability.default(0).describe('share of attention weights zeroed in training'),
    headDropout: probability.default(0).describe('share of the forecast zeroed in training'),
    patch: z.int().min(1).default(16).describe('steps per patch; at most inputLength + stride'),
    stride: z.int().min(1).default(8).describe('steps from the start of one patch to the next'),
    revIn: z.boolean().default(true).describe('normalise each window, and undo it at the end'),
    affine: z.boolean().default(false).describe('a learned scale and shift after revIn'),
    subtractLast: z.boolean().default(true).describe('revIn centres a window on its last value, not on its mean'),
    activation: z.enum(['gelu', 'relu']).default('gelu').describe('between the two linear maps of a layer'),
    residualAttention: z
      .boolean()
      .default(true)
      .describe('add the attention scores of each layer to those of the next'),
    normFirst: z.boolean().default(false).describe('normalise before attention and feed-forward, not after'),
    learnPositions: z.boolean().default(true).describe('learn the position codes, or keep them as drawn'),
  })
  .refine(({ hidden, heads }) => hidden % heads === 0, {
    path: ['heads'],
    message: 'hidden must be a multiple of heads',
  });

/**
 * PatchTST: cut the window into patches, treat each as a word, and let a transformer relate them.
 * For long inputs and long horizons. Its normalisation is over the batch, so train it with more than a few windows.
 */
export const patchtst = defineModel({
  id: 'patchtst',
  title: 'PatchTST',
  paper: 'https://arxiv.org/abs/2211.14730',
  capabilities: { series: 'one', covariates: [], mode: 'direct', quantization: 'B' },
  search: { heads: [4, 16], hidden: [16, 128, 256], patch: [16, 24], revIn: [true, false] },
  hyperparameters,

  build(g, inputs, { inputLength, horizon, outputs, hidden, layers, stride, ...options }) {
    const past = reshape(inputs.past, { shape: [g.batch, inputLength] }); // [batch, time]
    const { normalized, restore } = options.revIn
      ? revIn(g.scope('revin'), past, options)
      : { normalized: past, restore: same };

    const length = Math.min(options.patch, inputLength + stride);
    const indices = patchIndices(inputLength, length, stride);
    const tokens = indices.length / length;
    const patches = reshape(gather(normalized, { axis: 1, indices }), { shape: [g.batch, tokens, length] });

    const embedded = reshape(linear(g.scope('embedding'), rows(patches), hidden), { shape: [g.batch, tokens, hidden] });
    const drawn = { kind: 'uniform', bound: 0.02 } as const;
    const positions = options.learnPositions
      ? g.parameter('positions', [tokens, hidden], drawn)
      : g.state('positions', [tokens, hidden], drawn); // [token, hidden]
    const placed = add(embedded, positions); // [batch, token, hidden]

    let x = dropout(g, rows(placed), options.dropout); // [batch·token, hidden]
    let scores: Tensor | undefined;
    for (let layer = 0; layer < layers; layer++) {
      ({ x, scores } = encoderLayer(g.scope(`layer${layer}`), x, {
        ...options,
        tokens,
        earlier: options.residualAttention ? scores : undefined,
        last: layer === layers - 1,
      }));
    }

    const perColumn = transpose(reshape(x, { shape: [g.batch, tokens, hidden] }), { order: [0, 2, 1] }); // [batch, hidden, token]
    const flat = reshape(perColumn, { shape: [g.batch, hidden * tokens] }); // [batch, hidden·token]
    const forecast = dropout(g.scope('head'), linear(g.scope('head'), flat, horizon * outputs), options.headDropout);
    return reshape(restore(forecast), { shape: [g.batch, horizon, outputs] }); // [batch, horizon, outputs]
  },

  reference: {
    model: 'PatchTST',
    hyperparameters: {
      layers: 'encoder_layers',
      heads: 'n_heads',
      hidden: 'hidden_size',
      feedForward: 'linear_hidden_size',
      dropout: 'dropout',
      attentionDropout: 'attn_dropout',
      headDropout: 'head_dropout',
      patch: 'patch_len',
      stride: 'stride',
      revIn: 'revin',
      affine: 'revin_affine',
      subtractLast: 'revin_subtract_last',
      activation: 'activation',
      residualAttention: 'res_attention',
      normFirst: 'batch_normalization',
      learnPositions: 'learn_pos_embed',
    },
    parameter: (path) => {
      const kind = path.slice(path.lastIndexOf('/') + 1);
      const [place, part] = path.slice(0, -kind.length - 1).split(/\/(.*)/) as [string, string | undefined];
      if (kind === 'positions') return { name: 'model.backbone.W_pos' };
      if (place === 'revin') return { name: `model.revin_layer.affine_${kind}` };
      if (place === 'embedding') return linearParameter('model.backbone.W_P', kind);
      if (place === 'head') return linearParameter('model.head.linear', kind);
      const layer = place.replace('layer', 'model.backbone.encoder.layers.');
      const norm = norms[part!];
      return norm
        ? { name: `${layer}.${norm}.${statistics[kind] ?? kind}` }
        : linearParameter(`${layer}.${maps[part!]}`, kind);
    },
  },
});

const norms: Record<string, string> = { 'attention/norm': 'norm_attn.1', 'feed-forward/norm': 'norm_ffn.1' };
const statistics: Record<string, string> = { mean: 'running_mean', variance: 'running_var' };
const maps: Record<string, string> = {
  'attention/query': 'self_attn.W_Q',
  'attention/key': 'self_attn.W_K',
  'attention/value': 'self_attn.W_V',
  'attention/output': 'self_attn.to_out.0',
  'feed-forward/wide': 'ff.0',
  'feed-forward/narrow': 'ff.3',
};

interface LayerOptions extends Pick<
  z.output<typeof hyperparameters>,
  'heads' | 'feedForward' | 'dropout' | 'attentionDropout' | 'activation' | 'normFirst'
> {
  readonly tokens: number;
  /** Attention scores of the layer before. */
  readonly earlier: Tensor | undefined;
  readonly last: boolean;
}

/** Attention, then two linear maps, each added to what came in. `x [batch·token, hidden]` */
function encoderLayer(
  g: Scope,
  x: Tensor,
  { tokens, earlier, last, normFirst, ...options }: LayerOptions,
): { x: Tensor; scores: Tensor } {
  let scores: Tensor;
  // In training, normalisation takes out what is the same for the whole batch, unless some of it is dropped on the way.
  const takenOut = g.training && options.dropout === 0;
  const attend = (part: Scope, input: Tensor): Tensor => {
    const attention = selfAttention(part, input, {
      tokens,
      heads: options.heads,
      dropout: options.attentionDropout,
      earlier,
      normalizedNext: takenOut,
    });
    scores = attention.scores;
    return dropout(part.scope('projected'), attention.output, options.dropout);
  };
  const feedForward = (part: Scope, input: Tensor): Tensor => {
    const wide = activations[options.activation](linear(part.scope('wide'), input, options.feedForward));
    const kept = dropout(part.scope('wide'), wide, options.dropout);
    return linear(part.scope('narrow'), kept, input.shape[1] as number, {
      idleBias: takenOut && !(normFirst && last),
    });
  };
  // With `normFirst` the normalised tokens are also what is added to, as in the reference.
  const residual = (part: Scope, input: Tensor, change: (part: Scope, input: Tensor) => Tensor): Tensor => {
    const kept = normFirst ? batchNorm(part.scope('norm'), input) : input;
    const sum = add(kept, dropout(part, change(part, kept), options.dropout));
    return normFirst ? sum : batchNorm(part.scope('norm'), sum);
  };
  const attended = residual(g.scope('attention'), x, attend);
  return { x: residual(g.scope('feed-forward'), attended, feedForward), scores: scores! };
}

const activations = { gelu, relu };
const same = (y: Tensor): Tensor => y;
