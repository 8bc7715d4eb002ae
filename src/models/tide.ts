import { z } from 'zod';
import { add, concat, relu, reshape, slice, type Scope, type Tensor } from '../graph/index.js';
import { dropout } from './blocks/dropout.js';
import { flat } from './blocks/flat.js';
import { layerNorm } from './blocks/layer-norm.js';
import { linear } from './blocks/linear.js';
import { linearParameter } from './blocks/reference.js';
import { defineModel, task } from './model.js';

const hyperparameters = task.extend({
  hidden: z.int().min(1).default(512).describe('width of the encoder and decoder'),
  decoderOutput: z.int().min(1).default(32).describe('numbers per step that leave the decoder'),
  temporalHidden: z.int().min(1).default(128).describe('width of the map that reads out one step'),
  covariateWidth: z.int().min(1).default(4).describe('numbers per step that stand for the covariates of a kind'),
  encoderLayers: z.int().min(1).default(1).describe('residual layers of the encoder'),
  decoderLayers: z.int().min(1).default(1).describe('residual layers of the decoder'),
  dropout: z.number().min(0).max(0.99).default(0.3).describe('share of each layer zeroed in training'),
  norm: z.boolean().default(true).describe('normalise what each residual layer gives'),
});
type Hyperparameters = z.output<typeof hyperparameters>;

/**
 * TiDE: two-layer maps with a shortcut squeeze the covariates of each step, encode the whole window, and read out each
 * step of the horizon beside its known covariates. Covariates at the cost of an MLP.
 */
export const tide = defineModel({
  id: 'tide',
  title: 'TiDE',
  paper: 'https://arxiv.org/abs/2304.08424',
  capabilities: { series: 'one', covariates: ['historic', 'future', 'static'], mode: 'direct', quantization: 'B' },
  search: {
    hidden: [256, 512, 1024],
    decoderOutput: [8, 16, 32],
    temporalHidden: [32, 64, 128],
    covariateWidth: [4, 8, 16],
    encoderLayers: [1, 2, 3],
    decoderLayers: [1, 2, 3],
    dropout: [0, 0.1, 0.2, 0.3, 0.5],
    norm: [true, false],
  },
  hyperparameters,

  build(g, inputs, options) {
    const { inputLength, horizon, outputs, hidden, decoderOutput, covariateWidth } = options;
    const residual = (name: string, x: Tensor, width: number, inner = hidden): Tensor =>
      residualMlp(g.scope(name), x, { ...options, hidden: inner, width });

    const past = flat(inputs.past); // [batch, time]
    const seen = [past];
    if (inputs.historic) seen.push(flat(residual('historic', inputs.historic, covariateWidth)));
    const known = inputs.future && residual('future', inputs.future, covariateWidth); // [batch, time + horizon, covariateWidth]
    if (known) seen.push(flat(known));
    if (inputs.static) seen.push(inputs.static);

    let state = concat(seen, { axis: 1 }); // [batch, every value of the window]
    for (let layer = 0; layer < options.encoderLayers; layer++) state = residual(`encoder${layer}`, state, hidden);
    for (let layer = 1; layer < options.decoderLayers; layer++) state = residual(`decoder${layer - 1}`, state, hidden); // [batch, hidden]
    const decoded = residual(`decoder${options.decoderLayers - 1}`, state, horizon * decoderOutput);

    const perStep = reshape(decoded, { shape: [g.batch, horizon, decoderOutput] }); // [batch, horizon, decoderOutput]
    const ahead = known && slice(known, { axis: 1, start: inputLength, end: inputLength + horizon });
    const step = ahead ? concat([perStep, ahead], { axis: 2 }) : perStep;
    const nonlinear = residual('temporal', step, outputs, options.temporalHidden); // [batch, horizon, outputs]
    const direct = reshape(linear(g.scope('skip'), past, horizon * outputs), { shape: [g.batch, horizon, outputs] });
    return add(nonlinear, direct); // [batch, horizon, outputs]
  },

  reference: {
    model: 'TiDE',
    hyperparameters: {
      hidden: 'hidden_size',
      decoderOutput: 'decoder_output_dim',
      temporalHidden: 'temporal_decoder_dim',
      covariateWidth: 'temporal_width',
      encoderLayers: 'num_encoder_layers',
      decoderLayers: 'num_decoder_layers',
      dropout: 'dropout',
      norm: 'layernorm',
    },
    parameter: (path) => {
      const [place, part, kind] = path.split('/') as [string, string, string];
      if (place === 'skip') return linearParameter('global_skip', part);
      const [, name, layer] = /^([a-z]+)(\d*)$/.exec(place)!;
      const block = layer ? `${blocks[name!]}.${layer}` : blocks[name!];
      return part === 'norm' ? { name: `${block}.norm.${kind}` } : linearParameter(`${block}.${maps[part]}`, kind);
    },
  },
});

const blocks: Record<string, string> = {
  historic: 'hist_exog_projection',
  future: 'futr_exog_projection',
  encoder: 'dense_encoder',
  decoder: 'dense_decoder',
  temporal: 'temporal_decoder',
};
const maps: Record<string, string> = { wide: 'lin1', narrow: 'lin2', skip: 'skip' };

interface ResidualOptions extends Pick<Hyperparameters, 'hidden' | 'dropout' | 'norm'> {
  readonly width: number;
}

/** Two linear maps with a ReLU between, beside a single one. `[…, columns]` → `[…, width]` */
function residualMlp(g: Scope, x: Tensor, { width, hidden, dropout: probability, norm }: ResidualOptions): Tensor {
  const wide = relu(linear(g.scope('wide'), x, hidden)); // […, hidden]
  const narrow = dropout(g, linear(g.scope('narrow'), wide, width), probability); // […, width]
  const sum = add(narrow, linear(g.scope('skip'), x, width));
  return norm ? layerNorm(g.scope('norm'), sum) : sum;
}
