/** Every model with small hyperparameters and all the covariates it reads: what the contract runs on. */
import type { z } from 'zod';
import { initOf, leafName, type Graph, type NdArray, type Tensor } from '../../src/graph/index.js';
import { elements } from '../../src/graph/ndarray.js';
import { findModel, models } from '../../src/models/index.js';
import type { Model } from '../../src/models/model.js';
import { seeded } from '../graph/ops/samples.js';

/** What each model adds to the task; a model without an entry fails the contract. */
const own: Record<string, Record<string, unknown>> = {
  dlinear: { kernel: 3 },
  nlinear: {},
  mlp: { hidden: 5 },
  nhits: { blocks: [1, 2], hidden: [4, 5], pool: [3, 1], downsample: [2, 1], activation: 'prelu', dropout: 0.3 },
  gru: { hidden: 4, decoderHidden: 5, dropout: 0.3 },
  lstm: { hidden: 4, decoderHidden: 5, dropout: 0.3 },
  tcn: { hidden: 4, dilations: [1, 2], decoderHidden: 5 },
  informer: { hidden: 4, heads: 2, feedForward: 3, factor: 1, dropout: 0.2 },
  autoformer: { hidden: 4, heads: 2, feedForward: 3, layers: 1, kernel: 3, dropout: 0.2 },
  fedformer: { hidden: 8, feedForward: 3, layers: 1, modes: 2, kernel: 3, dropout: 0.2 },
  timesnet: { hidden: 3, convolution: 2, periods: 2, kernels: 2, layers: 1, dropout: 0.2 },
  vanillatransformer: { hidden: 4, heads: 2, feedForward: 3, layers: 1, dropout: 0.2 },
  patchtst: { hidden: 8, heads: 2, feedForward: 6, layers: 2, patch: 4, stride: 2, affine: true },
  timellm: {
    patch: 4,
    stride: 2,
    hidden: 4,
    heads: 2,
    keys: 3,
    prototypes: 5,
    promptTokens: 2,
    dropout: 0.2,
    language: { vocabulary: 7, positions: 12, width: 6, layers: 1, heads: 2, inner: 5 },
  },
  hint: {
    base: 'mlp',
    baseOptions: { hidden: 5 },
    summing: [
      [1, 1],
      [1, 0],
      [0, 1],
    ],
    reconciliation: 'min-trace-wls',
    samples: 8,
  },
  tide: { hidden: 5, decoderOutput: 3, temporalHidden: 4, covariateWidth: 2, decoderLayers: 2, dropout: 0.3 },
  deepnpts: { hidden: 5, dropout: 0.3 },
  nbeats: { hidden: [4, 5], blocks: [1, 2, 1], shared: true, activation: 'tanh' },
  nbeatsx: { stacks: ['trend', 'season', 'exogenous'], hidden: [4, 5], dropout: 0.3 },
  tft: { inputLength: 3, horizon: 2, future: 1, static: 2, hidden: 4, heads: 2, dropout: 0.3, attentionDropout: 0.2 },
  mlpmultivariate: { hidden: 5 },
  tsmixer: { hidden: 5, blocks: 1, dropout: 0.3 },
  tsmixerx: { hidden: 5, blocks: 1, dropout: 0.3 },
  itransformer: { hidden: 4, heads: 2, feedForward: 3, layers: 1, dropout: 0.2 },
  xlinear: {
    hidden: 4,
    timeGate: 5,
    seriesGate: 3,
    timeDropout: 0.3,
    seriesDropout: 0.3,
    embeddingDropout: 0.3,
    headDropout: 0.3,
  },
  timexer: { patch: 3, hidden: 4, heads: 2, feedForward: 3, layers: 1, dropout: 0.2 },
  rmok: { taylor: 2, jacobi: 3, dropout: 0.2 },
  softs: { hidden: 4, core: 3, feedForward: 5, layers: 1, dropout: 0.2 },
  stemgnn: { width: 1, dropout: 0.3 },
  timemixer: { hidden: 4, feedForward: 3, layers: 1, kernel: 3, scales: 2, dropout: 0.2 },
  kan: { inputLength: 5, horizon: 3, hidden: [3], grid: 3 },
  softssharp: { hidden: 4, core: 3, feedForward: 5, layers: 1, dropout: 0.2 },
  rnn: { hidden: 4, decoderHidden: 5, dropout: 0.3 },
  deepar: { hidden: 4, decoderLayers: 1, decoderHidden: 5, dropout: 0.3 },
  bitcn: { hidden: 3, dropout: 0.3 },
  dilatedrnn: { cell: 'res-lstm', dilations: [[1, 3], [2]], hidden: 4, decoderHidden: 5 },
  xlstm: { inputLength: 5, hidden: 4, blocks: 1, dropout: 0.2, decoderHidden: 3 },
};

