/** How training is set up: one schema of options, and one table of what models want otherwise (FORECASTING.md §2). */
import { z } from 'zod';
import { providers } from '../contracts/provider.js';
import { NeuroDivergentError } from '../errors.js';

export const scheduleNames = ['none', 'step', 'cosine'] as const;
const precisionNames = ['fp32', 'mixed'] as const;

export const trainOptions = z.strictObject({
  maxSteps: z.int().min(1).default(1000).describe('training steps'),
  learningRate: z.number().gt(0).max(1).default(1e-3).describe('step size of Adam'),
  schedule: z.enum(scheduleNames).default('none').describe('how the learning rate falls'),
  windowsBatchSize: z.int().min(1).max(65_536).default(1024).describe('windows per step, drawn from all series'),
  clipNorm: z.number().gt(0).default(1).describe('largest norm of the gradient'),
  weightDecay: z.number().min(0).max(1).default(0).describe('decoupled weight decay (AdamW)'),
  valCheckSteps: z.int().min(1).default(100).describe('steps between two looks at the validation part'),
  patience: z.int().min(-1).default(-1).describe('checks without improvement before training stops; -1 never stops'),
  minAvailable: z.number().min(0).max(1).default(0).describe('share of a window that must be observed'),
  windowStep: z.int().min(1).default(1).describe('distance of neighbouring windows'),
  seed: z.int().min(0).default(1).describe('seed of every random draw'),
  checkpointing: z
    .boolean()
    .default(false)
    .describe('compute activations again in the backward pass instead of keeping them: half the memory, more time'),
  threads: z.int().min(1).max(64).default(2).describe('threads of the engine; results are equal for an equal number'),
  provider: z.enum(providers).default('cpu').describe('what computes: the processor, or a graphics card'),
  precision: z.enum(precisionNames).default('fp32').describe('mixed: products in FP16, which GPUs have units for'),
  mixedOnCpu: z.boolean().default(false).describe('allow mixed precision on a CPU, where it costs time'),
});
export type TrainSettings = z.output<typeof trainOptions>;
export type TrainOptions = z.input<typeof trainOptions>;

const long = { maxSteps: 5000, learningRate: 1e-4 } as const;
const recurrent = { windowsBatchSize: 128 } as const;
/** A window of theirs holds many series. */
const together = { windowsBatchSize: 32 } as const;

/** By model id. Whoever passes an option of his own wins over this table. */
const exceptions: Readonly<Record<string, TrainOptions>> = {
  dlinear: long,
  nlinear: long,
  patchtst: long,
  nhits: { schedule: 'step' },
  nbeats: { schedule: 'step' },
  nbeatsx: { schedule: 'step' },
  deepar: { schedule: 'step' },
  dilatedrnn: { ...recurrent, schedule: 'step' },
  gru: recurrent,
  lstm: recurrent,
  rnn: recurrent,
  xlstm: recurrent,
  tcn: recurrent,
  vanillatransformer: long,
  informer: long,
  autoformer: long,
  fedformer: long,
  timesnet: { learningRate: 1e-4, windowsBatchSize: 64 },
  timellm: { learningRate: 1e-4, windowsBatchSize: 32 },
  deepnpts: { schedule: 'step' },
  itransformer: together,
  mlpmultivariate: together,
  rmok: together,
  softs: together,
  softssharp: together,
  timemixer: together,
  timexer: together,
  tsmixer: together,
  tsmixerx: together,
  xlinear: together,
  stemgnn: { ...together, schedule: 'step' },
};

/** Options with the defaults of this model. Throws `ND_CONFIG_OUT_OF_RANGE`, `ND_CONFIG_UNKNOWN_KEY`, naming every fault, and `ND_CONFIG_CONFLICT`. */
export function trainSettings(model: string, options: TrainOptions = {}): TrainSettings {
  const result = trainOptions.safeParse({ ...exceptions[model], ...defined(options) });
  if (result.success) return refuseSlowPrecision(result.data);
  const { issues } = result.error;
  throw new NeuroDivergentError(
    issues.some(({ code }) => code === 'unrecognized_keys') ? 'ND_CONFIG_UNKNOWN_KEY' : 'ND_CONFIG_OUT_OF_RANGE',
    {
      where: 'train',
      what: `${issues.map(({ path, message }) => (path.length > 0 ? `${path.join('.')}: ${message}` : message)).join('; ')}.`,
      mend: `The options are ${Object.keys(trainOptions.shape).join(', ')}.`,
    },
  );
}

/** ONNX Runtime computes FP16 in FP32 on a CPU: there, mixed precision is for trying it out. */
function refuseSlowPrecision(settings: TrainSettings): TrainSettings {
  if (settings.precision === 'fp32' || settings.provider !== 'cpu' || settings.mixedOnCpu) return settings;
  throw new NeuroDivergentError('ND_CONFIG_CONFLICT', {
    where: 'train.precision',
    what: 'Mixed precision costs time on a CPU, it saves none.',
    mend: 'Train in fp32, name a `provider` that has units for it, or set `mixedOnCpu: true` to try it.',
  });
}

/** Without the keys that are there but undefined, as command line parsers leave them. */
const defined = (options: TrainOptions): TrainOptions =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
