/**
 * Puts scaler, model and loss together: the training graph, and the graph that ships. Both take sensor units; the scaler
 * and its inverse are inside, so a device feeds and reads sensor units too.
 */
import {
  createGraph,
  cutRecurrent,
  foldConstants,
  fuseBias,
  fuseCross,
  gradients,
  leafName,
  mean,
  mergeEqual,
  mixedPrecision,
  packCarried,
  rematerialize,
  rows,
  runPasses,
  simplify,
  slice,
  type Dim,
  type Graph,
  type GraphBuilder,
  type Pass,
  type Tensor,
} from '../graph/index.js';
import type { Loss } from '../losses/index.js';
import { inEachWindow } from './blocks/series.js';
import { fedStatistics, givenStatistics, windowScaler, type ScalerName } from './blocks/window-scaler.js';
import { feedsBack, type Covariate, type Model, type ModelInputs } from './model.js';
import { apart, columnsApart, forecastTogether, withBatch } from './hierarchy.js';
import { seriesScaling, splitStatic, type SeriesScaling } from './series-scaling.js';
import { mustStream } from './stream.js';
import { declaredOnce, forecastFromForecasts, forecastFromTruth, steps } from './recursion.js';

export interface ForecastSpec {
  readonly model: Model;
  /** Already through `model.parse`. */
  readonly hyperparameters: Record<string, unknown>;
  readonly loss: Loss;
  readonly scaler: ScalerName;
  /** Columns of a frame that feed the inputs `historic`, `future` and `static`, as many as the hyperparameters of these names say. */
  readonly columns?: Readonly<Partial<Record<Covariate, readonly string[]>>> & {
    /** Whole series are scaled: after the static columns stand shifts and scales of the target and of these columns. */
    readonly scaler?: SeriesScaling | undefined;
  };
  /** Columns of a teacher's forecast that come with every window of training, for a loss that reads them. */
  readonly teacherColumns?: number;
  /** Rewrites what is trained and validated, before it is differentiated; what ships is as it was. */
  readonly forward?: Pass;
  /** What is fed instead of being worked out. */
  readonly given?: {
    /** Of windows that come scaled (`shift`, `scale`); where a model feeds back, they go on with the truth. */
    readonly statistics?: boolean;
    /** Of an implicit quantile loss. */
    readonly levels?: boolean;
    /** Of the model. */
    readonly draws?: boolean;
  };
}

interface Task {
  inputLength: number;
  horizon: number;
  series: number;
  /** Of models that feed back. */
  trainHorizon: number;
  historic: number;
  future: number;
  static: number;
}

/** How many series share a window, of a model that forecasts them from each other. */
export const seriesTogether = ({ model, hyperparameters }: ForecastSpec): number | undefined =>
  model.capabilities.series === 'many' ? (hyperparameters['series'] as number) : undefined;

/** Of a graph of one step. */
export interface StreamOptions {
  /** Statistics of the window scaler are fed, one shift and one scale of the target, and stay as they are along the stream. */
  readonly heldScale?: boolean;
}

/** Declares the inputs and scales them; of a stream, for one step. A hierarchy is read as windows of one series each, by the model that it is made of. */
function readInputs(g: GraphBuilder, spec: ForecastSpec, { heldScale = false }: StreamOptions = {}) {
  const { scaler, given } = spec;
  const hierarchy = spec.model.over?.(spec.hyperparameters);
  const { model, hyperparameters } = hierarchy ?? spec;
  const task = spec.hyperparameters as unknown as Task;
  const { horizon, series } = task;
  const inputLength = g.streaming ? 1 : task.inputLength;
  const together = spec.model.capabilities.series === 'many';
  const target = (name: string, steps: number): Tensor => {
    const x = g.input(name, [g.batch, steps, series]);
    return hierarchy ? apart(x) : x;
  };
  const covariate = (name: 'historic' | 'future', steps: number, columns: number): Tensor => {
    const x = g.input(name, together ? [g.batch, columns, steps, series] : [g.batch, steps, columns]);
    const own = ofSeries.covariate(hierarchy ? columnsApart(x) : x, spec.columns?.[name] ?? []);
    return scaling.covariate(own, inputLength, mask);
  };
  const observed = g.input('mask', [g.batch, inputLength, series]);
  const mask = hierarchy ? apart(observed) : observed;
  const scope = hierarchy ? withBatch(g, mask.shape[0]!) : g;
  const scaling = given?.statistics
    ? givenStatistics(scope, hierarchy ? 1 : series)
    : windowScaler(scope.scope('scaler'), scaler, heldScale ? fedStatistics(g, series) : undefined);
  const whole = spec.columns?.scaler?.columns ?? [];
  const width = task.static + 2 * whole.length;
  const all = width > 0 ? g.input('static', [together ? series : g.batch, width]) : undefined;
  const { fixed, statistics } = splitStatic(all && hierarchy ? rows(inEachWindow(all, observed)) : all, task.static);
  const ofSeries = seriesScaling(whole, statistics, together && !hierarchy);
  const past = scaling.target(ofSeries.target(target('past', inputLength), mask), mask);
  const prompt = model.prompt?.(hyperparameters);
  const inputs: ModelInputs = {
    past: past.scaled,
    mask,
    ...(task.historic > 0 && { historic: covariate('historic', inputLength, task.historic) }),
    ...(task.future > 0 && { future: covariate('future', inputLength + horizon, task.future) }),
    ...(prompt && { prompt: g.input('prompt', [g.batch, prompt.tokens, prompt.width]) }),
    ...(fixed && { static: fixed }),
  };
  return {
    inputs,
    past,
    target,
    ofSeries,
    scope,
    lossScope: declaredOnce(scope.scope('loss')),
    model,
    hyperparameters,
    hierarchy,
  };
}

