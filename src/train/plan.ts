/** What training a model takes, as plain data: graphs as ONNX, what their tensors are for, and where the weights start. */
import type { TensorPlan, TrainingLayout } from '../engine/training-step.js';
import { elements } from '../graph/ndarray.js';
import {
  fuseCross,
  initOf,
  keepProbability,
  leafName,
  nextName,
  peakBytes,
  reduceLast,
  runPasses,
  simplify,
  toOnnx,
  totalBytes,
  type Graph,
  type Init,
  type Tensor,
} from '../graph/index.js';
import {
  gradientName,
  lossScaleName,
  missedName,
  trainingGraph,
  validationGraph,
  type ForecastSpec,
} from '../models/assemble.js';
import type { TrainSettings } from './defaults.js';
import { drawStart } from './start.js';

export interface TrainingPlan {
  /** Forward and backward over `batch` windows. */
  readonly model: Uint8Array;
  /** The loss alone, over any number of windows; when asked for. */
  readonly validationModel?: Uint8Array;
  readonly layout: TrainingLayout;
  readonly batch: number;
  /** What a step takes at least: tensors alive at once, and the moments of every parameter. What an engine adds is not in it. */
  readonly neededBytes: number;
  /** Where parameters and states start, by name: drawn where they are needed, so that they lie in memory once. */
  readonly starts: Readonly<Record<string, Init>>;
  readonly seed: number;
}

/** What makes a graph run faster on many windows. */
const forBatches = [fuseCross, reduceLast, simplify];

interface PlanOptions {
  readonly batch: number;
  readonly seed: number;
  /** Also build the validation model. */
  readonly validated?: boolean;
  readonly precision?: TrainSettings['precision'];
  readonly checkpointing?: boolean;
  /** Written into the training graph's file, see `toOnnx`. */
  readonly metadata?: (layout: TrainingLayout) => Readonly<Record<string, string>>;
}

/** Builds the graphs for `batch` windows per step. */
export function planTraining(
  spec: ForecastSpec,
  { batch, seed, precision = 'fp32', validated = false, checkpointing = false, metadata }: PlanOptions,
): TrainingPlan {
  const graph = runPasses(trainingGraph(spec, { batch, mixed: precision === 'mixed', checkpointing }), forBatches);
  const layout = layoutOf(graph);
  return {
    model: toOnnx(graph, { name: `${spec.model.id} training`, ...(metadata && { metadata: metadata(layout) }) }),
    ...(validated && {
      validationModel: toOnnx(runPasses(validationGraph(spec), forBatches), { name: `${spec.model.id} validation` }),
    }),
    layout,
    batch,
    neededBytes: peakBytes(graph) + 2 * totalBytes(graph.parameters),
    starts: Object.fromEntries(
      [...graph.parameters, ...graph.states].map((tensor) => [leafName(tensor), initOf(tensor)]),
    ),
    seed,
  };
}

/** What the tensors of a training graph are for; its loss is the output `loss`. */
export function layoutOf(graph: Graph): TrainingLayout {
  const plan = (tensor: Tensor): TensorPlan => ({ name: leafName(tensor), shape: tensor.shape as readonly number[] });
  return {
    inputs: graph.inputs.map(plan).filter(({ name }) => name !== lossScaleName),
    parameters: graph.parameters.map((tensor) => {
      const name = leafName(tensor);
      const missed = graph.states.map(leafName).find((state) => state === missedName(name));
      return { ...plan(tensor), gradient: gradientName(name), ...(missed && { missed }) };
    }),
    states: graph.states.map((tensor) => ({ ...plan(tensor), next: nextName(leafName(tensor)) })),
    draws: graph.draws.map((tensor) => {
      const keep = keepProbability(tensor);
      return { ...plan(tensor), ...(keep !== undefined && { keep }) };
    }),
    loss: 'loss',
    ...(graph.inputs.some((input) => leafName(input) === lossScaleName) && { lossScale: lossScaleName }),
  };
}

/** Parameters and states before the first step. */
export function startingValues({ layout, starts, seed }: TrainingPlan): Record<string, Float32Array> {
  const start = ({ name, shape }: TensorPlan) =>
    [name, drawStart(new Float32Array(elements(shape)), name, starts[name]!, seed)] as const;
  return Object.fromEntries([...layout.parameters, ...layout.states].map(start));
}

/** Values of a parameter or state before the first step. */
export const initialValues = (tensor: Tensor, seed: number): Float32Array =>
  drawStart(new Float32Array(elements(tensor.shape as readonly number[])), leafName(tensor), initOf(tensor), seed);
