/**
 * ONNX Runtime as an engine. The only module that knows the package, which is loaded when the first model is.
 *
 * It calls the package's binding and not its public API: both block the thread, but the API wraps every run in a
 * promise and a turn of the event loop, 3 µs of the 10 a small model takes (ENGINE.md §6).
 */
import { createRequire } from 'node:module';
import { NeuroDivergentError } from '../errors.js';
import type { Engine, FloatTensor, Session, SessionOptions } from './port.js';

/** What the binding takes for a tensor; its own class is not needed. */
interface OrtTensor {
  readonly type: 'float32';
  readonly location: 'cpu';
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

interface OrtSession {
  loadModel(buffer: ArrayBufferLike, byteOffset: number, byteLength: number, options: object): void;
  readonly inputMetadata: readonly { readonly name: string }[];
  readonly outputMetadata: readonly { readonly name: string }[];
  run(
    feeds: Record<string, OrtTensor>,
    fetches: Record<string, OrtTensor | null>,
    options: object,
  ): Record<string, FloatTensor>;
  dispose(): void;
}

interface Binding {
  readonly InferenceSession: new () => OrtSession;
}

const packageName = 'onnxruntime-node';
let loaded: Binding | undefined;

function loadBinding(): Binding {
  if (loaded !== undefined) return loaded;
  const require = createRequire(import.meta.url);
  // Without it, each process reports to Microsoft and leaves a device id in the home folder and a log in the temp folder.
  process.env['ORT_DISABLE_TELEMETRY'] ??= '1';
  try {
    const { env } = require(packageName) as { env: { logLevel: string } };
    env.logLevel = 'fatal'; // errors are thrown with their text; nothing prints
    const { binding, initOrt } = require(`${packageName}/dist/binding.js`) as { binding: Binding; initOrt: () => void };
    initOrt();
    loaded = binding;
    return binding;
  } catch (cause) {
    throw new NeuroDivergentError('ND_ENGINE_MISSING', {
      where: packageName,
      what: `ONNX Runtime cannot be loaded on ${process.platform} ${process.arch}: ${messageOf(cause)}.`,
      mend: 'Install the line that package.json names; it ships for Linux and Windows (x64, arm64) and for macOS (arm64).',
      cause,
    });
  }
}

/** `name` stands in errors and reports. Sessions run on the thread that calls them. */
export function createOrtEngine(): Engine {
  return {
    name: 'ort-cpu',
    load: async (model, options) => openSession(model, options),
  };
}

function openSession(model: Uint8Array, { threads = 1 }: SessionOptions = {}): Session {
  const { InferenceSession } = loadBinding();
  const native = new InferenceSession();
  attempt(
    'load',
    'Check that the file is a whole ONNX model, of an opset and with operators that this ONNX Runtime knows.',
    () =>
      native.loadModel(model.buffer, model.byteOffset, model.byteLength, {
        logSeverityLevel: 4,
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        // The block that is planned for a shape at its first run comes on top of what that run took: twice the memory in training.
        enableMemPattern: false,
        // Idle workers would go on spinning after a run: 11 ms of CPU for 0.07 ms of work (ENGINE.md §6).
        ...(threads > 1 && { extra: { session: { force_spinning_stop: '1' } } }),
      }),
  );
  const inputNames = native.inputMetadata.map(({ name }) => name);
  const outputNames = native.outputMetadata.map(({ name }) => name);
  const all = Object.fromEntries(outputNames.map((name) => [name, null]));

  const bind = (
    tensors: Readonly<Record<string, FloatTensor>>,
    names: readonly string[],
  ): Record<string, OrtTensor> => {
    const bound: Record<string, OrtTensor> = {};
    for (const name of names) {
      const tensor = tensors[name];
      if (tensor === undefined)
        throw failed('run', `The input "${name}" is not fed.`, `Feed every input: ${inputNames.join(', ')}.`);
      bound[name] = { type: 'float32', location: 'cpu', data: tensor.data, dims: tensor.dims };
    }
    return bound;
  };
  const mend = 'Feed float32 tensors of the shapes that the model declares.';
  let closed = false;

  return {
    inputNames,
    outputNames,
    run: (feeds, outputs) => {
      const fetches = outputs === undefined ? all : bind(outputs, Object.keys(outputs));
      const bound = bind(feeds, inputNames);
      return attempt('run', mend, () => native.run(bound, fetches, {}));
    },
    close: () => {
      if (!closed) native.dispose();
      closed = true;
    },
  };
}

/** Runs `work`; what ONNX Runtime throws becomes an error of ours. */
function attempt<T>(where: string, mend: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw failed(where, `ONNX Runtime says: ${messageOf(cause)}`, mend, cause);
  }
}

const failed = (where: string, what: string, mend: string, cause?: unknown): NeuroDivergentError =>
  new NeuroDivergentError('ND_ENGINE_FAILED', { where: `engine ${where}`, what, mend, cause });

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause)).trim();
