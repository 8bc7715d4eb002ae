/** From trained weights to what ships and runs: one graph with the weights in it, as ONNX, or as a function of a window. */
import { createOrtEngine } from '../engine/ort.js';
import type { Engine, FloatTensor } from '../engine/port.js';
import {
  bindParameters,
  foldAffine,
  foldConstants,
  fuseAttention,
  fuseBias,
  fuseRecurrent,
  leafName,
  mergeEqual,
  runPasses,
  simplify,
  toOnnx,
  type Graph,
} from '../graph/index.js';
import { inferenceGraph, type ForecastSpec } from '../models/index.js';

/** A model and its weights. */
export interface Trained {
  readonly spec: ForecastSpec;
  /** Parameters and states by path. */
  readonly values: Readonly<Record<string, ArrayLike<number>>>;
}

/** Sensor units in, sensor units out, any number of windows; chains of linear maps are one matrix (ENGINE.md §6). */
export function shippedGraph({ spec, values }: Trained): Graph {
  const bound = bindParameters(inferenceGraph(spec), values);
  return runPasses(bound, [
    simplify,
    foldConstants,
    mergeEqual,
    fuseBias,
    foldAffine,
    fuseRecurrent,
    foldConstants,
    simplify,
  ]);
}

export interface ExportOptions {
  /** Written into the file, see `toOnnx`. */
  readonly metadata?: Readonly<Record<string, string>>;
  /**
   * `onnx`, the default: those of the ONNX standard alone, so that any runtime may run the file. `onnxruntime`: also its
   * own (`com.microsoft`), with which long attention takes an eighth of the memory (ENGINE.md §8).
   */
  readonly operators?: 'onnx' | 'onnxruntime';
}

/** The model file: inputs `past`, `mask`… as far as the model reads them, output `forecast [batch, horizon, columns]`. */
export function exportOnnx(trained: Trained, { metadata = {}, operators = 'onnx' }: ExportOptions = {}): Uint8Array {
  const portable = shippedGraph(trained);
  const graph = operators === 'onnx' ? portable : runPasses(portable, [fuseAttention, simplify]);
  return toOnnx(graph, { name: trained.spec.model.id, metadata });
}

/**
 * The same forecast with every parameter and state under its own name, so that other values can be put in: more nodes than
 * `shippedGraph` has, since nothing is folded into them.
 */
export function templateOnnx({ spec, values }: Trained): Uint8Array {
  const graph = inferenceGraph(spec);
  const passes = [simplify, foldConstants, mergeEqual, fuseBias, fuseRecurrent, foldConstants, simplify];
  return toOnnx(runPasses({ ...graph, updates: {} }, passes), { name: spec.model.id, weights: values });
}

/** One window at a time, as fast as it goes: no frame, no batch, no memory taken per call. */
export interface CompiledForecast {
  /** Names and shapes `[1, …]` of what `run` wants. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  /**
   * The forecast of one window, `[horizon · columns]` in sensor units. The array is the same one at every call. `mask`
   * may be left out of a window that was observed throughout.
   */
  run(window: Readonly<Record<string, Float32Array>>): Float32Array;
  close(): void;
}

export async function compile(
  trained: Trained,
  { engine = createOrtEngine(), threads = 1 }: { engine?: Engine; threads?: number } = {},
): Promise<CompiledForecast> {
  const graph = shippedGraph(trained);
  const session = await engine.load(toOnnx(graph, { name: trained.spec.model.id }), { threads });
  const shapeOf = (shape: readonly (number | string)[]): number[] =>
    shape.map((dim) => (typeof dim === 'number' ? dim : 1));
  const length = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

  const inputs = Object.fromEntries(graph.inputs.map((input) => [leafName(input), shapeOf(input.shape)]));
  const names = Object.keys(inputs);
  const feeds = Object.fromEntries(
    names.map((name) => [
      name,
      { dims: inputs[name]!, data: new Float32Array(length(inputs[name]!)).fill(name === 'mask' ? 1 : 0) },
    ]),
  );
  const mutable = feeds as Record<string, { data: Float32Array } & FloatTensor>;
  const allObserved = feeds['mask']?.data;
  const dims = shapeOf(graph.outputs['forecast']!.shape);
  const outputs = { forecast: { dims, data: new Float32Array(length(dims)) } };
  return {
    inputs,
    run: (window) => {
      for (const name of names) mutable[name]!.data = window[name] ?? (name === 'mask' ? allObserved! : window[name]!);
      session.run(feeds, outputs);
      return outputs.forecast.data;
    },
    close: () => session.close(),
  };
}
