import { z } from 'zod';
import {
  add,
  addAll,
  concat,
  div,
  exp,
  gelu,
  greater,
  matmul,
  maximum,
  mean,
  mul,
  neg,
  reshape,
  rows,
  sigmoid,
  slice,
  softplus,
  sqrt,
  square,
  stopGradient,
  sub,
  tanh,
  transpose,
  where,
  type Init,
  type Scope,
  type Tensor,
} from '../graph/index.js';
import { activationNames } from './blocks/activation.js';
import { pastColumns } from './blocks/columns.js';
import { dropout } from './blocks/dropout.js';
import { fanIn, linear } from './blocks/linear.js';
import {
  decoderHyperparameters,
  decoderParameter,
  decoderReference,
  decodeOverTime,
  decoderSearch,
} from './blocks/mlp-decoder.js';
import { allReads, nextRead, type Heard } from './blocks/matrix-memory.js';
import { withBefore } from './blocks/memory.js';
import { linearParameter } from './blocks/reference.js';
import { defineModel, task, type ReferenceParameter } from './model.js';

const heads = 4;
const taps = 4;
/** Columns that one block of a query, key or value projection mixes. */
const mixed = 4;
const ones: Init = { kind: 'constant', value: 1 };
const zeros: Init = { kind: 'constant', value: 0 };

/** Inner widths are multiples of 64. */
const roundedUp = (width: number): number => 64 * Math.ceil(width / 64);

const share = z.number().min(0).max(0.99);
const hyperparameters = task
  .extend({
    cell: z.enum(['mlstm', 'slstm']).default('mlstm').describe('memory: a matrix per head, or a number per unit'),
    blocks: z.int().min(1).default(2).describe('blocks of the encoder'),
    hidden: z.int().min(1).default(128).describe('width between the blocks'),
    bias: z.boolean().default(true).describe('biases in the projections of mlstm'),
    dropout: share.default(0.1).describe('share of the output of each block zeroed in training'),
    ...decoderHyperparameters,
    decoderActivation: z.enum(activationNames).default('gelu').describe('between the layers of the decoder'),
    decoderDropout: share.default(0).describe('share of each layer of the decoder zeroed in training'),
  })
  .refine(({ cell, hidden }) => cell === 'mlstm' || hidden % heads === 0, {
    path: ['hidden'],
    message: `hidden must be a multiple of ${heads}, the heads of slstm`,
  });
type Options = z.output<typeof hyperparameters>;

/**
 * xLSTM: recurrent layers with exponential gates, whose memory is a matrix read like attention (mLSTM) or mixes within
 * heads (sLSTM). For long windows where an LSTM forgets.
 */
export const xlstm = defineModel({
  id: 'xlstm',
  title: 'xLSTM',
  paper: 'https://arxiv.org/abs/2405.04517',
  capabilities: {
    series: 'one',
    covariates: ['historic', 'future', 'static'],
    mode: 'direct',
    quantization: 'C',
    streams: 'always',
  },
  search: { ...decoderSearch, blocks: [1, 2, 3], hidden: [16, 32, 64, 128], dropout: [0, 0.1, 0.3, 0.5] },
  hyperparameters,

  build(g, inputs, options) {
    const { cell, blocks, hidden } = options;
    let x = linear(g.scope('embed'), pastColumns(inputs), hidden); // [batch, time, hidden]
    for (let i = 0; i < blocks; i++) {
      const block = g.scope(`block${i}`);
      const normed = groupNorm(block.scope('norm'), x);
      x = add(x, cell === 'mlstm' ? matrixMemory(block, normed, options) : scalarMemory(block, normed, options));
      if (cell === 'slstm') x = add(x, gatedFeedForward(block, groupNorm(block.scope('feedForwardNorm'), x)));
    }
    const states = transpose(groupNorm(g.scope('norm'), x), { order: [0, 2, 1] }); // [batch, hidden, time]
    return decodeOverTime(g, states, inputs, options); // [batch, horizon, outputs]
  },

  reference: {
    model: 'xLSTM',
    hyperparameters: {
      cell: { name: 'backbone', read: (name) => String(name).toLowerCase() },
      blocks: 'encoder_n_blocks',
      hidden: 'encoder_hidden_size',
      bias: 'encoder_bias',
      dropout: 'encoder_dropout',
      ...decoderReference,
      decoderDropout: 'decoder_dropout',
    },
    parameter: (path, { cell }) => {
      const [part, rest] = path.split(/\/(.*)/) as [string, string];
      if (part === 'decoder') return decoderParameter(rest);
      if (part === 'embed') return linearParameter('feature_projection', rest);
      if (part === 'adapter') return linearParameter('temporal_projection', rest);
      if (part === 'norm') return { name: 'hist_encoder.post_blocks_norm.weight' };
      return blockParameter(`hist_encoder.blocks.${part.replace('block', '')}`, rest, cell === 'mlstm');
    },
  },
});

