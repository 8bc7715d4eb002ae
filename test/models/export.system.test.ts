/**
 * What is exported is valid outside this package: it passes the full checker of Python's `onnx`, and ONNX Runtime for
 * Python and for WebAssembly find in it the numbers that ours finds.
 */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { inspectOnnx } from '../../src/bundle/onnx.js';
import { createOrtEngine } from '../../src/engine/ort.js';
import { exportOnnx, shippedGraph, type ExportOptions, type Trained } from '../../src/forecaster/compile.js';
import { leafName, toOnnx, type Graph, type NdArray } from '../../src/graph/index.js';
import { ModelProtoSchema } from '../../src/graph/onnx/onnx_pb.js';
import { createLoss, losses } from '../../src/losses/index.js';
import {
  gradientName,
  inferenceGraph,
  trainingGraph,
  validationGraph,
  type ForecastSpec,
} from '../../src/models/assemble.js';
import { quantize } from '../../src/quantize/index.js';
import { opCases, seeded } from '../graph/ops/samples.js';
import { findPython } from '../program.js';
import { modelCases, randomFeeds } from './cases.js';
import { checkInPython, runInWeb, type Run, type Tensors } from './outside.js';

interface ExportedFile extends Run {
  readonly title: string;
  /** How far apart numbers may be, as a share of the largest. */
  readonly tolerance?: number;
}

const engine = createOrtEngine();
const batch = 3;

const single = (arrays: Readonly<Record<string, NdArray>>): Tensors =>
  Object.fromEntries(
    Object.entries(arrays).map(([name, { data, shape }]) => [name, { data: Float32Array.from(data), dims: shape }]),
  );

const written = (title: string, graph: Graph): ExportedFile => ({
  title,
  model: toOnnx(graph),
  feeds: single(randomFeeds(graph, batch, 4)),
});

function specOf(id: string, loss: string, more: object = {}, options: Record<string, unknown> = {}): ForecastSpec {
  const { model, hyperparameters } = modelCases.find((candidate) => candidate.id === id)!;
  const created = createLoss(loss, options);
  return {
    model,
    hyperparameters: model.parse({ ...hyperparameters, ...more, outputs: created.outputs }),
    loss: created,
    scaler: 'standard',
  };
}

function trained(spec: ForecastSpec): Trained {
  const graph = inferenceGraph(spec);
  const values = randomFeeds(graph, batch, 5);
  const kept = [...graph.parameters, ...graph.states].map(leafName);
  return { spec, values: Object.fromEntries(kept.map((name) => [name, values[name]!.data])) };
}

const exported = (title: string, spec: ForecastSpec, options?: ExportOptions): ExportedFile => ({
  ...written(title, inferenceGraph(spec)),
  model: exportOnnx(trained(spec), options),
});

/** Losses of counts and amounts take no series below zero. */
const amounts = (file: ExportedFile): ExportedFile => ({
  ...file,
  feeds: Object.fromEntries(
    Object.entries(file.feeds).map(([name, { data, dims }]) => [
      name,
      { data: ['past', 'target'].includes(name) ? data.map(Math.abs) : data, dims },
    ]),
  ),
});

/** `large` makes layers that are worth it. */
async function quantized(id: string, to: 'int8' | 'fp16', large: object): Promise<ExportedFile> {
  const [inputLength, horizon] = [32, 16];
  const spec = specOf(id, 'mae', { inputLength, horizon, historic: 0, future: 0, static: 0, ...large });
  const random = seeded(6);
  const draw = (length: number): Float32Array => Float32Array.from({ length }, () => 4 * random() - 2);
  const windows = (count: number) => ({
    past: draw(count * inputLength),
    mask: new Float32Array(count * inputLength).fill(1),
    target: draw(count * horizon),
  });
  const { model } = await quantize({
    graph: shippedGraph(trained(spec)),
    to,
    engine,
    calibration: windows(256),
    validation: windows(64),
    family: spec.model.capabilities.quantization,
    maxLoss: Number.POSITIVE_INFINITY, // nothing was learned, so there is no error to keep
    maxSizeRatio: 1,
  });
  return {
    ...written(`${id} in ${to}`, inferenceGraph(spec)),
    model,
    // An activation halfway between two integers may be rounded to either: one step in 255.
    ...(to === 'int8' && { tolerance: 1 / 255 }),
  };
}

const needed: Record<string, Record<string, unknown>> = {
  mase: { seasonality: 2 },
  quantile: { q: 0.9 },
  'huber-quantile': { q: 0.9 },
};