/** The model on its inputs, `[batch, horizon, series·outputs]`. One that feeds back reads its own forecasts. */
function forecastOf(
  { loss, given }: ForecastSpec,
  { inputs, past, scope, lossScope, model, hyperparameters }: ReturnType<typeof readInputs>,
): Tensor {
  const g = scope.scope('model');
  if (!feedsBack(model, hyperparameters) || given?.statistics) return model.build(g, inputs, hyperparameters);
  return forecastFromForecasts(g, model, inputs, hyperparameters, (forecast) => {
    if (loss.fedBack === 'mean') return mean(forecast, { axes: [2], keep: true });
    const decoded = loss.decode(lossScope, forecast, past); // [batch, 1, columns]
    return past.apply(slice(decoded, { axis: 2, start: loss.point, end: loss.point + 1 }));
  });
}

export interface TrainingGraphOptions {
  readonly batch: number;
  /** Without it dropout is off and normalisations use their kept statistics. */
  readonly training?: boolean;
  /** Also give what the model gave, in scaled units, as `forecast`. */
  readonly withForecast?: boolean;
  /** Products of the model in FP16. The gradients come out multiplied with one more input, `lossScale`. */
  readonly mixed?: boolean;
  /** Compute activations again in the backward pass instead of keeping them: less memory, more time. */
  readonly checkpointing?: boolean;
}

const rewritten = ({ forward }: ForecastSpec, graph: Graph): Graph => forward?.run(graph) ?? graph;

/** Steps of a piece of a recurrent layer, when activations are computed again: memory goes with the pieces and the steps of one. */
const pieceSteps = 32;

/**
 * `loss` and the gradient of every parameter (`grad/<path>`), for windows of a fixed batch. Inputs `target` and
 * `targetMask` are `[batch, horizon, series]`.
 */
export function trainingGraph(
  spec: ForecastSpec,
  { batch, training = true, withForecast = false, mixed = false, checkpointing = false }: TrainingGraphOptions,
): Graph {
  const g = createGraph({ batch, training, givenDraws: spec.given?.draws ?? false });
  const forward = rewritten(spec, g.finish({ ...lossOf(g, spec, true) }));
  const {
    parameters,
    states,
    updates,
    outputs: built,
  } = checkpointing ? cutRecurrent(pieceSteps).run(forward) : forward;
  const { loss, forecast } = built as Record<'loss' | 'forecast', Tensor>;
  const seed = mixed ? g.input(lossScaleName, []) : 1;
  const [dForecast, ...found] = gradients(loss, [forecast, ...parameters], { allowUnused: true, seed });
  // A step writes every state; one without a new value keeps its own.
  const kept = Object.fromEntries(states.map((state) => [leafName(state), state]));
  const outputs = {
    loss,
    ...(withForecast && { forecast }),
    ...Object.fromEntries(parameters.map((parameter, i) => [gradientName(leafName(parameter)), found[i]!])),
  };
  const usual = (marks: Readonly<Record<string, Tensor>> = {}): Graph =>
    runPasses({ ...g.finish({ ...outputs, ...marks }), updates: { ...kept, ...updates } }, [
      simplify,
      foldConstants,
      mergeEqual,
      fuseBias,
    ]);
  const again = (graph: Graph): Graph => (checkpointing ? runPasses(graph, [fuseCross, rematerialize()]) : graph);
  if (!mixed) return again(usual());
  const rounded = mixedPrecision({ loss: lossEnds }).run(
    usual({ [lossEnds.from]: forecast, [lossEnds.gradient]: dForecast! }),
  );
  return again({
    ...rounded,
    outputs: Object.fromEntries(Object.keys(outputs).map((name) => [name, rounded.outputs[name]!])),
  });
}
/** Between these two stands the loss. */
const lossEnds = { from: 'forecast', gradient: 'grad/forecast' };
/** The input that the gradients start from, in mixed precision. */
export const lossScaleName = 'lossScale';
export const gradientName = (parameter: string): string => `grad/${parameter}`;
/** The state with which a model counts the training steps that leave out a parameter. */
export const missedName = (parameter: string): string => `${parameter}/missed`;

