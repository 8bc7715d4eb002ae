import { z } from 'zod';
import { concat, gather, matmul, mul, reshape, rows, slice, softmax, swapLast, transpose } from '../graph/index.js';
import type { Scope, Tensor } from '../graph/index.js';
import { languageSizes, readLanguageConfig, type LanguageSizes } from '../language/folder.js';
import { dropout } from './blocks/dropout.js';
import { circularConvolution } from './blocks/embedding.js';
import { gpt2, storedWeights } from './blocks/gpt2.js';
import { linear } from './blocks/linear.js';
import { patchIndices } from './blocks/patches.js';
import { linearParameter } from './blocks/reference.js';
import { revIn } from './blocks/rev-in.js';
import { defineModel, task } from './model.js';

const hyperparameters = task.extend({
  languageModel: z
    .string()
    .default('')
    .describe('folder of a language model of the GPT-2 family: model.safetensors, config.json, tokenizer.json'),
  language: languageSizes.optional().describe('its sizes; read from the folder when left out'),
  prompt: z.string().default('').describe('what the language model is told about the data'),
  promptTokens: z.int().min(1).default(128).describe('tokens of a prompt: longer ones are cut, shorter ones filled'),
  lags: z.int().min(1).default(5).describe('lags that a prompt names'),
  patch: z.int().min(1).default(16).describe('steps per patch; at most inputLength + stride'),
  stride: z.int().min(1).default(8).describe('steps from the start of one patch to the next'),
  hidden: z.int().min(1).default(32).describe('width of a patch before it is reprogrammed'),
  heads: z.int().min(1).default(8).describe('heads of the attention that reprograms patches'),
  keys: z.int().min(1).default(128).describe('width of a head, and numbers read of each state of the language model'),
  prototypes: z
    .int()
    .min(1)
    .default(1024)
    .describe('words that patches are put into, each a learned mixture of those the language model knows'),
  dropout: z.number().min(0).max(0.99).default(0.1).describe('share of patches and of the forecast zeroed in training'),
  attentionDropout: z.number().min(0).max(0.99).default(0.1).describe('share of attention weights zeroed in training'),
});

/**
 * TimeLLM: puts patches of the window into words of a language model that stays as it is, behind a text about the window,
 * and reads the forecast off its last states. For research: slow, and never for a device.
 */
