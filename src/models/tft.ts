import { z } from 'zod';
import {
  add,
  addAll,
  broadcastTo,
  concat,
  constant,
  elu,
  gelu,
  matmul,
  mean,
  mul,
  reshape,
  sigmoid,
  slice,
  softmax,
  transpose,
  type Scope,
  type Tensor,
} from '../graph/index.js';
import { activations, referenceActivation } from './blocks/activation.js';
import { dropout } from './blocks/dropout.js';
import { layerNorm } from './blocks/layer-norm.js';
import { linear } from './blocks/linear.js';
import { batchFirst } from './blocks/mlp-decoder.js';
import { carriedGru, carriedLstm, encoderParameter } from './blocks/recurrent-encoder.js';
import { linearParameter } from './blocks/reference.js';
import { defineModel, task, type Carry, type ModelInputs } from './model.js';

const bends = {
  elu: (x: Tensor) => elu(x, { alpha: 1 }),
  gelu,
  relu: activations.relu(),
  softplus: activations.softplus(),
  tanh: activations.tanh(),
  selu: activations.selu(),
  'leaky-relu': activations['leaky-relu'](),
  sigmoid: activations.sigmoid(),
};
type Bend = keyof typeof bends;

const hyperparameters = task
  .extend({
    hidden: z.int().min(1).default(128).describe('width of everything inside; a multiple of heads'),
    heads: z.int().min(1).default(4).describe('attention heads'),
    layers: z.int().min(1).default(1).describe('recurrent layers'),
    cell: z.enum(['lstm', 'gru']).default('lstm').describe('kind of the recurrent layers'),
    sharedStart: z.boolean().default(false).describe('all recurrent layers start from the same state'),
    activation: z
      .enum(Object.keys(bends) as [Bend, ...Bend[]])
      .default('elu')
      .describe('inside the gated residual networks'),
    dropout: z.number().min(0).max(0.99).default(0.1).describe('share of each layer zeroed in training'),
    attentionDropout: z.number().min(0).max(0.99).default(0).describe('share of attention weights zeroed in training'),
  })
  .refine(({ hidden, heads }) => hidden % heads === 0, {
    path: ['heads'],
    message: 'hidden must be a multiple of heads',
  });
type Hyperparameters = z.output<typeof hyperparameters>;

/**
 * TFT: gates pick the covariates that matter at each step, a recurrent network reads past and known future in one pass, and
 * each step of the horizon attends to all before it. For many covariates of all kinds.
 */