/** The loss alone, without dropout and with the kept statistics: what validation runs. */
export function validationGraph(spec: ForecastSpec, { batch = 'batch' }: { batch?: Dim } = {}): Graph {
  const g = createGraph({ batch });
  return runPasses(rewritten(spec, g.finish({ loss: lossOf(g, spec).loss })), [
    simplify,
    foldConstants,
    mergeEqual,
    fuseBias,
  ]);
}

/** `forecast [batch, horizon, series·columns]`, series by series, in sensor units; parameters are still parameters (see `bindParameters`). */
export const inferenceGraph = (spec: ForecastSpec, { batch = 'batch' }: { batch?: Dim } = {}): Graph =>
  forecasting(createGraph({ batch }), spec);

/**
 * The same for one step of a stream: `past [batch, 1, 1]` and what the model carries, `<path> [batch, …]`, which comes out
 * as `<path>/next`. From zeros through a window it ends with the forecast of that window. Throws `ND_EXPORT_NO_STREAM`.
 */
export function stepGraph(spec: ForecastSpec, options: StreamOptions = {}): Graph {
  mustStream(spec, options);
  return packCarried.run(forecasting(createGraph({ streaming: true }), spec, options));
}

/** What `heldScale` wants of a window: its `shift` and `scale`, `[batch, 1, series]`. */
export function statisticsGraph(spec: ForecastSpec): Graph {
  const g = createGraph();
  return g.finish({ ...readInputs(g, spec).past.own });
}

function forecasting(g: GraphBuilder, spec: ForecastSpec, options?: StreamOptions): Graph {
  const read = readInputs(g, spec, options);
  const forecast = forecastOf(spec, read);
  const decode = (loss: Loss): Tensor => read.ofSeries.restore(loss.decode(read.lossScope, forecast, read.past));
  if (!read.hierarchy) return g.finish({ forecast: decode(spec.loss) });
  const { series, horizon } = spec.hyperparameters as unknown as Task;
  return g.finish({
    forecast: forecastTogether(decode, spec.loss, read.hierarchy, { batch: g.batch, series, horizon }),
  });
}

/**
 * With `taught`, a model that feeds back reads the truth instead, and is asked for no more steps than it learns from; and
 * the loss sees what a teacher forecasts, where there is one.
 */
function lossOf(g: GraphBuilder, spec: ForecastSpec, taught = false) {
  const read = readInputs(g, spec);
  const { past, model, hyperparameters } = read;
  const { horizon, trainHorizon } = hyperparameters as unknown as Task;
  const { teacherColumns = 0 } = spec;
  const shown = taught && feedsBack(model, hyperparameters) && !spec.given?.statistics;
  const count = shown ? trainHorizon : horizon;
  const given = read.target('target', horizon);
  const known = read.target('targetMask', horizon);
  const rawTarget = steps(read.ofSeries.target(given, known), 0, count);
  const mask = steps(known, 0, count);
  const target = past.apply(rawTarget);
  const truth = { target, mask };
  const forecast = shown
    ? forecastFromTruth(read.scope.scope('model'), model, read.inputs, hyperparameters, { truth, count })
    : forecastOf(spec, read);
  const loss = spec.loss.loss(read.lossScope, {
    forecast,
    target,
    mask,
    rawTarget,
    past: past.scaled,
    units: past,
    ...(spec.given?.levels && { levels: read.target('levels', horizon) }),
    ...(taught &&
      teacherColumns > 0 && {
        teacher: past.apply(read.ofSeries.scale(read.target('teacher', teacherColumns * horizon))),
      }),
  });
  return { loss, forecast };
}
