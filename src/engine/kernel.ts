/** The WebAssembly kernels of a training step, on one memory that is sized once: growing it would detach every view. */
import { NeuroDivergentError } from '../errors.js';
import { wasmBase64 } from './wasm/adam.wasm.js';

// What we use of WebAssembly; the types of Node do not declare it without those of the browser.
declare global {
  namespace WebAssembly {
    class Memory {
      constructor(descriptor: { initial: number });
      readonly buffer: ArrayBuffer;
    }
    class Module {
      constructor(bytes: Uint8Array);
    }
    class Instance {
      constructor(module: Module, imports: Record<string, Record<string, unknown>>);
      readonly exports: Record<string, unknown>;
    }
  }
}

/** Offsets are bytes, counts are floats; see wasm/adam.wat. */
export interface Kernels {
  readonly buffer: ArrayBuffer;
  readonly sumOfSquares: (at: number, count: number) => number;
  readonly adam: (
    p: number,
    m: number,
    v: number,
    g: number,
    count: number,
    rate: number,
    epsilon: number,
    fresh1: number,
    keep2: number,
    fresh2: number,
    decay: number,
    scale: number,
  ) => void;
  readonly uniform: (state: number, at: number, count: number) => void;
  readonly keep: (state: number, at: number, count: number, below: number, value: number) => void;
}

const pageBytes = 65_536;
let module: WebAssembly.Module | undefined;

/** Throws `ND_ENGINE_OUT_OF_MEMORY`. */
export function createKernels(sizeBytes: number): Kernels {
  module ??= new WebAssembly.Module(Buffer.from(wasmBase64, 'base64'));
  const memory = allocate(sizeBytes);
  const { exports } = new WebAssembly.Instance(module, { host: { memory } });
  return { ...(exports as unknown as Omit<Kernels, 'buffer'>), buffer: memory.buffer };
}

function allocate(sizeBytes: number): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: Math.max(1, Math.ceil(sizeBytes / pageBytes)) });
  } catch (cause) {
    throw new NeuroDivergentError('ND_ENGINE_OUT_OF_MEMORY', {
      where: 'weights',
      what: `The weights, their gradients and moments take ${sizeBytes} bytes, more than the system gives or the 4 GiB of WebAssembly.`,
      mend: 'Choose a smaller model.',
      cause,
    });
  }
}