export const tft = defineModel({
  id: 'tft',
  title: 'TFT',
  paper: 'https://arxiv.org/abs/1912.09363',
  capabilities: { series: 'one', covariates: ['historic', 'future', 'static'], mode: 'direct', quantization: 'C' },
  search: { hidden: [64, 128, 256], heads: [4, 8], dropout: [0, 0.1, 0.3, 0.5] },
  hyperparameters,

  build(g, inputs, options) {
    const { inputLength, horizon, outputs } = options;
    const all = inputLength + horizon;
    const ahead = (x: Tensor): Tensor => slice(x, { axis: 1, start: inputLength, end: all });

    const { known, observed } = embedded(g.scope('embedding'), inputs, options);
    const contexts = staticContexts(g, inputs, options);
    const past = concat([...observed.before, slice(known, { axis: 1, start: 0, end: inputLength }), observed.target], {
      axis: 2,
    }); // [batch, time, variable, hidden]
    const pastPicked = pick(g.scope('history/pick'), past, options, contexts.selection); // [batch, time, hidden]
    const futurePicked = pick(g.scope('future/pick'), ahead(known), options, contexts.selection); // [batch, horizon, hidden]
    const picked = concat([pastPicked, futurePicked], { axis: 1 }); // [batch, time + horizon, hidden]

    const history = read(g.scope('history/steps'), pastPicked, options, contexts.starts);
    const future = read(g.scope('future/steps'), futurePicked, options, history.ends);
    const states = concat([history.states, future.states], { axis: 1 }); // [batch, time + horizon, hidden]
    const temporal = gatedSum(g.scope('input-gate'), states, picked);

    const enriched = grn(g.scope('enrichment'), temporal, { ...options, context: contexts.enrichment });
    const attended = attend(g.scope('attention'), enriched, options); // [batch, horizon, hidden]
    const fused = gatedSum(g.scope('attention-gate'), attended, ahead(enriched));
    const refined = grn(g.scope('refinement'), fused, options);
    const decoded = gatedSum(g.scope('decoder-gate'), refined, ahead(temporal)); // [batch, horizon, hidden]
    return linear(g.scope('out'), decoded, outputs); // [batch, horizon, outputs]
  },

  reference: {
    model: 'TFT',
    hyperparameters: {
      hidden: 'hidden_size',
      heads: 'n_head',
      layers: 'n_rnn_layers',
      cell: { name: 'rnn_type', read: (name) => String(name).toLowerCase() },
      sharedStart: 'one_rnn_initial_state',
      activation: {
        name: 'grn_activation',
        read: (name) => ({ ...referenceActivation, ELU: 'elu', GELU: 'gelu' })[String(name)] ?? name,
      },
      dropout: 'dropout',
      attentionDropout: 'attn_dropout',
    },
    parameter: (path, { layers, sharedStart }) => {
      const [, place, inner, kind] = /^(?:(.+)\/)?([^/]+)\/([^/]+)$/.exec(path) as unknown as [string, string | undefined, string, string]; // prettier-ignore
      if (place === 'embedding') return { name: `embedding.${kinds[inner]}_embedding_${kind}` };
      if (place === undefined) return linearParameter('output_adapter', kind);
      const steps = /^(history|future)\/steps\/(.*)$/.exec(path);
      if (steps) {
        const parameter = encoderParameter(steps[2]!);
        return { ...parameter, name: parameter.name.replace('hist', `temporal_encoder.${steps[1]}`) };
      }
      const gate = gates[place];
      const block = place
        .replace('/joint', '.joint_grn')
        .replace('/variable', '.var_grns.')
        .replace('static/pick', 'static_encoder.vsn')
        .replace(/(history|future)\/pick/, 'temporal_encoder.$1_vsn')
        .replace('static/selection', 'static_encoder.context_grns.0')
        .replace('static/enrichment', 'static_encoder.context_grns.1')
        .replace(/static\/state(\d+)/, (_, i) => `static_encoder.context_grns.${2 + Number(i)}`)
        .replace(
          /static\/cell(\d+)/,
          (_, i) => `static_encoder.context_grns.${2 + (sharedStart === true ? 1 : Number(layers)) + Number(i)}`,
        )
        .replace('enrichment', 'temporal_fusion_decoder.enrichment_grn')
        .replace('refinement', 'temporal_fusion_decoder.positionwise_grn')
        .replace(/^attention$/, 'temporal_fusion_decoder.attention');
      if (inner === 'norm') return { name: `${gate?.norm ?? `${block}.layer_norm.ln`}.${kind}` };
      return linearParameter(gate && inner === 'gate' ? `${gate.gate}.lin` : `${block}.${maps[inner]}`, kind);
    },
  },
});

const kinds: Record<string, string> = {
  static: 'stat_exog',
  future: 'futr_exog',
  historic: 'hist_exog',
  target: 'tgt',
};
const maps: Record<string, string> = {
  input: 'lin_a',
  context: 'lin_c',
  hidden: 'lin_i',
  gate: 'glu.lin',
  skip: 'out_proj',
  all: 'qkv_linears',
  output: 'out_proj',
};
const gates: Record<string, { readonly gate: string; readonly norm: string }> = {
  'input-gate': { gate: 'temporal_encoder.input_gate', norm: 'temporal_encoder.input_gate_ln' },
  'attention-gate': { gate: 'temporal_fusion_decoder.attention_gate', norm: 'temporal_fusion_decoder.attention_ln' },
  'decoder-gate': { gate: 'temporal_fusion_decoder.decoder_gate', norm: 'temporal_fusion_decoder.decoder_ln' },
};