function blockParameter(block: string, path: string, isMatrix: boolean): ReferenceParameter | undefined {
  const [part, kind = ''] = path.split('/') as [string, string?];
  const perHead = (name: string): ReferenceParameter =>
    kind === 'bias' ? { name: `${name}.bias` } : { name: `${name}.weight`, transpose: [0, 2, 1] };
  const gate = (name: string): ReferenceParameter =>
    isMatrix ? linearParameter(`${block}.xlstm.mlstm_cell.${name}`, kind) : perHead(`${block}.xlstm.${swapped[name]!}`);
  const convolution = `${block}.xlstm.conv1d.conv.${kind}`;
  const table: Record<string, () => ReferenceParameter> = {
    norm: () => ({ name: `${block}.xlstm_norm.weight` }),
    feedForwardNorm: () => ({ name: `${block}.ffn_norm.weight` }),
    feedForwardUp: () => linearParameter(`${block}.ffn.proj_up`, kind),
    feedForwardDown: () => linearParameter(`${block}.ffn.proj_down`, kind),
    up: () => linearParameter(`${block}.xlstm.proj_up`, kind),
    down: () => linearParameter(`${block}.xlstm.proj_down`, kind),
    convolution: () => (kind === 'bias' ? { name: convolution } : { name: convolution, transpose: [1, 2, 0] }),
    query: () => perHead(`${block}.xlstm.q_proj`),
    key: () => perHead(`${block}.xlstm.k_proj`),
    value: () => perHead(`${block}.xlstm.v_proj`),
    inputGate: () => gate('igate'),
    forgetGate: () => gate('fgate'),
    memoryGate: () => perHead(`${block}.xlstm.zgate`),
    outputGate: () => perHead(`${block}.xlstm.ogate`),
    headNorm: () => ({ name: `${block}.xlstm.${isMatrix ? 'mlstm_cell.outnorm' : 'group_norm'}.weight` }),
    skip: () => ({ name: `${block}.xlstm.learnable_skip` }),
    state: () =>
      kind === 'bias'
        ? { name: `${block}.xlstm.slstm_cell._bias_` }
        : { name: `${block}.xlstm.slstm_cell._recurrent_kernel_`, transpose: [0, 2, 1] },
  };
  return table[part]?.();
}
/** There the two projections of sLSTM stand under each other's name. */
const swapped: Readonly<Record<string, string>> = { igate: 'fgate', fgate: 'igate' };

/** Mean 0 and variance 1 within each group of columns, then a learned scale, kept as its distance from 1. `[…, columns]` */
function groupNorm(g: Scope, x: Tensor, groups = 1): Tensor {
  const columns = x.shape.at(-1) as number;
  const apart = reshape(x, { shape: [...x.shape.slice(0, -1), groups, columns / groups] });
  const within = { axes: [apart.shape.length - 1], keep: true };
  const centred = sub(apart, mean(apart, within));
  const normal = div(centred, sqrt(add(mean(square(centred), within), 1e-5)));
  return mul(reshape(normal, { shape: x.shape }), add(g.parameter('weight', [columns], zeros), 1));
}

