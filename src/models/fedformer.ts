import { z } from 'zod';
import {
  abs,
  add,
  cos,
  div,
  exp,
  matmul,
  mul,
  pad,
  reshape,
  sin,
  slice,
  square,
  sub,
  swapLast,
  tanh,
  transpose,
  type Scope,
  type Tensor,
} from '../graph/index.js';
import {
  decompositionHyperparameters,
  decompositionParameter,
  decompositionReference,
  decompositionTransformer,
} from './blocks/decomposition-transformer.js';
import { frequencyCount, spectrumOf, valuesOf, type Spectrum } from './blocks/dft.js';
import { largest, marked } from './blocks/largest.js';
import { attentionLayer, decoderSteps, headsFit, shareFits, type Mix } from './blocks/transformer.js';
import { defineModel, task } from './model.js';

/**
 * FEDformer: tokens meet in the frequencies of the window, of which a few are picked, once, at random or from below.
 * For data with few frequencies; its cost grows with the window, not with its square.
 */
export const fedformer = defineModel({
  id: 'fedformer',
  title: 'FEDformer',
  paper: 'https://arxiv.org/abs/2201.12740',
  capabilities: { series: 'one', covariates: ['future'], mode: 'direct', quantization: 'C' },

  search: { hidden: [64, 128, 256], modes: [16, 32, 64], pick: ['random', 'low'] },
  hyperparameters: task
    .extend({
      ...decompositionHyperparameters,
      heads: z.literal(8).default(8).describe('attention heads'),
      modes: z.int().min(1).default(64).describe('frequencies used, at most half the window'),
      pick: z.enum(['random', 'low']).default('random').describe('which frequencies'),
    })
    .refine(...headsFit)
    .refine(...shareFits)
    .refine((options) => decoderSteps(options) >= Math.floor(options.inputLength / 2), {
      path: ['decoderShare'],
      message: 'the decoder must see half of the window, whose frequencies it picks from',
    }),

  build(g, inputs, options) {
    const { inputLength, horizon, heads, hidden } = options;
    const decoded = Math.floor(inputLength / 2) + horizon; // the frequencies of the decoder are those of so many steps
    const pick: Pick = (part, steps, name) => pickModes(part, Math.floor(steps / 2), options, name);
    // One block for all layers of the encoder, and one for all of the decoder.
    const own = fourierBlock(g.scope('encoder').scope('fourier'), pick, inputLength, hidden);
    const self = fourierBlock(g.scope('decoder').scope('self'), pick, decoded, hidden);
    const cross = fourierCross(g.scope('decoder').scope('cross'), pick, { asked: decoded, seen: inputLength, hidden });

    // A constant goes out with the trend.
    const idle = !g.training || options.dropout === 0 ? (['output'] as const) : [];
    const attend = {
      encoder: (part: Scope, x: Tensor, source: Tensor) => attentionLayer(part, x, source, own, { heads, idle }),
      self: (part: Scope, x: Tensor, source: Tensor) => attentionLayer(part, x, source, self, { heads }),
      cross: (part: Scope, x: Tensor, source: Tensor) => attentionLayer(part, x, source, cross, { heads }),
    };
    return decompositionTransformer(g, inputs, attend, options); // [batch, horizon, outputs]
  },

  reference: {
    model: 'FEDformer',
    hyperparameters: { ...decompositionReference, modes: 'modes', pick: 'mode_select' },
    parameter: (path) => (places[path] ? { name: `${places[path]}.weights1` } : decompositionParameter(path)),
    draw: (path) => {
      const [, place, index] = /^(.*)\/(index\w*)$/.exec(path) ?? [];
      const block = places[`${place}/weight`];
      if (block === undefined) return undefined;
      return {
        name: () => `${block}.${index}`,
        read: (modes, [count]) => Float32Array.from({ length: count! }, (_, mode) => (modes.includes(mode) ? 1 : -1)),
      };
    },
  },
});

const places: Readonly<Record<string, string>> = {
  'encoder/fourier/weight': 'encoder.attn_layers.0.attention.inner_correlation',
  'decoder/self/weight': 'decoder.layers.0.self_attention.inner_correlation',
  'decoder/cross/weight': 'decoder.layers.0.cross_attention.inner_correlation',
};

interface Picked {
  readonly count: number;
  /** `[…, frequency]` → `[…, mode]` */
  readonly pick: (x: Tensor) => Tensor;
  /** `[…, mode]` → `[…, frequency]`, zero where no mode is. */
  readonly spread: (x: Tensor, frequencies: number) => Tensor;
}
type Pick = (g: Scope, steps: number, name?: string) => Picked;

