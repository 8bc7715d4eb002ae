import { z } from 'zod';
import {
  add,
  concat,
  mul,
  pad,
  reshape,
  sigmoid,
  size,
  slice,
  tanh,
  transpose,
  type Dim,
  type Tensor,
} from '../graph/index.js';
import { pastColumns } from './blocks/columns.js';
import { linear, linearMap } from './blocks/linear.js';
import {
  decoderHyperparameters,
  decoderParameter,
  decoderReference,
  decodeOverTime,
  decoderSearch,
} from './blocks/mlp-decoder.js';
import {
  encoderParameter,
  ended,
  gruLayer,
  lstmLayer,
  rnnLayer,
  stateAt,
  type RecurrentLayer,
} from './blocks/recurrent-encoder.js';
import { linearParameter } from './blocks/reference.js';
import { stepsAgo } from './blocks/memory.js';
import { defineModel, task, type ReferenceParameter } from './model.js';

/** A cell whose gates also read its memory, and whose output adds its input (https://arxiv.org/abs/1701.03360). Step by step: it is rare. */
const resLstmLayer: RecurrentLayer = (g, x, { hidden }) => {
  const [time, batch, columns] = x.shape as [number, number, number];
  const fromInput = linear(g.scope('input'), x, 3 * hidden); // [time, batch, 3·hidden]
  const skip = columns === hidden ? x : linear(g.scope('skip'), x, hidden, { bias: false }); // [time, batch, hidden]
  const at = (all: Tensor, t: number): Tensor =>
    reshape(slice(all, { axis: 0, start: t, end: t + 1 }), { shape: [batch, all.shape[2]!] });
  const state = linearMap(g.scope('state'), hidden, 3 * hidden);
  const cell = linearMap(g.scope('cell'), hidden, 3 * hidden);
  const candidate = linearMap(g.scope('candidate'), hidden, hidden);

  let h = stateAt(g, fromInput, hidden); // [batch, hidden]
  let c = g.streaming ? g.carry('cell', h.shape) : h;
  const states: Tensor[] = [];
  for (let t = 0; t < time; t++) {
    const gates = sigmoid(add(add(at(fromInput, t), state(h)), cell(c))); // [batch, 3·hidden]
    const [input, forget, output] = [0, 1, 2].map((n) =>
      slice(gates, { axis: 1, start: n * hidden, end: (n + 1) * hidden }),
    ) as [Tensor, Tensor, Tensor];
    c = add(mul(forget, c), mul(input, tanh(candidate(h))));
    h = mul(output, add(tanh(c), at(skip, t)));
    states.push(reshape(h, { shape: [1, batch, hidden] }));
  }
  ended(g, { state: h, cell: c });
  return concat(states, { axis: 0 }); // [time, batch, hidden]
};

const cells = { lstm: lstmLayer, gru: gruLayer, rnn: rnnLayer, 'res-lstm': resLstmLayer };
type Cell = keyof typeof cells;

/**
 * DilatedRNN: recurrent layers that skip steps, each with a wider stride, remember long windows at little cost. For long
 * periods in series that are sampled often.
 */
export const dilatedrnn = defineModel({
  id: 'dilatedrnn',
  title: 'DilatedRNN',
  paper: 'https://arxiv.org/abs/1710.02224',
  capabilities: {
    series: 'one',
    covariates: ['historic', 'future', 'static'],
    mode: 'direct',
    quantization: 'C',
    streams: 'always',
  },

  search: {
    ...decoderSearch,
    cell: ['lstm', 'gru'],
    dilations: [
      [
        [1, 2],
        [4, 8],
      ],
      [[1, 2, 4, 8]],
    ],
    hidden: [16, 32, 64, 128],
  },
  hyperparameters: task.extend({
    cell: z
      .enum(Object.keys(cells) as [Cell, ...Cell[]])
      .default('lstm')
      .describe('kind of the recurrent layers'),
    dilations: z
      .array(z.array(z.int().min(1)).min(1))
      .min(1)
      .default([
        [1, 2],
        [4, 8],
      ])
      .describe('steps from one state to the next, one entry per layer, in groups; a group adds what it reads'),
    hidden: z.int().min(1).default(128).describe('width of the states'),
    ...decoderHyperparameters,
  }),

  build(g, inputs, { horizon, outputs, cell, dilations, hidden, ...options }) {
    let states = transpose(pastColumns(inputs), { order: [1, 0, 2] }); // [time, batch, columns]
    for (const [group, strides] of dilations.entries()) {
      const read = states;
      for (const [layer, stride] of strides.entries()) {
        const scope = g.scope(`group${group}`).scope(`layer${layer}`);
        const ago = g.streaming ? stepsAgo(scope, stride) : scope;
        const layered = (x: Tensor): Tensor => cells[cell](ago, x, { hidden, bias: true });
        states = g.streaming ? layered(states) : dilated(states, stride, layered); // [time, batch, hidden]
      }
      if (group > 0) states = add(states, read);
    }
    const timeLast = transpose(states, { order: [1, 2, 0] }); // [batch, hidden, time]
    return decodeOverTime(g, timeLast, inputs, { ...options, horizon, outputs }); // [batch, horizon, outputs]
  },

  reference: {
    model: 'DilatedRNN',
    hyperparameters: {
      cell: { name: 'cell_type', read: (name) => (name === 'ResLSTM' ? 'res-lstm' : String(name).toLowerCase()) },
      dilations: 'dilations',
      hidden: 'encoder_hidden_size',
      ...decoderReference,
    },
    parameter: (path, { cell }) => {
      const [part, rest] = path.split(/\/(.*)/) as [string, string];
      if (part === 'decoder') return decoderParameter(rest);
      if (part === 'adapter') return linearParameter('context_adapter', rest);
      const [layer, side] = rest.split(/\/(.*)/) as [string, string];
      const place = `rnn_stack.${part.replace('group', '')}.cells.${layer.replace('layer', '')}`;
      if (cell === 'res-lstm') return resLstmParameter(`${place}.cell`, side);
      const { name, ...layout } = encoderParameter(`layer0/${side}`);
      return { name: name.replace('hist_encoder', place), ...layout };
    },
  },
});

function resLstmParameter(place: string, path: string): ReferenceParameter {
  const [side, kind] = path.split('/') as [string, string];
  const { name, ...layout } = linearParameter(place, kind);
  return { name: `${name}_${resLstmSides[side]}`, ...layout };
}
const resLstmSides: Readonly<Record<string, string>> = {
  input: 'ii',
  state: 'ih',
  cell: 'ic',
  candidate: 'hh',
  skip: 'ir',
};

/** A layer on every `stride`-th step: as many interleaved sequences, each a window of its own to the layer. `[time, batch, columns]` → `[time, batch, hidden]` */
function dilated(x: Tensor, stride: number, layer: (x: Tensor) => Tensor): Tensor {
  const [time, batch, columns] = x.shape as [number, Dim, number];
  const steps = Math.ceil(time / stride);
  const whole = pad(x, { axis: 0, before: 0, after: steps * stride - time }); // [steps·stride, batch, columns]
  const interleaved = size([stride, batch]);
  const states = layer(reshape(whole, { shape: [steps, interleaved, columns] })); // [steps, stride·batch, hidden]
  const inOrder = reshape(states, { shape: [steps * stride, batch, states.shape[2]!] });
  return slice(inOrder, { axis: 0, start: 0, end: time });
}
