/** A model against its fixture: what ONNX Runtime computes from our training graph, and three steps of the real Adam. */
import type { Engine, FloatTensor } from '../../engine/port.js';
import { createTrainingStep } from '../../engine/training-step.js';
import { leafName, toOnnx, type Graph, type Tensor } from '../../graph/index.js';
import { ownHyperparameters, referenceParameter, transposed } from '../../import/mapping.js';
import { lossFromReference, type ReferenceLoss } from '../../losses/index.js';
import { gradientName, trainingGraph, type ForecastSpec } from '../../models/assemble.js';
import { models } from '../../models/index.js';
import type { Model } from '../../models/model.js';
import { initialValues, layoutOf } from '../../train/plan.js';
import type { Fixture } from './fixture.js';
import { compareHierarchy } from './hierarchy.js';
import { compareRecursion } from './recursion.js';
import { createTally, missing, type Outcome, type Tally } from './tally.js';

type Tensors = Readonly<Record<string, FloatTensor>>;

const adamSteps = 3;
const learningRate = 1e-3;

export async function modelCase(fixture: Fixture, engine: Engine): Promise<Outcome> {
  const { info, tensors } = fixture;
  const model = models.find(({ reference }) => reference.model === info['model']);
  if (model === undefined) return missing(`the model ${String(info['model'])}`);
  const given = info['hyperparameters'] as Record<string, unknown> & { loss: ReferenceLoss };
  const loss = lossFromReference(given.loss);
  if (loss === undefined) return missing(`the loss ${given.loss.name}`);

  const levels = tensors['random/iq_quantiles'] !== undefined;
  const spec: ForecastSpec = {
    model,
    hyperparameters: hyperparametersOf(model, fixture, loss.outputs),
    loss,
    scaler: 'identity', // the inputs come scaled
    given: { statistics: true, levels, draws: model.reference.draw !== undefined },
  };
  const batch = isHierarchy(fixture) ? 1 : tensors['input/insample_y']!.dims[0]!;
  const tally = createTally();

  const evaluation = trainingGraph(spec, { batch, training: false, withForecast: true });
  const training = trainingGraph(spec, { batch, withForecast: true });
  const values = valuesOf(training, spec, fixture, 'param', tally);
  const inputs = { ...inputsOf(fixture), ...drawsOf(evaluation.inputs, spec, fixture, 'eval') };
  await comparePass(evaluation, { ...inputs, ...values }, spec, fixture, '', tally, engine);
  await comparePass(
    training,
    { ...inputs, ...drawsOf(training.inputs, spec, fixture, 'train.0'), ...values },
    spec,
    fixture,
    tensors['train/forward'] ? 'train/' : '',
    tally,
    engine,
  );
  await compareSteps(training, values, spec, fixture, tally, engine);
  if (tensors['hint/S']) await compareHierarchy(fixture, engine, tally);
  if (tensors['predict/y_hat']) await compareRecursion(spec, values, fixture, engine, tally);
  return tally.outcome();
}

function hyperparametersOf(model: Model, { info, tensors }: Fixture, outputs: number): Record<string, unknown> {
  // Of many series the columns are not last: [batch, columns, time, series].
  const width = (name: string): number => tensors[name]?.dims.at(tensors[name].dims.length === 4 ? 1 : -1) ?? 0;
  const base = models.find(({ reference }) => reference.model === info['base_model']);
  return model.parse({
    ...(base && {
      base: base.id,
      baseOptions: ownHyperparameters(base, info['hyperparameters'] as Record<string, unknown>),
    }),
    ...ownHyperparameters(model, {
      ...(info['hyperparameters'] as Record<string, unknown>),
      llm_stub: info['llm_stub'],
      prompt_tokens: tensors['input/prompt_ids']?.dims[1],
    }),
    inputLength: tensors['input/insample_y']!.dims[1],
    horizon: tensors['input/outsample_y']!.dims[1],
    series: tensors['input/insample_y']!.dims[base ? 0 : 2],
    outputs,
    historic: width('input/hist_exog'),
    future: width('input/futr_exog'),
    static: width('input/stat_exog'),
  });
}