export interface ModelCase {
  readonly id: string;
  readonly model: Model;
  readonly hyperparameters: Record<string, unknown>;
}

/** The models, and the static variants of those that choose by the data. */
const variants: readonly ModelCase[] = [
  ...models.map((model) => ({ id: model.id, model, hyperparameters: {} })),
  ...(['autoformer', 'informer', 'timesnet'] as const).map((id) => ({
    id: `${id}, static`,
    model: findModel(id),
    hyperparameters: { selection: 'static', ...(id !== 'informer' && { seasons: [4] }) },
  })),
];

export const modelCases: ModelCase[] = variants.map(({ id, model, hyperparameters }) => ({
  id,
  model,
  hyperparameters: {
    inputLength: 8,
    horizon: 4,
    outputs: 1,
    series: model.capabilities.series === 'many' ? 3 : 1,
    ...Object.fromEntries(model.capabilities.covariates.map((kind, i) => [kind, i + 1])),
    ...own[model.id],
    ...hyperparameters,
  },
}));

/** Of each what a model has: wide enough that quantizing is worth it, and small enough to learn in a second. */
const wide: Record<string, unknown> = {
  inputLength: 32,
  horizon: 8,
  hidden: 32,
  core: 32,
  feedForward: 32,
  decoderHidden: 32,
  temporalHidden: 32,
  timeGate: 32,
  convolution: 32,
  layers: 1,
  blocks: 1,
  heads: 2,
  patch: 8,
  stride: 4,
  modes: 4,
  kernels: 2,
  dropout: 0,
};
const ownWide: Record<string, Record<string, unknown>> = {
  nlinear: { inputLength: 64, horizon: 16 },
  nhits: { hidden: [32, 32] },
  nbeats: { hidden: [32, 32] },
  nbeatsx: { hidden: [32, 32] },
  stemgnn: { width: 1 },
  hint: { base: 'mlp', baseOptions: { hidden: 32 } },
};

/** The same without covariates, for learning something; TimeLLM needs a language model of the user. */
export const wideCases: ModelCase[] = variants.map(({ id, model, hyperparameters }) => {
  const fields: Record<string, z.ZodType> = model.hyperparameters.shape;
  const known = Object.entries(wide).filter(([name, value]) => fields[name]?.safeParse(value).success);
  return { id, model, hyperparameters: { ...Object.fromEntries(known), ...ownWide[model.id], ...hyperparameters } };
});

/** Seeded values for all that a graph is fed with; parameters get values of ordinary size, draws lie in [0, 1). */
export function randomFeeds(graph: Graph, batch: number, seed: number): Record<string, NdArray> {
  const random = seeded(seed);
  const filled = (tensor: Tensor, value: () => number): [string, NdArray] => {
    const shape = tensor.shape.map((dim) => (typeof dim === 'number' ? dim : batch));
    return [
      leafName(tensor),
      { data: Float64Array.from({ length: elements(shape) }, () => Math.fround(value())), shape },
    ];
  };
  const around = (centre: number, spread: number) => () => centre + spread * (2 * random() - 1);
  const centreOf = (tensor: Tensor): number => {
    const init = initOf(tensor);
    return init.kind === 'constant' ? init.value : 0;
  };
  return Object.fromEntries([
    ...graph.inputs.map((tensor) =>
      filled(tensor, leafName(tensor).toLowerCase().includes('mask') ? () => (random() < 0.8 ? 1 : 0) : around(0, 2)),
    ),
    ...graph.parameters.map((tensor) => filled(tensor, around(centreOf(tensor), 0.5))),
    ...graph.states.map((tensor) => filled(tensor, around(centreOf(tensor), 0.5))),
    ...graph.draws.map((tensor) => filled(tensor, random)),
  ]);
}
