/**
 * Models that are one affine map, in WebAssembly: a device that runs only DLinear or NLinear need not load ONNX Runtime,
 * which takes 44 MB and 35 ms at the start (ENGINE.md §7).
 */
import { NeuroDivergentError } from '../errors.js';
import { readAffineFile, type AffineFile } from './affine-file.js';
import { createRunCheck } from './fit.js';
import { modelName, Unreadable } from './onnx-file.js';
import type { Engine, Session, SessionOptions } from './port.js';
import { wasmBase64 } from './wasm/linear.wasm.js';

/** Offsets are bytes, counts are floats; see wasm/linear.wat. */
type AffineKernel = (x: number, inputs: number, w: number, bias: number, y: number, columns: number) => void;

const panelColumns = 16;
const floatBytes = 4;
const pageBytes = 65_536;
let module: WebAssembly.Module | undefined;

export interface LinearEngineOptions {
  /** The engine for all other models, asked for when the first of them is loaded. Without it they are refused. */
  readonly otherwise?: () => Promise<Engine>;
}

/**
 * Runs files that are one Gemm between reshapes, as the export writes linear models without a scaler. Its `load` throws
 * `ND_ENGINE_MODEL_UNSUPPORTED` for others when there is no engine for them.
 */
export function createLinearEngine({ otherwise }: LinearEngineOptions = {}): Engine {
  return {
    name: 'linear',
    load: async (model: Uint8Array, options?: SessionOptions) => {
      try {
        return openSession(readAffineFile(model), modelName(model)!);
      } catch (cause) {
        if (!(cause instanceof Unreadable)) throw cause;
        if (otherwise !== undefined) return (await otherwise()).load(model, options);
        throw new NeuroDivergentError('ND_ENGINE_MODEL_UNSUPPORTED', {
          where: 'linear engine',
          what: `This model is not one affine map: ${cause.message}.`,
          mend: 'Run it with ONNX Runtime, or export DLinear or NLinear with the scaler `identity`.',
          cause,
        });
      }
    },
  };
}

function openSession({ input, output, inputShape, outputShape, matrix, bias }: AffineFile, name: string): Session {
  const columns = bias.length;
  const inputs = matrix.length / columns;
  const padded = Math.ceil(columns / panelColumns) * panelColumns;
  const at = { w: 0, bias: inputs * padded, y: (inputs + 1) * padded, x: (inputs + 2) * padded };

  module ??= new WebAssembly.Module(Buffer.from(wasmBase64, 'base64'));
  const memory = new WebAssembly.Memory({ initial: Math.ceil(((at.x + inputs) * floatBytes) / pageBytes) });
  const { exports } = new WebAssembly.Instance(module, { host: { memory } });
  const affine = exports['affine'] as AffineKernel;
  const view = (from: number, count: number): Float32Array => new Float32Array(memory.buffer, from * floatBytes, count);

  view(at.bias, columns).set(bias);
  const weights = view(at.w, inputs * padded);
  for (let i = 0; i < inputs; i++) {
    for (let j = 0; j < columns; j++) {
      const panel = Math.floor(j / panelColumns);
      weights[(panel * inputs + i) * panelColumns + (j % panelColumns)] = matrix[i * columns + j]!;
    }
  }
  const x = view(at.x, inputs);
  const y = view(at.y, columns);
  const row = (): void => affine(at.x * floatBytes, inputs, 0, at.bias * floatBytes, at.y * floatBytes, padded);

  const check = createRunCheck(
    name,
    [{ name: input, shape: ['batch', ...inputShape] }],
    [{ name: output, shape: ['batch', ...outputShape] }],
  );
  return {
    inputNames: [input],
    outputNames: [output],
    run: (feeds, outputs) => {
      check(feeds, outputs);
      const { data } = feeds[input]!;
      const rows = data.length / inputs;
      const result = outputs?.[output] ?? { data: new Float32Array(rows * columns), dims: [rows, ...outputShape] };
      for (let i = 0; i < rows; i++) {
        x.set(rows === 1 ? data : data.subarray(i * inputs, (i + 1) * inputs));
        row();
        result.data.set(y, i * columns);
      }
      return { [output]: result };
    },
    close: () => undefined, // the memory goes with the session
  };
}
