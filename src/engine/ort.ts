/**
 * ONNX Runtime as an engine. The only module that knows the package, which is loaded when the first model is.
 *
 * It calls the package's binding and not its public API: both block the thread, but the API wraps every run in a
 * promise and a turn of the event loop, 3 µs of the 10 a small model takes (ENGINE.md §6).
 */
import { createRequire } from 'node:module';
import type { Provider } from '../contracts/provider.js';
import { NeuroDivergentError } from '../errors.js';
import { fenced, fenceName, isFence } from './fence.js';
import { createRunCheck, type Declared } from './fit.js';
import { modelName } from './onnx-file.js';
import { loadFault, messageOf, providerMissing, runFault, type Backend } from './ort-fault.js';
import type { Engine, FloatTensor, Session } from './port.js';

/** What the binding takes for a tensor; its own class is not needed. */
interface OrtTensor {
  readonly type: 'float32';
  readonly location: 'cpu';
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

interface OrtMetadata {
  readonly name: string;
  /** -1 where it is open. */
  readonly shape: readonly number[];
  readonly symbolicDimensions: readonly string[];
  readonly type: number;
}

interface OrtSession {
  loadModel(buffer: ArrayBufferLike, byteOffset: number, byteLength: number, options: object): void;
  readonly inputMetadata: readonly OrtMetadata[];
  readonly outputMetadata: readonly OrtMetadata[];
  run(
    feeds: Record<string, OrtTensor>,
    fetches: Record<string, OrtTensor | null>,
    options: object,
  ): Record<string, FloatTensor>;
  dispose(): void;
}

interface Binding {
  readonly InferenceSession: new () => OrtSession;
  readonly listSupportedBackends: () => readonly Backend[];
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
export function createOrtEngine({ provider = 'cpu' }: { provider?: Provider } = {}): Engine {
  return {
    name: `ort-${provider}`,
    load: async (model, { threads = 1, provider: own = provider, writesOnly = false, leastMemory = false } = {}) =>
      openSession(model, { threads, provider: own, writesOnly, leastMemory }),
  };
}

/** A model of one node, `y = -x`, 64 bytes of ONNX: which providers load it shows what computes here. */
const probe = Buffer.from(
  'CAo6NgoLCgF4EgF5IgNOZWcSBXByb2JlWg8KAXgSCgoICAESBAoCCAFiDwoBeRIKCggIARIECgIIAUIECgAQFQ==',
  'base64',
);

/** Of the providers, those that compute on this machine. Throws `ND_ENGINE_PROVIDER_MISSING` when `requireGpu` and none is a graphics card. */
export function usableProviders(wanted: readonly Provider[], requireGpu = false): readonly Provider[] {
  const options = { threads: 1, writesOnly: false, leastMemory: false };
  let missing: NeuroDivergentError | undefined;
  const usable = wanted.filter((provider) => {
    try {
      openSession(probe, { ...options, provider }).close();
      return true;
    } catch (error) {
      missing = error as NeuroDivergentError;
      return false;
    }
  });
  if (!requireGpu || usable.some((provider) => provider !== 'cpu')) return usable;
  throw missing ?? providerMissing(new Error('none is named'), 'cuda', loadBinding().listSupportedBackends());
}

interface Opening {
  readonly threads: number;
  readonly provider: Provider;
  readonly writesOnly: boolean;
  readonly leastMemory: boolean;
}

function openSession(model: Uint8Array, opening: Opening): Session {
  const { writesOnly } = opening;
  const binding = loadBinding();
  const native = nativeSession(binding, writesOnly ? fenced(model) : model, opening);
  const name = modelName(model) ?? 'model';
  const inputs = native.inputMetadata.map(declared);
  const outputs = native.outputMetadata.filter((output) => output.name !== fenceName).map(declared);
  const other = native.inputMetadata.find(({ type }) => type !== float32);
  if (other !== undefined) {
    throw new NeuroDivergentError('ND_ENGINE_MODEL_UNSUPPORTED', {
      where: name,
      what: `The input "${other.name}" is not float32, the only element type that is fed here.`,
      mend: 'Cast it inside the model, and declare the input as float32.',
    });
  }

  const inputNames = inputs.map((input) => input.name);
  const outputNames = outputs.map((output) => output.name);
  const all: Record<string, OrtTensor | null> = Object.fromEntries(outputNames.map((output) => [output, null]));
  const check = createRunCheck(name, inputs, outputs);
  const bind = (tensors: Tensors, names: readonly string[]): Record<string, OrtTensor | null> => {
    const bound: Record<string, OrtTensor | null> = {};
    for (const key of names) {
      const tensor = tensors[key];
      bound[key] = tensor ? { type: 'float32', location: 'cpu', data: tensor.data, dims: tensor.dims } : null;
    }
    return bound;
  };
  let closed = false;
  const nothing: Record<string, FloatTensor> = {};

  return {
    inputNames,
    outputNames,
    run: (feeds, given) => {
      check(feeds, given);
      const fetches = given === undefined ? all : bind(given, Object.keys(given));
      if (writesOnly) fetches[fenceName] = null;
      try {
        const made = native.run(bind(feeds, inputNames) as Record<string, OrtTensor>, fetches, {});
        return writesOnly ? nothing : made;
      } catch (cause) {
        if (writesOnly && isFence(cause)) return nothing;
        throw runFault(cause, name);
      }
    },
    close: () => {
      if (!closed) native.dispose();
      closed = true;
    },
  };
}

type Tensors = Readonly<Record<string, FloatTensor | null>>;

/** In the numbering of ONNX. */
const float32 = 1;
const declared = ({ name, shape, symbolicDimensions }: OrtMetadata): Declared => ({
  name,
  shape: shape.map((dim, axis) => (dim < 0 ? symbolicDimensions[axis]! : dim)),
});

/** In order of preference; what one of them lacks, the next one does. */
const chains: Record<Provider, readonly Provider[]> = {
  cpu: ['cpu'],
  cuda: ['cuda', 'cpu'],
  tensorrt: ['tensorrt', 'cuda', 'cpu'],
};

function nativeSession(binding: Binding, model: Uint8Array, { threads, provider, leastMemory }: Opening): OrtSession {
  const open = (executionProviders: readonly Provider[]): OrtSession => {
    const native = new binding.InferenceSession();
    native.loadModel(model.buffer, model.byteOffset, model.byteLength, {
      executionProviders,
      logSeverityLevel: 4,
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      enableMemPattern: !leastMemory,
      // Idle workers would go on spinning after a run: 11 ms of CPU for 0.07 ms of work (ENGINE.md §6).
      ...(threads > 1 && { extra: { session: { force_spinning_stop: '1' } } }),
    });
    return native;
  };
  try {
    return open(chains[provider]);
  } catch (cause) {
    const fault = loadFault(cause, model);
    if (provider === 'cpu' || fault.code !== 'ND_ENGINE_FAILED') throw fault;
    // A model that the processor takes shows that the provider is what is missing.
    try {
      open(chains.cpu).dispose();
    } catch {
      throw fault;
    }
    throw providerMissing(cause, provider, binding.listSupportedBackends());
  }
}