/** Every column as a vector of its own: `[…, columns]` → `[…, columns, hidden]` */
function embed(g: Scope, x: Tensor, hidden: number): Tensor {
  const columns = x.shape.at(-1) as number;
  const spread = { kind: 'normal', deviation: Math.sqrt(2 / (columns + hidden)) } as const;
  const vectors = g.parameter('vectors', [columns, hidden], spread);
  const bias = g.parameter('bias', [columns, hidden], { kind: 'constant', value: 0 });
  return add(mul(reshape(x, { shape: [...x.shape, 1] }), vectors), bias);
}

/** What changes over time, column by column. Without a column known in advance, the last value stands for one. */
function embedded(
  g: Scope,
  { past, historic, future }: ModelInputs,
  { inputLength, horizon, hidden }: Hyperparameters,
) {
  const last = (): Tensor => slice(past, { axis: 1, start: inputLength - 1, end: inputLength }); // [batch, 1, 1]
  const known = future ?? broadcastTo(last(), { shape: [g.batch, inputLength + horizon, 1] });
  return {
    known: embed(g.scope('future'), known, hidden), // [batch, time + horizon, future, hidden]
    observed: {
      before: historic ? [embed(g.scope('historic'), historic, hidden)] : [], // [batch, time, historic, hidden]
      target: embed(g.scope('target'), past, hidden), // [batch, time, 1, hidden]
    },
  };
}

/** What is known of the series, for those who ask: contexts `[batch, 1, hidden]`, and where each recurrent layer starts. */
function staticContexts(g: Scope, inputs: ModelInputs, options: Hyperparameters) {
  const { hidden, layers, cell, sharedStart } = options;
  if (inputs.static === undefined) {
    const nothing = constant(new Float32Array(hidden), [1, 1, hidden]);
    return { selection: nothing, enrichment: nothing, starts: [] };
  }
  const columns = embed(g.scope('embedding/static'), inputs.static, hidden); // [batch, static, hidden]
  const asStep = reshape(columns, { shape: [g.batch, 1, inputs.static.shape[1]!, hidden] });
  const scope = g.scope('static');
  const picked = pick(scope.scope('pick'), asStep, options); // [batch, 1, hidden]
  const context = (name: string): Tensor => grn(scope.scope(name), picked, { ...options, activation: 'elu' });
  const flatContext = (name: string): Tensor => reshape(context(name), { shape: [g.batch, hidden] });
  const starts: Carry[] = Array.from({ length: sharedStart ? 1 : layers }, (_, i) => ({
    state: flatContext(`state${i}`),
    ...(cell === 'lstm' && { cell: flatContext(`cell${i}`) }),
  }));
  return {
    selection: context('selection'),
    enrichment: context('enrichment'),
    starts: Array.from({ length: layers }, (_, layer) => starts[sharedStart ? 0 : layer]!),
  };
}

/** The variables of a step, each changed by a network of its own and weighted by what all say. `[batch, time, variable, hidden]` → `[batch, time, hidden]` */
function pick(g: Scope, x: Tensor, options: Hyperparameters, context?: Tensor): Tensor {
  const [batch, time, variables, hidden] = x.shape as [number, number, number, number];
  const together = reshape(x, { shape: [batch, time, variables * hidden] });
  const scores = grn(g.scope('joint'), together, { ...options, dropout: 0, width: variables, context });
  const shares = softmax(scores, { axis: -1 }); // [batch, time, variable]
  const parts = Array.from({ length: variables }, (_, i) => {
    const variable = reshape(slice(x, { axis: 2, start: i, end: i + 1 }), { shape: [batch, time, hidden] });
    return mul(grn(g.scope(`variable${i}`), variable, options), slice(shares, { axis: 2, start: i, end: i + 1 }));
  });
  return addAll(parts);
}