const silu = (x: Tensor): Tensor => mul(x, sigmoid(x));
const part = (x: Tensor, axis: number, start: number, width: number): Tensor =>
  slice(x, { axis, start, end: start + width });

/** Every column over its own last few steps. `[batch, time, columns]` */
function causalConvolution(g: Scope, x: Tensor): Tensor {
  const [, time, columns] = x.shape as [number, number, number];
  const weight = g.parameter('weight', [1, taps, columns], fanIn(taps));
  const seen = withBefore(g, x, taps - 1);
  const terms = Array.from({ length: taps }, (_, tap) => mul(part(seen, 1, tap, time), part(weight, 1, tap, 1)));
  return add(addAll(terms), g.parameter('bias', [columns], fanIn(taps)));
}

/** A linear map within each group of columns. `[batch, time, columns]` */
function perHead(g: Scope, x: Tensor, groups: number, bias: boolean): Tensor {
  const columns = x.shape[2] as number;
  const width = columns / groups;
  const flatRows = rows(x); // [batch·time, columns]
  const apart = transpose(reshape(flatRows, { shape: [flatRows.shape[0]!, groups, width] }), { order: [1, 0, 2] });
  const deviation = Math.sqrt(2 / (5 * columns));
  const product = matmul(apart, g.parameter('weight', [groups, width, width], { kind: 'normal', deviation })); // [group, batch·time, width]
  const together = reshape(transpose(product, { order: [1, 0, 2] }), { shape: x.shape });
  return bias ? add(together, g.parameter('bias', [columns], zeros)) : together;
}

/** mLSTM in its parallel form: a step reads all before it, weighed by what the gates kept. `[batch, time, hidden]` */
function matrixMemory(g: Scope, x: Tensor, { hidden, bias, dropout: probability }: Options): Tensor {
  const time = x.shape[1] as number;
  const inner = roundedUp(2 * hidden);
  const up = linear(g.scope('up'), x, 2 * inner, { bias }); // [batch, time, 2·inner]
  const memory = part(up, 2, 0, inner);
  const local = silu(causalConvolution(g.scope('convolution'), memory)); // [batch, time, inner]
  const query = perHead(g.scope('query'), local, inner / mixed, bias);
  const key = perHead(g.scope('key'), local, inner / mixed, bias);
  const value = perHead(g.scope('value'), memory, inner / mixed, bias);

  const all = concat([query, key, value], { axis: 2 }); // [batch, time, 3·inner]
  const gate = (name: string, start: Init): Tensor => {
    const scope = g.scope(name);
    const product = matmul(all, scope.parameter('weight', [3 * inner, heads], zeros));
    return transpose(add(product, scope.parameter('bias', [heads], start)), { order: [0, 2, 1] }); // [batch, head, time]
  };
  const written = gate('inputGate', { kind: 'normal', deviation: 0.1 });
  const kept = neg(softplus(neg(gate('forgetGate', { kind: 'constant', value: 4.5 })))); // log of the forget gate
  const apart = (t: Tensor, order: readonly number[]): Tensor =>
    transpose(reshape(t, { shape: [g.batch, time, heads, inner / heads] }), { order });
  const heard: Heard = {
    query: apart(query, [0, 2, 1, 3]),
    key: mul(apart(key, [0, 2, 3, 1]), Math.sqrt(heads / inner)),
    value: apart(value, [0, 2, 1, 3]),
    written,
    kept,
  };
  const found = g.streaming ? nextRead(g, heard) : allReads(g, heard); // [batch, head, time, inner/head]
  const states = reshape(transpose(found, { order: [0, 2, 1, 3] }), { shape: [g.batch, time, inner] });
  const passed = add(groupNorm(g.scope('headNorm'), states, heads), mul(g.parameter('skip', [inner], ones), local));
  const down = linear(g.scope('down'), mul(passed, silu(part(up, 2, inner, inner))), hidden, { bias });
  return dropout(g, down, probability);
}

