/** What a model is: its architecture and nothing else. Learning rate, loss, scaler and seed belong to `train`. */
import { z } from 'zod';
import { NeuroDivergentError } from '../errors.js';
import { slice, type Scope, type Tensor } from '../graph/index.js';
import type { PromptSettings } from '../language/prompter.js';
import { nearest } from './nearest.js';

/**
 * The columns of the windows a model reads, already scaled. A window of a model of one series belongs to one series; that of
 * a model of many holds all of them, side by side on the last axis.
 */
export interface ModelInputs {
  /** `[batch, time, series]` */
  readonly past: Tensor;
  /** 1 where `past` was observed, `[batch, time, series]` */
  readonly mask: Tensor;
  /** Known up to now, `[batch, time, historic]`; of many series `[batch, historic, time, series]` */
  readonly historic?: Tensor;
  /** Known in advance, `[batch, time + horizon, future]`; of many series `[batch, future, time + horizon, series]` */
  readonly future?: Tensor;
  /** One value per series, `[batch, static]`; of many series `[series, static]`, the same in all windows */
  readonly static?: Tensor;
  /** What a language model is told about the window, as rows of its embedding table, `[batch, token, width]` */
  readonly prompt?: Tensor;
}

/** What every model is told about its task; each model's own hyperparameters extend it. */
export const task = z.strictObject({
  inputLength: z.int().min(1).describe('steps of the past the model sees'),
  horizon: z.int().min(1).describe('steps of the future it forecasts'),
  outputs: z.int().min(1).default(1).describe('numbers per step, set by the loss'),
  series: z.int().min(1).default(1).describe('series forecast together; 1 for a model of one series'),
  historic: z.int().min(0).default(0).describe('columns known up to now'),
  future: z.int().min(0).default(0).describe('columns known in advance'),
  static: z.int().min(0).default(0).describe('columns constant per series'),
});

export type Covariate = 'historic' | 'future' | 'static';

export interface Capabilities {
  /** Does it forecast every series by itself, or many from each other? */
  readonly series: 'one' | 'many';
  readonly covariates: readonly Covariate[];
  readonly mode: 'direct' | 'recurrent' | 'both';
  /** A: quantizes well; B: keep softmax and norms in FP32; C: carried state, weights only (FORECASTING.md §3). */
  readonly quantization: 'A' | 'B' | 'C';
  /** A forecast depends on the windows that are forecast beside it, unless what is chosen is static. */
  readonly mixes?: true;
  /** Has it a graph of one step of a stream (stream.ts)? Nothing that it reads may come later. */
  readonly streams?: 'always' | 'without future';
}

/** Where a recurrent layer starts or ends, `[batch, hidden]`; a GRU has no cell. */
export interface Carry {
  readonly state: Tensor;
  readonly cell?: Tensor;
}

/** What a model says that forecasts one step from each state. */
export interface Steps {
  /** After each step it read, the step that comes next, `[batch, time, outputs]`. */
  readonly forecast: Tensor;
  /** Where its layers end. */
  readonly ends: readonly Carry[];
}

/** A model of one series for every series of a hierarchy. */
export interface Hierarchy {
  readonly model: Model;
  readonly hyperparameters: Record<string, unknown>;
  /** Makes forecasts coherent, `[series · series]`; undefined where they stay as they are. */
  readonly projection: Float64Array | undefined;
  /** That quantiles of coherent forecasts are made of. */
  readonly samples: number;
}

type Search<S extends z.ZodObject> = { readonly [K in keyof z.input<S>]?: readonly NonNullable<z.input<S>[K]>[] };

export interface ModelSpec<S extends z.ZodObject> {
  /** Lower case, as on the command line: `dlinear`. */
  readonly id: string;
  readonly title: string;
  readonly paper: string;
  readonly capabilities: Capabilities;
  /** What a tuner tries, by hyperparameter; the rest stays at its default. */
  readonly search: Search<S>;
  readonly hyperparameters: S;
  /** The forecast `[batch, horizon, series·outputs]`, in scaled units. Which comes first, the loss says. */
  readonly build?: (g: Scope, inputs: ModelInputs, hyperparameters: z.output<S>) => Tensor;
  /**
   * Of models that feed their forecasts back: reads steps one after the other, from where it is told or from zero. A
   * step has the target of its time and the covariates of the next.
   */
  readonly steps?: (g: Scope, inputs: ModelInputs, hyperparameters: z.output<S>, starts?: readonly Carry[]) => Steps;
  /** Of models that have another forecast every series, and bring the forecasts together. */
  readonly over?: (hyperparameters: z.output<S>) => Hierarchy;
  /** Of models that tell a language model about the window: what is said, and the width of its tokens. */
  readonly prompt?: (hyperparameters: z.output<S>) => PromptSettings & { readonly width: number };
  readonly reference: Reference;
}

