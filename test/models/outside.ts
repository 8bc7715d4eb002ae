/** ONNX files in other hands: Python's `onnx` checks them, ONNX Runtime for Python and for WebAssembly run them. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { env, InferenceSession, Tensor as WebTensor } from 'onnxruntime-web/wasm';
import type { FloatTensor } from '../../src/engine/port.js';
import { elements } from '../../src/graph/ndarray.js';

export type Tensors = Readonly<Record<string, FloatTensor>>;

export interface Run {
  readonly model: Uint8Array;
  /** Every input of the file, and no other. */
  readonly feeds: Tensors;
}

env.wasm.numThreads = 1;
env.logLevel = 'error';

export async function runInWeb({ model, feeds }: Run): Promise<Tensors> {
  const session = await InferenceSession.create(model);
  const given = Object.entries(feeds).map(
    ([name, { data, dims }]) => [name, new WebTensor('float32', data, dims)] as const,
  );
  const found = await session.run(Object.fromEntries(given));
  await session.release();
  return found as unknown as Tensors; // all outputs are float32
}

export interface PythonResult {
  /** What the checker or the run complained of; then there may be no outputs. */
  readonly faults: readonly string[];
  readonly outputs: Tensors;
}

/** All in one process, which takes seconds to start. `python` has `onnx` and `onnxruntime`. */
export async function checkInPython(python: string, runs: readonly Run[]): Promise<PythonResult[]> {
  const folder = mkdtempSync(join(tmpdir(), 'nd-exports-'));
  const path = (name: string): string => join(folder, name);
  const shapesOf = (tensors: Tensors) =>
    Object.fromEntries(Object.entries(tensors).map(([name, { dims }]) => [name, dims]));
  try {
    for (const [i, { model, feeds }] of runs.entries()) {
      writeFileSync(path(`${i}.onnx`), model);
      writeFileSync(path(`${i}.feeds`), Float32Array.from(Object.values(feeds).flatMap(({ data }) => [...data])));
    }
    writeFileSync(path('feeds.json'), JSON.stringify(runs.map(({ feeds }) => shapesOf(feeds))));
    await promisify(execFile)(python, [join(import.meta.dirname, 'check-exports.py'), folder]);
    const results = JSON.parse(readFileSync(path('results.json'), 'utf8')) as readonly {
      faults: string[];
      outputs: Record<string, number[]>;
    }[];
    return results.map(({ faults, outputs }, i) => ({ faults, outputs: readOutputs(path(`${i}.outputs`), outputs) }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function readOutputs(file: string, shapes: Readonly<Record<string, readonly number[]>>): Tensors {
  let start = 0;
  return Object.fromEntries(
    Object.entries(shapes).map(([name, dims]) => {
      const end = start + 4 * elements(dims);
      const { buffer } = Uint8Array.from(readFileSync(file).subarray(start, end));
      start = end;
      return [name, { data: new Float32Array(buffer), dims }];
    }),
  );
}