/** sLSTM: exponential gates that see the state of their head. Step by step: each needs the one before. `[batch, time, hidden]` */
function scalarMemory(g: Scope, x: Tensor, { hidden, dropout: probability }: Options): Tensor {
  const time = x.shape[1] as number;
  const local = silu(causalConvolution(g.scope('convolution'), x));
  const width = hidden / heads;
  const fromInput = concat(
    [
      perHead(g.scope('inputGate'), local, heads, false),
      perHead(g.scope('forgetGate'), local, heads, false),
      perHead(g.scope('memoryGate'), x, heads, false),
      perHead(g.scope('outputGate'), x, heads, false),
    ],
    { axis: 2 },
  ); // [batch, time, 4·hidden]
  const state = g.scope('state');
  const weight = state.parameter('weight', [heads, width, 4 * width], fanIn(hidden));
  const bias = transpose(reshape(state.parameter('bias', [4 * hidden], zeros), { shape: [4, heads, width] }), {
    order: [1, 0, 2],
  }); // [head, gate, width]
  const gates = transpose(reshape(fromInput, { shape: [g.batch, time, 4, heads, width] }), { order: [1, 3, 0, 2, 4] }); // [time, head, batch, gate, width]
  const perStep = add(gates, reshape(bias, { shape: [heads, 1, 4, width] }));

  const headFirst = (x: Tensor): Tensor => transpose(x, { order: [1, 0, 2] });
  const carried = (name: string): Tensor | undefined =>
    g.streaming ? headFirst(g.carry(name, [g.batch, heads, width])) : undefined;
  let h = carried('unit'); // [head, batch, width]
  let cell = carried('cell');
  let count = carried('count');
  let scale = carried('scale'); // log of what cell and count are divided by
  const begun = count && greater(count, 0);
  const states: Tensor[] = [];
  for (let t = 0; t < time; t++) {
    const own = reshape(part(perStep, 0, t, 1), { shape: [heads, g.batch, 4 * width] });
    const all = h ? add(own, matmul(h, weight)) : own;
    const [i, f, z, o] = [0, 1, 2, 3].map((n) => part(all, 2, n * width, width)) as [Tensor, Tensor, Tensor, Tensor];
    const old: Tensor | undefined = scale && sub(scale, softplus(neg(f))); // log of what is kept of the memory
    const keep: Tensor | undefined = begun && old ? where(begun, old, -3e38) : old;
    // The scale cancels in cell / count, so nothing need flow through it.
    const next: Tensor = stopGradient(keep ? maximum(i, keep) : i);
    const write = exp(sub(i, next));
    const forget = keep && exp(sub(keep, next));
    const memory = mul(write, tanh(z));
    cell = forget ? add(mul(forget, cell!), memory) : memory;
    count = forget ? add(mul(forget, count!), write) : write;
    scale = next;
    h = div(mul(sigmoid(o), cell), count);
    states.push(reshape(h, { shape: [1, heads, g.batch, width] }));
  }
  if (g.streaming)
    for (const [name, value] of Object.entries({ unit: h!, cell: cell!, count: count!, scale: scale! }))
      g.leave(name, headFirst(value));
  const overTime = transpose(concat(states, { axis: 0 }), { order: [2, 0, 1, 3] }); // [batch, time, head, width]
  const output = dropout(g, reshape(overTime, { shape: [g.batch, time, hidden] }), probability);
  return groupNorm(g.scope('headNorm'), output, heads);
}

/** `[batch, time, hidden]`; one half of the inner columns gates the other. */
function gatedFeedForward(g: Scope, x: Tensor): Tensor {
  const hidden = x.shape[2] as number;
  const inner = roundedUp(1.3 * hidden);
  const up = linear(g.scope('feedForwardUp'), x, 2 * inner, { bias: false });
  const gated = mul(gelu(part(up, 2, 0, inner)), part(up, 2, inner, inner));
  return linear(g.scope('feedForwardDown'), gated, hidden, { bias: false });
}
