/** What ONNX Runtime throws, as errors of ours: its own words name neither the model nor the cure, so they are a detail. */
import { NeuroDivergentError, type ErrorCode } from '../errors.js';
import { modelName } from './onnx-file.js';
import type { Provider } from '../contracts/provider.js';

/** What this build of ONNX Runtime can compute with; what is not bundled needs libraries of its own. */
export interface Backend {
  readonly name: string;
  readonly bundled: boolean;
}

interface Fault {
  readonly code: ErrorCode;
  readonly says: RegExp;
  readonly what: string;
  readonly mend: string;
}
/** The first whose words are found; the last takes all. */
const faults: readonly Fault[] = [
  {
    code: 'ND_ENGINE_OUT_OF_MEMORY',
    says: /bad_alloc|bad allocation|failed to allocate|allocation failed|out of memory/i,
    what: 'There is not enough memory for it',
    mend: 'Run fewer windows at once, or a smaller model.',
  },
  {
    code: 'ND_ENGINE_MODEL_UNSUPPORTED',
    says: /No Op registered|No opset import|Opset \d+ is under|IR version|not find an implementation/,
    what: 'It has an operator or a version that this ONNX Runtime does not know',
    mend: 'Export the model with an opset and operators that it knows.',
  },
  {
    code: 'ND_ENGINE_FAILED',
    says: /(?:)/,
    what: 'ONNX Runtime refused it',
    mend: 'Compare the model with what is fed; `nd doctor` shows whether the engine works at all.',
  },
];

/** Why a run failed, of the model of this name. */
export function runFault(cause: unknown, where: string): NeuroDivergentError {
  const said = messageOf(cause);
  const { code, what, mend } = faults.find(({ says }) => says.test(said))!;
  return new NeuroDivergentError(code, { where, what: `${what} (ONNX Runtime: ${said}).`, mend, cause });
}

/** Why a file could not be loaded. */
export function loadFault(cause: unknown, model: Uint8Array): NeuroDivergentError {
  const name = modelName(model);
  if (name !== undefined) return runFault(cause, name);
  return new NeuroDivergentError('ND_ENGINE_MODEL_CORRUPT', {
    where: 'model',
    what: `These ${model.byteLength} bytes are no whole ONNX model (ONNX Runtime: ${messageOf(cause)}).`,
    mend: 'Write the file again, or copy it again from where it was whole.',
    cause,
  });
}

/** A model can be loaded on the processor, but not for `provider`. */
export function providerMissing(cause: unknown, provider: Provider, backends: readonly Backend[]): NeuroDivergentError {
  const names = (bundled: boolean): string =>
    backends.flatMap((backend) => (backend.bundled === bundled ? [backend.name] : [])).join(', ') || 'none';
  return new NeuroDivergentError('ND_ENGINE_PROVIDER_MISSING', {
    where: `provider ${provider}`,
    what:
      `ONNX Runtime cannot compute with it here (${messageOf(cause)}). On ${process.platform} ${process.arch} it has ` +
      `${names(true)}; where their libraries are installed: ${names(false)}.`,
    mend:
      'Use the provider cpu. On Linux x64 with a graphics card, CUDA 12 and cuDNN 9, install onnxruntime-node again with ' +
      'ONNXRUNTIME_NODE_INSTALL=cuda12.',
    cause,
  });
}

/** The words, without the place in ONNX Runtime's sources that they may begin with. */
export const messageOf = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : String(cause))
    .replace(/\/onnxruntime_src\/\S+ .*?[)\]] (?=[A-Z]|\[ONNX)/gs, '')
    .trim();