const files: readonly ExportedFile[] = [
  ...modelCases.map(({ id }) => exported(`${id} as exported`, specOf(id, 'mq'))),
  exported('itransformer for ONNX Runtime', specOf('itransformer', 'mq'), { operators: 'onnxruntime' }),
  ...modelCases.map(({ id }) => written(`training of ${id}`, trainingGraph(specOf(id, 'normal'), { batch }))),
  ...Object.keys(losses)
    .map((loss) => specOf('mlp', loss, {}, needed[loss]))
    .flatMap((spec) => [
      exported(`forecast learned with ${spec.loss.name}`, spec),
      written(`training with ${spec.loss.name}`, trainingGraph(spec, { batch })),
      written(`validation with ${spec.loss.name}`, validationGraph(spec)),
    ])
    .map(amounts),
  ...opCases()
    .filter(({ inputs, outputs }) => [...inputs, ...outputs].every(({ dtype }) => dtype === 'float32'))
    .map(({ title, graph, feeds }) => ({ title, model: toOnnx(graph), feeds: single(feeds) })),
  ...(await Promise.all([
    quantized('nhits', 'int8', { hidden: [64, 64] }),
    quantized('nhits', 'fp16', { hidden: [64, 64] }),
    quantized('tcn', 'int8', { hidden: 32, decoderHidden: 64 }),
    quantized('lstm', 'int8', { hidden: 32, decoderHidden: 64 }),
    quantized('patchtst', 'int8', { hidden: 64, feedForward: 64 }),
    quantized('patchtst', 'fp16', { hidden: 64, feedForward: 64 }),
  ])),
];

/** The file with the inputs it has, weights and unused covariates left out, and what our engine finds. */
async function runHere(file: ExportedFile): Promise<ExportedFile & { readonly expected: Tensors }> {
  const session = await engine.load(file.model);
  const feeds = Object.fromEntries(session.inputNames.map((name) => [name, file.feeds[name]!]));
  const expected = session.run(feeds);
  session.close();
  return { ...file, feeds, expected };
}

const runs = await Promise.all(files.map(runHere));

/** The first file, made to promise one step more than it gives. */
function broken(): Run {
  const model = fromBinary(ModelProtoSchema, runs[0]!.model);
  const type = model.graph!.output[0]!.type!.value;
  if (type.case !== 'tensorType') throw new Error('the output is no tensor');
  type.value.shape!.dim[1]!.value = { case: 'dimValue', value: 5n };
  return { ...runs[0]!, model: toBinary(ModelProtoSchema, model) };
}

// Python works while the tests run WebAssembly.
const python = findPython('onnx', 'onnxruntime');
const peer = python === undefined ? undefined : checkInPython(python, [...runs, broken()]);

/**
 * Gradients are measured by the largest of the run: those of float32 are off by a share of it, here as there, and small
 * ones may be what is left of large terms that cancel.
 */
function expectSame(found: Tensors, { expected, tolerance = 1e-5 }: (typeof runs)[number]): void {
  const kindOf = (name: string): string => (name.startsWith(gradientName('')) ? gradientName('') : name);
  const largest = new Map<string, number>();
  for (const [name, { data }] of Object.entries(expected))
    largest.set(
      kindOf(name),
      data.reduce((top, value) => Math.max(top, Math.abs(value)), largest.get(kindOf(name)) ?? 0),
    );
  expect(Object.keys(found)).toEqual(Object.keys(expected));
  for (const [name, { data, dims }] of Object.entries(expected)) {
    expect([...found[name]!.dims], name).toEqual([...dims]);
    const distance = data.reduce((top, value, i) => Math.max(top, Math.abs(value - found[name]!.data[i]!)), 0);
    expect(distance, name).toBeLessThanOrEqual(tolerance * largest.get(kindOf(name))!);
  }
}

describe.each(runs.map((run, i) => ({ ...run, run, i })))('$title', ({ run, i }) => {
  test('gives the same numbers in WebAssembly', async () => {
    expectSame(await runInWeb(run), run);
  });

  test.skipIf(peer === undefined)('is valid ONNX, and gives the same numbers in Python', async () => {
    const { faults, outputs } = (await peer!)[i]!;
    expect(faults).toEqual([]);
    expectSame(outputs, run);
  });
});

test.skipIf(peer === undefined)('a file with a wrong shape does not pass', async () => {
  expect((await peer!).at(-1)!.faults.join()).toMatch(/ShapeInferenceError.*\(4\) vs \(5\)/s);
});

test('no file has operators outside the standard, unless they were asked for', () => {
  const others = files.filter(({ model }) => {
    const file = inspectOnnx(model);
    return !file.ok || file.value.customDomains.length > 0;
  });
  expect(others.map(({ title }) => title)).toEqual([
    'itransformer for ONNX Runtime',
    expect.stringMatching(/^multiHeadAttention/),
  ]);
});