/** The rows of the embedding table that a prompt is. */
function promptOf({ tensors }: Fixture): FloatTensor | undefined {
  const [ids, table] = [tensors['input/prompt_ids'], tensors['param/llm.wte.weight']];
  if (ids === undefined || table === undefined) return undefined;
  const width = table.dims[1]!;
  const rows = Float32Array.from(
    { length: ids.data.length * width },
    (_, i) => table.data[ids.data[Math.floor(i / width)]! * width + (i % width)]!,
  );
  return { data: rows, dims: [...ids.dims, width] };
}

function inputsOf(fixture: Fixture): Tensors {
  const { tensors } = fixture;
  const time = tensors['input/insample_y']!.dims[1]!;
  const { dims: target } = tensors['input/outsample_y']!;
  const inputs: Record<string, FloatTensor | undefined> = {
    past: tensors['input/insample_y'],
    mask: tensors['input/insample_mask'],
    historic: tensors['input/hist_exog'],
    future: tensors['input/futr_exog'] && withSteps(tensors['input/futr_exog'], time + target[1]!),
    static: tensors['input/stat_exog'],
    prompt: promptOf(fixture),
    target: tensors['input/outsample_y'],
    targetMask: tensors['input/outsample_mask'],
    shift: tensors['input/loc'],
    scale: tensors['input/scale'],
    levels: tensors['random/iq_quantiles'] && { ...tensors['random/iq_quantiles'], dims: target },
  };
  const given = Object.fromEntries(Object.entries(inputs).filter(([, tensor]) => tensor !== undefined)) as Tensors;
  return isHierarchy(fixture) ? asOneWindow(given) : given;
}

/** A model of one series under a hierarchy: the windows of the fixture are the series of one. */
const isHierarchy = ({ info }: Fixture): boolean => info['base_model'] !== undefined;

/** `[batch, time, 1]` → `[1, time, batch]`, `[batch, time, columns]` → `[1, columns, time, batch]` */
function asOneWindow(given: Tensors): Tensors {
  const turned = (name: string, tensor: FloatTensor): FloatTensor => {
    if (['static', 'shift', 'scale'].includes(name)) return tensor;
    const { data, dims } = transposed(tensor, [2, 1, 0]);
    return { data, dims: ['historic', 'future'].includes(name) ? [1, ...dims] : dims };
  };
  return Object.fromEntries(Object.entries(given).map(([name, tensor]) => [name, turned(name, tensor)]));
}

/** Zeros after the last step: a recurrent case has no covariates beyond the window, and its model reads none. */
function withSteps(tensor: FloatTensor, wanted: number): FloatTensor {
  const { data, dims } = tensor;
  if (dims.length === 4 || dims[1] === wanted) return tensor;
  const [batch, steps, columns] = dims;
  const padded = new Float32Array(batch! * wanted * columns!);
  for (let row = 0; row < batch!; row++)
    padded.set(data.subarray(row * steps! * columns!, (row + 1) * steps! * columns!), row * wanted * columns!);
  return { data: padded, dims: [batch!, wanted, columns!] };
}

/** Their values of our parameters and states, in our layout. */
function valuesOf(graph: Graph, spec: ForecastSpec, { tensors }: Fixture, group: string, tally: Tally): Tensors {
  const found = [...graph.parameters, ...graph.states].flatMap((leaf) => {
    const path = leafName(leaf);
    const reference = referenceParameter(path, spec);
    const theirs = reference && tensors[`${group}/${reference.name}`];
    const drawn = drawsOf([leaf], spec, { tensors }, 'eval')[path];
    if (drawn) return [[path, drawn] as const];
    // A state that only we keep is where it starts.
    if (reference === undefined && graph.states.includes(leaf)) {
      return [[path, { data: initialValues(leaf, 0), dims: leaf.shape as readonly number[] }] as const];
    }
    if (theirs === undefined) {
      tally.fault(`${path} has no counterpart (${reference?.name ?? 'no name'})`);
      return [];
    }
    return [
      [path, { data: transposed(theirs, reference!.transpose).data, dims: leaf.shape as readonly number[] }] as const,
    ];
  });
  return Object.fromEntries(found);
}