export const timellm = defineModel({
  id: 'timellm',
  title: 'TimeLLM',
  paper: 'https://arxiv.org/abs/2310.01728',
  capabilities: { series: 'one', covariates: [], mode: 'direct', quantization: 'C' },
  search: { hidden: [16, 32, 64], dropout: [0, 0.1, 0.3, 0.5] },
  hyperparameters,

  prompt: ({ languageModel, language, prompt, promptTokens, inputLength, horizon, lags }) => ({
    folder: languageModel,
    width: sizesOf(languageModel, language).width,
    tokens: promptTokens,
    about: prompt,
    inputLength,
    horizon,
    lags,
  }),

  build(g, inputs, { inputLength, horizon, outputs, languageModel, language, ...options }) {
    const sizes = sizesOf(languageModel, language);
    const { patch, stride, hidden, keys } = options;
    const weights = storedWeights(g.scope('llm'), languageModel);
    const { normalized, restore } = revIn(g.scope('revin'), reshape(inputs.past, { shape: [g.batch, inputLength] }));

    const length = Math.min(patch, inputLength + stride);
    const indices = patchIndices(inputLength, length, stride);
    const patches = indices.length / length;
    const cut = reshape(gather(normalized, { axis: 1, indices }), { shape: [g.batch, patches, length] });
    const deviation = Math.sqrt(2 / (1 + 0.01 ** 2) / (3 * length));
    const embedded = circularConvolution(g.scope('embedding'), cut, hidden, { init: { kind: 'normal', deviation } });
    const seen = dropout(g.scope('embedding'), embedded, options.dropout); // [batch, patch, hidden]

    const table = weights('wte.weight', [sizes.vocabulary, sizes.width]);
    const words = swapLast(linear(g.scope('words'), swapLast(table), options.prototypes)); // [prototype, width]
    const reprogrammed = reprogram(g.scope('reprogram'), seen, words, { ...options, width: sizes.width });

    const states = gpt2(concat([inputs.prompt!, reprogrammed], { axis: 1 }), weights, sizes); // [batch, token, width]
    const tokens = states.shape[1] as number;
    const last = slice(states, { axis: 1, start: tokens - patches, end: tokens }); // [batch, patch, width]
    const read = swapLast(slice(last, { axis: 2, start: 0, end: keys })); // [batch, keys, patch]
    const flat = reshape(read, { shape: [g.batch, keys * patches] });
    const forecast = dropout(g.scope('head'), linear(g.scope('head'), flat, horizon * outputs), options.dropout);
    return reshape(restore(forecast), { shape: [g.batch, horizon, outputs] }); // [batch, horizon, outputs]
  },

  reference: {
    model: 'TimeLLM',
    hyperparameters: {
      patch: 'patch_len',
      stride: 'stride',
      hidden: 'd_model',
      heads: 'n_heads',
      keys: 'd_ff',
      lags: 'top_k',
      dropout: 'dropout',
      attentionDropout: 'dropout', // 0.1 there whatever it is set to; parity sets both to 0
      promptTokens: 'prompt_tokens',
      language: {
        name: 'llm_stub',
        read: (stub) => {
          const { vocab_size, n_positions, n_embd, n_layer, n_head, n_inner } = stub as Record<string, number>;
          return {
            vocabulary: vocab_size,
            positions: n_positions,
            width: n_embd,
            layers: n_layer,
            heads: n_head,
            inner: n_inner,
          };
        },
      },
    },
    parameter: (path) => {
      const [place, rest] = path.split(/\/(.*)/) as [string, string];
      if (place === 'llm') return { name: `llm.${rest}` };
      if (place === 'embedding')
        return { name: 'patch_embedding.value_embedding.tokenConv.weight', transpose: [2, 1, 0] };
      if (place === 'words') return linearParameter('mapping_layer', rest);
      if (place === 'head') return linearParameter('output_projection.linear', rest);
      const [part, kind] = rest.split('/') as [string, string];
      return linearParameter(`reprogramming_layer.${part}_projection`, kind);
    },
  },
});

const sizesOf = (folder: string, given: LanguageSizes | undefined): LanguageSizes =>
  given ?? readLanguageConfig(folder).sizes;

interface ReprogramOptions {
  readonly heads: number;
  readonly keys: number;
  readonly width: number;
  readonly attentionDropout: number;
}

/** Attention of patches `[batch, patch, hidden]` over words `[word, width]` → `[batch, patch, width]` */
function reprogram(
  g: Scope,
  patches: Tensor,
  words: Tensor,
  { heads, keys, width, attentionDropout }: ReprogramOptions,
): Tensor {
  const [batch, count] = patches.shape as [number, number];
  const wide = heads * keys;
  const prototypes = words.shape[0] as number;
  const query = reshape(linear(g.scope('query'), rows(patches), wide), { shape: [batch, count, heads, keys] });
  const ofWords = (name: string, order: readonly number[], idleBias = false): Tensor =>
    transpose(reshape(linear(g.scope(name), words, wide, { idleBias }), { shape: [prototypes, heads, keys] }), {
      order,
    });
  const key = ofWords('key', [1, 2, 0], true); // [head, keys, word]
  const value = ofWords('value', [1, 0, 2]); // [head, word, keys]
  const scores = mul(matmul(transpose(query, { order: [0, 2, 1, 3] }), key), 1 / Math.sqrt(keys)); // [batch, head, patch, word]
  const weights = dropout(g.scope('weights'), softmax(scores, { axis: -1 }), attentionDropout);
  const gathered = transpose(matmul(weights, value), { order: [0, 2, 1, 3] }); // [batch, patch, head, keys]
  const output = linear(g.scope('out'), rows(reshape(gathered, { shape: [batch, count, wide] })), width);
  return reshape(output, { shape: [batch, count, width] });
}
