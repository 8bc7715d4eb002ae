import { z } from 'zod';
import { add, constant, greater, mul, sub, type Scope, type Tensor } from '../graph/index.js';
import { positionCodes } from './blocks/embedding.js';
import { layerOf, starEncoder, starHyperparameters, starReference, winners, starSearch } from './blocks/star.js';
import { defineModel } from './model.js';

/**
 * SOFTSSharp: SOFTS that also tells the series apart, by a code of their order, which training leaves out at times.
 * Use it where SOFTS mixes up series that look alike.
 */
export const softssharp = defineModel({
  id: 'softssharp',
  title: 'SOFTSSharp',
  paper: 'https://arxiv.org/abs/2404.14197',
  capabilities: { series: 'many', covariates: [], mode: 'direct', quantization: 'B' },

  search: { ...starSearch, keepPosition: [0.25, 0.5, 0.75, 1] },
  hyperparameters: starHyperparameters.extend({
    keepPosition: z.number().min(0).max(1).default(0.5).describe('how often training adds the code of the order'),
  }),

  build(g, inputs, { keepPosition, ...options }) {
    const { series, hidden } = options;
    const codes = constant(positionCodes(series, hidden), [series, hidden]); // [series, hidden]
    const place = (part: Scope, x: Tensor): Tensor => {
      const scale = part.parameter('scale', [1], { kind: 'constant', value: 1 });
      const share = part.training ? kept(part, keepPosition) : keepPosition;
      return add(x, mul(mul(codes, scale), share)); // [batch, series, hidden]
    };
    return starEncoder(g, inputs, { ...options, place, innerDropout: options.dropout });
  },

  reference: {
    model: 'SOFTSSharp',
    hyperparameters: { ...starReference.hyperparameters, keepPosition: 'pe_keep_prob' },
    parameter: (path) => {
      if (path.endsWith('/missed')) return undefined;
      if (!path.endsWith('/position/scale')) return starReference.parameter(path);
      return { name: `encoder.attn_layers.${layerOf(path)}.attention.pe_scale` };
    },
    draw: (path) => {
      if (!/\/(skip|race)$/.test(path)) return;
      const number = 2 * layerOf(path);
      return path.endsWith('/skip')
        ? { name: (pass) => `${pass}.${number}`, read: (values) => values }
        : { name: (pass) => `${pass}.${number + 1}`, read: winners };
    },
  },
});

/** 1 or, in training steps that leave the codes out, 0; their scale does not learn in those. */
function kept(g: Scope, probability: number): Tensor {
  const share = greater(probability, g.uniform('skip', [1]));
  const missed = g.scope('scale').state('missed', [1], { kind: 'constant', value: 0 });
  g.update(missed, add(missed, sub(1, share)));
  return share;
}