/** How the reference library calls things, so that its weights and fixtures can be read. */
export interface Reference {
  /** The class name there: `DLinear`. */
  readonly model: string;
  /**
   * Our hyperparameter -> its name there, with the way to read its value where the two differ; those of the task are
   * known (`inputLength` -> `input_size`, `horizon` -> `h`). What is null there stands for the default.
   */
  readonly hyperparameters: Readonly<Record<string, string | ReferenceHyperparameter>>;
  /**
   * Its parameter name and layout for one of ours, by path: `trend/weight` -> `linear_trend.weight`, transposed.
   * Undefined when the library has no such parameter.
   */
  readonly parameter: (
    path: string,
    hyperparameters: Readonly<Record<string, unknown>>,
  ) => ReferenceParameter | undefined;
  /** The values that it drew for one of our draws, or for a state of ours that holds what it draws, by path. */
  readonly draw?: (path: string, hyperparameters: Readonly<Record<string, unknown>>) => ReferenceDraw | undefined;
}

export interface ReferenceHyperparameter {
  readonly name: string;
  /** Its value -> ours. */
  readonly read: (value: unknown) => unknown;
}

export interface ReferenceParameter {
  readonly name: string;
  /** Order of axes that turns its layout into ours; absent when they are the same. */
  readonly transpose?: readonly number[];
}

export interface ReferenceDraw {
  /** Where they are recorded, below `random/`, for an evaluation (`eval`) or a training step (`train.0`, `train.1`, …). */
  readonly name: (pass: string) => string;
  /** Its values -> ours, of this shape. */
  readonly read: (values: Float32Array, shape: readonly number[]) => Float32Array;
}

export interface Model<S extends z.ZodObject = z.ZodObject> extends Omit<
  ModelSpec<S>,
  'build' | 'steps' | 'prompt' | 'over'
> {
  /** Checks hyperparameters and fills in defaults. Throws `ND_HYPERPARAMETER`, listing every fault. */
  readonly parse: (hyperparameters: unknown) => z.output<S>;
  /** Of a model that feeds back, the forecasts of the last `horizon` steps, each made from the steps before it. */
  build(g: Scope, inputs: ModelInputs, hyperparameters: z.output<S>): Tensor;
  over?(hyperparameters: z.output<S>): Hierarchy;
  prompt?(hyperparameters: z.output<S>): PromptSettings & { readonly width: number };
  steps?(g: Scope, inputs: ModelInputs, hyperparameters: z.output<S>, starts?: readonly Carry[]): Steps;
}

/** Does it forecast one step at a time, and read its own forecasts? */
export const feedsBack = (
  { capabilities }: Pick<Model, 'capabilities'>,
  hyperparameters: Readonly<Record<string, unknown>>,
): boolean => capabilities.mode === 'recurrent' || hyperparameters['recurrent'] === true;

export function defineModel<S extends z.ZodObject>(spec: ModelSpec<S>): Model<S> {
  const refused = (what: string): NeuroDivergentError =>
    new NeuroDivergentError('ND_HYPERPARAMETER', {
      where: spec.id,
      what: `${what}.`,
      mend: `See \`nd models info ${spec.id}\` for names, ranges and defaults.`,
    });
  return {
    ...spec,
    build: (g, inputs, hyperparameters) => {
      if (!feedsBack(spec, hyperparameters)) return spec.build!(g, inputs, hyperparameters);
      const { forecast } = spec.steps!(g, inputs, hyperparameters); // [batch, time, outputs]
      const [, time] = forecast.shape as [unknown, number];
      const { horizon } = hyperparameters as { horizon: number };
      return horizon === time ? forecast : slice(forecast, { axis: 1, start: time - horizon, end: time });
    },
    parse: (hyperparameters) => {
      const result = spec.hyperparameters.safeParse(hyperparameters);
      if (result.success && (result.data['series'] === 1 || spec.capabilities.series === 'many')) return result.data;
      if (result.success) throw refused(`${spec.id}.series: it forecasts every series by itself`);
      const known = Object.keys(spec.hyperparameters.shape);
      const faults = result.error.issues.flatMap((issue) =>
        issue.code === 'unrecognized_keys'
          ? issue.keys.map(
              (key) => `${spec.id}.${key}: there is no such hyperparameter; the nearest is ${nearest(key, known)}`,
            )
          : [`${[spec.id, ...issue.path].join('.')}: ${issue.message}`],
      );
      throw refused(faults.join('; '));
    },
  };
}