/** Which of the lowest `range` frequencies are used: those of the largest scores, which are drawn once and kept. */
function pickModes(
  g: Scope,
  range: number,
  options: { modes: number; pick: 'random' | 'low' },
  name = 'index',
): Picked {
  const count = Math.min(options.modes, range);
  if (options.pick === 'low')
    return {
      count,
      pick: (x) => slice(x, { axis: x.shape.length - 1, start: 0, end: count }),
      spread: (x, frequencies) => pad(x, { axis: x.shape.length - 1, before: 0, after: frequencies - count }),
    };
  const matrix = marked(largest(g.state(name, [range], { kind: 'uniform', bound: 1 }), count), count); // [mode, range]
  const whole = (frequencies: number): Tensor => pad(matrix, { axis: 1, before: 0, after: frequencies - range });
  return {
    count,
    pick: (x) => matmul(x, swapLast(whole(x.shape.at(-1) as number))),
    spread: (x, frequencies) => matmul(x, whole(frequencies)),
  };
}

/** A complex product out of a real one. */
const product = (times: (a: Tensor, b: Tensor) => Tensor, a: Spectrum, b: Spectrum): Spectrum => ({
  real: sub(times(a.real, b.real), times(a.imaginary, b.imaginary)),
  imaginary: add(times(a.real, b.imaginary), times(a.imaginary, b.real)),
});
const both = ({ real, imaginary }: Spectrum, f: (x: Tensor) => Tensor): Spectrum => ({
  real: f(real),
  imaginary: f(imaginary),
});

/** Frequencies of `x [batch, head, token, width]`, `[batch, head, width, mode]`. */
const modesOf = (x: Tensor, { pick }: Picked): Spectrum => both(spectrumOf(swapLast(x)), pick);

/** A map of the columns of each mode and head. `[batch, head, width, mode]` → the same. */
function mapped(g: Scope, hidden: number, count: number): (x: Spectrum) => Spectrum {
  const heads = 8;
  const width = hidden / heads;
  const weight = g.parameter('weight', [heads, width, width, count, 2], { kind: 'uniform', bound: 1 / hidden ** 2 });
  const part = (index: number): Tensor => {
    const one = slice(weight, { axis: 4, start: index, end: index + 1 });
    return transpose(reshape(one, { shape: [heads, width, width, count] }), { order: [0, 3, 1, 2] });
  };
  const weights = { real: part(0), imaginary: part(1) }; // [head, mode, width in, width out]
  return (x) => {
    const byMode = both(x, (y) => transpose(y, { order: [1, 3, 0, 2] })); // [head, mode, batch, width]
    return both(product(matmul, byMode, weights), (y) => transpose(y, { order: [2, 0, 3, 1] }));
  };
}

/**
 * The picked frequencies, mapped, become the lowest ones. The reference reads what comes out, `[batch, head, width, token]`,
 * as `[batch, token, head, width]`; so do we, to run its weights.
 */
function fourierBlock(g: Scope, pick: Pick, steps: number, hidden: number): Mix {
  const modes = pick(g, steps);
  const map = mapped(g, hidden, modes.count);
  return (_, { query }) => valuesOf(map(modesOf(query, modes)), query.shape[2] as number);
}

/** Frequencies of the decoder look at those of the encoder. */
function fourierCross(
  g: Scope,
  pick: Pick,
  { asked, seen, hidden }: { readonly asked: number; readonly seen: number; readonly hidden: number },
): Mix {
  const queryModes = pick(g, asked, 'index_q');
  const keyModes = pick(g, seen, 'index_kv');
  const map = mapped(g, hidden, queryModes.count);
  return (_, { query, key }) => {
    const tokens = query.shape[2] as number;
    const q = modesOf(query, queryModes); // [batch, head, width, query mode]
    const k = modesOf(key, keyModes); // [batch, head, width, key mode]
    const scores = complexTanh(product((a, b) => matmul(swapLast(a), b), q, k)); // [batch, head, query mode, key mode]
    const gathered = product((a, b) => matmul(a, swapLast(b)), k, scores); // [batch, head, width, query mode]
    const scaled = both(map(gathered), (x) => mul(queryModes.spread(x, frequencyCount(tokens)), 1 / hidden ** 2));
    return valuesOf(scaled, tokens);
  };
}

/** tanh(a + ib) = (sinh 2a + i sin 2b) / (cosh 2a + cos 2b), divided by cosh 2a so that nothing overflows. */
function complexTanh({ real, imaginary }: Spectrum): Spectrum {
  const small = exp(mul(abs(real), -2));
  const sech = div(mul(small, 2), add(square(small), 1));
  const angle = mul(imaginary, 2);
  const below = add(mul(cos(angle), sech), 1);
  return { real: div(tanh(mul(real, 2)), below), imaginary: div(mul(sin(angle), sech), below) };
}