interface GrnOptions extends Pick<Hyperparameters, 'hidden' | 'dropout' | 'activation'> {
  /** Of the result, where it is not that of the input. */
  readonly width?: number;
  readonly context?: Tensor | undefined;
}

/** Gated residual network: two layers whose result a gate lets through, beside the input. `[batch, time, columns]` */
function grn(g: Scope, x: Tensor, { hidden, width, context, activation, ...options }: GrnOptions): Tensor {
  const read = linear(g.scope('input'), x, hidden);
  const sum = context ? add(read, linear(g.scope('context'), context, hidden, { bias: false })) : read;
  const changed = dropout(g, linear(g.scope('hidden'), bends[activation](sum), hidden), options.dropout);
  return gatedSum(g, changed, width === undefined ? x : linear(g.scope('skip'), x, width), width !== 1);
}

/** As much of a change as its gate lets through is added to what was there. */
function gatedSum(g: Scope, change: Tensor, kept: Tensor, norm = true): Tensor {
  const width = kept.shape.at(-1) as number;
  const both = linear(g.scope('gate'), change, 2 * width);
  const [value, gate] = [0, 1].map((i) => slice(both, { axis: 2, start: i * width, end: (i + 1) * width }));
  const sum = add(mul(value!, sigmoid(gate!)), kept);
  return norm ? layerNorm(g.scope('norm'), sum, { eps: 1e-3 }) : sum;
}

/** The recurrent layers over some steps, from given states or from zero. `[batch, time, hidden]` */
function read(g: Scope, x: Tensor, { hidden, layers, cell }: Hyperparameters, starts: readonly Carry[]) {
  const layer = cell === 'lstm' ? carriedLstm : carriedGru;
  const ends: Carry[] = [];
  let states = batchFirst(x); // [time, batch, hidden]
  for (let i = 0; i < layers; i++) {
    const result = layer(g.scope(`layer${i}`), states, { hidden, bias: true }, starts[i]);
    states = result.states;
    ends.push(result.end);
  }
  return { states: batchFirst(states), ends };
}

/**
 * Attention whose heads share the values, so that their mean weight says what a step looked at. Each step of the horizon
 * looks at itself and all before it. `[batch, time + horizon, hidden]` → `[batch, horizon, hidden]`
 */
function attend(g: Scope, x: Tensor, { inputLength, horizon, hidden, heads, ...options }: Hyperparameters): Tensor {
  const all = inputLength + horizon;
  const width = hidden / heads;
  const joined = linear(g.scope('all'), x, (2 * heads + 1) * width, { bias: false });
  const part = (start: number, count: number): Tensor =>
    reshape(slice(joined, { axis: 2, start: start * width, end: (start + count) * width }), {
      shape: [g.batch, all, count, width],
    });
  const ahead = slice(part(0, heads), { axis: 1, start: inputLength, end: all });
  const query = transpose(ahead, { order: [0, 2, 1, 3] }); // [batch, head, horizon, width]
  const key = transpose(part(heads, heads), { order: [0, 2, 3, 1] }); // [batch, head, width, time + horizon]
  const value = reshape(part(2 * heads, 1), { shape: [g.batch, all, width] }); // [batch, time + horizon, width]

  const unseen = Float32Array.from({ length: horizon * all }, (_, i) =>
    i % all > inputLength + Math.floor(i / all) ? -1e9 : 0,
  );
  const scores = add(mul(matmul(query, key), Math.sqrt(1 / width)), constant(unseen, [horizon, all]));
  const weights = dropout(g.scope('weights'), softmax(scores, { axis: -1 }), options.attentionDropout);
  const gathered = matmul(mean(weights, { axes: [1] }), value); // [batch, horizon, width]
  return dropout(g, linear(g.scope('output'), gathered, hidden, { bias: false }), options.dropout);
}