/** What the library drew for these leaves, in an evaluation or a training step. */
function drawsOf(
  leaves: readonly Tensor[],
  { model, hyperparameters }: ForecastSpec,
  { tensors }: Pick<Fixture, 'tensors'>,
  pass: string,
): Tensors {
  const found = leaves.flatMap((leaf) => {
    const path = leafName(leaf);
    const draw = model.reference.draw?.(path.replace(/^model\//, ''), hyperparameters);
    const theirs = draw && tensors[`random/${draw.name(pass)}`];
    const dims = leaf.shape as readonly number[];
    return theirs === undefined ? [] : [[path, { data: draw!.read(theirs.data, dims), dims }] as const];
  });
  return Object.fromEntries(found);
}

/** Forward, loss and gradients, in evaluation or training mode. */
async function comparePass(
  graph: Graph,
  feeds: Tensors,
  spec: ForecastSpec,
  { tensors, info }: Fixture,
  group: '' | 'train/',
  tally: Tally,
  engine: Engine,
): Promise<void> {
  const session = await engine.load(toOnnx(graph));
  const outputs = session.run(feeds);
  session.close();
  const result = group === '' ? 'output/' : group;
  tally.compare('forward', `${result}forward`, outputs['forecast'], tensors[`${result}forward`]!);
  tally.compare('loss', `${result}loss`, outputs['loss'], tensors[`${result}loss`]!);

  const covered = new Set<string>();
  const unused = (info['params_without_gradient'] ?? []) as readonly string[];
  for (const leaf of graph.parameters) {
    const reference = referenceParameter(leafName(leaf), spec);
    if (reference === undefined || unused.includes(reference.name)) continue;
    const name = `${group}grad/${reference.name}`;
    covered.add(name);
    const theirs = tensors[name];
    if (theirs === undefined) tally.fault(`${name} is not in the file`);
    else
      tally.compare('gradient', name, outputs[gradientName(leafName(leaf))], transposed(theirs, reference.transpose));
  }
  for (const name of Object.keys(tensors)) {
    if (name.startsWith(`${group}grad/`) && !covered.has(name)) tally.fault(`${name} has no counterpart here`);
  }
}

/** Three steps of the real optimizer on the same batch. */
async function compareSteps(
  graph: Graph,
  values: Tensors,
  spec: ForecastSpec,
  fixture: Fixture,
  tally: Tally,
  engine: Engine,
): Promise<void> {
  const { tensors } = fixture;
  const training = await createTrainingStep({ engine, model: toOnnx(graph), layout: layoutOf(graph), seed: 1 });
  training.load(Object.fromEntries(Object.entries(values).map(([name, { data }]) => [name, data])));
  const inputs = inputsOf(fixture);
  const losses = new Float32Array(adamSteps);
  for (let step = 0; step < adamSteps; step++) {
    const drawn = tensors[`random/train.${step}.iq_quantiles`];
    const levels = drawn && { levels: { ...drawn, dims: inputs['levels']!.dims } };
    const draws = drawsOf(graph.inputs, spec, fixture, `train.${step}`);
    losses[step] = training.step({ ...inputs, ...levels, ...draws }, { learningRate }).loss;
  }
  const after = training.values;
  training.close();

  tally.compare('adam', 'after_loss', { data: losses, dims: [adamSteps] }, tensors['after_loss']!, { floor: 1e-5 });
  const covered = new Set<string>();
  for (const leaf of [...graph.parameters, ...graph.states]) {
    const reference = referenceParameter(leafName(leaf), spec);
    const theirs = reference && tensors[`after/${reference.name}`];
    if (theirs === undefined) continue;
    covered.add(`after/${reference!.name}`);
    const mask = tensors[`after_mask/${reference!.name}`];
    tally.compare('adam', `after/${reference!.name}`, after[leafName(leaf)], transposed(theirs, reference!.transpose), {
      ...(mask && { mask: transposed(mask, reference!.transpose) }),
    });
  }
  for (const name of Object.keys(tensors)) {
    if (name.startsWith('after/') && !covered.has(name) && !name.endsWith('.num_batches_tracked'))
      tally.fault(`${name} has no counterpart here`);
  }
}
