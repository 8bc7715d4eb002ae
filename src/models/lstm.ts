import { z } from 'zod';
import { add, concat, matmul, mul, reshape, sigmoid, slice, tanh, type Tensor } from '../graph/index.js';
import { fanIn } from './blocks/linear.js';
import {
  batchFirst,
  decodeHorizon,
  decoderHyperparameters,
  decoderParameter,
  decoderReference,
  decoderSearch,
} from './blocks/mlp-decoder.js';
import {
  carriedLstm,
  encoderParameter,
  ended,
  inputSide,
  learnsWithinHorizon,
  lstmBias,
  recurrentEncoder,
  recurrentHyperparameters,
  recurrentReference,
  stateWeight,
  type CarriedLayer,
  recurrentSearch,
} from './blocks/recurrent-encoder.js';
import { linearParameter } from './blocks/reference.js';
import { defineModel, task } from './model.js';

/**
 * LSTM: a recurrent network with a memory cell reads the window; a small decoder turns its last states into the forecast.
 * The general recurrent baseline.
 */
export const lstm = defineModel({
  id: 'lstm',
  title: 'LSTM',
  paper: 'https://doi.org/10.1162/neco.1997.9.8.1735',
  capabilities: {
    series: 'one',
    covariates: ['historic', 'future', 'static'],
    mode: 'both',
    quantization: 'C',
    streams: 'always',
  },

  search: { ...recurrentSearch, ...decoderSearch, hidden: [16, 32, 64, 128] },
  hyperparameters: task
    .extend({
      ...recurrentHyperparameters,
      hidden: z.int().min(1).default(128).describe('width of the state'),
      ...decoderHyperparameters,
    })
    .refine(...learnsWithinHorizon),

  build(g, inputs, options) {
    const { states } = recurrentEncoder(g.scope('encoder'), inputs, carriedLstm, options); // [time, batch, hidden]
    return decodeHorizon(g, states, inputs, options); // [batch, horizon, outputs]
  },

  steps(g, inputs, { outputs, ...options }, starts) {
    const { states, ends } = recurrentEncoder(g.scope('encoder'), inputs, projectedLayer(outputs), options, starts);
    return { forecast: batchFirst(states), ends }; // [batch, time, outputs]
  },

  reference: {
    model: 'LSTM',
    hyperparameters: { ...recurrentReference, ...decoderReference },
    parameter: (path) => {
      const [part, rest] = path.split(/\/(.*)/) as [string, string];
      if (part === 'encoder') return encoderParameter(rest);
      return part === 'decoder' ? decoderParameter(rest) : linearParameter('upsample_sequence', rest);
    },
  },
});

/**
 * A layer whose state is projected to the outputs, and fed back in that form (https://arxiv.org/abs/1402.1128).
 * Written step by step: recurrent mode is rare, and its windows are short.
 */
const projectedLayer =
  (outputs: number): CarriedLayer =>
  (g, x, { hidden, bias }, start) => {
    const [time, batch] = x.shape as [number, number];
    const read = inputSide(g, x, { hidden, gates: 4, bias: bias ? lstmBias(g, hidden) : undefined }); // [time, batch, 4·hidden]
    const weight = stateWeight(g, outputs, hidden, 4);
    const projection = g.scope('projection').parameter('weight', [hidden, outputs], fanIn(hidden));

    const states: Tensor[] = [];
    const from = start ?? (g.streaming ? { state: g.carry('state', [batch, outputs]), cell: g.carry('cell', [batch, hidden]) } : undefined); // prettier-ignore
    let cell = from?.cell;
    for (let t = 0; t < time; t++) {
      const fromInput = reshape(slice(read, { axis: 0, start: t, end: t + 1 }), { shape: [batch, 4 * hidden] });
      const before = states.at(-1) ?? from?.state;
      const gates = before ? add(fromInput, matmul(before, weight)) : fromInput;
      const [i, f, c, o] = [0, 1, 2, 3].map((n) =>
        slice(gates, { axis: 1, start: n * hidden, end: (n + 1) * hidden }),
      ) as [Tensor, Tensor, Tensor, Tensor];
      const written = mul(sigmoid(i), tanh(c)); // [batch, hidden]
      cell = cell ? add(mul(sigmoid(f), cell), written) : written;
      states.push(matmul(mul(sigmoid(o), tanh(cell)), projection)); // [batch, outputs]
    }
    const all = concat(
      states.map((state) => reshape(state, { shape: [1, batch, outputs] })),
      { axis: 0 },
    ); // [time, batch, outputs]
    return { states: all, end: ended(g, { state: states.at(-1)!, cell: cell! }, start) };
  };
