/** What the rest of the code asks of an engine: load a model, run it on float32 tensors, let it go. */

import type { Provider } from '../contracts/provider.js';

/** A dense row-major float32 tensor. */
export interface FloatTensor {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

export interface SessionOptions {
  /** Threads inside one operator; 1 on devices, where more only costs (ENGINE.md §5). */
  readonly threads?: number | undefined;
  /** That of the engine when absent. */
  readonly provider?: Provider | undefined;
  /** Runs bring memory for all that they want, and are handed nothing back: ONNX Runtime would copy every output once more. */
  readonly writesOnly?: boolean | undefined;
  /**
   * Take memory tensor by tensor and not as the one block that is planned for a shape at its first run, which comes on top
   * of what that run took: half of the memory in training; a small model is up to a sixth slower.
   */
  readonly leastMemory?: boolean | undefined;
}

export interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /**
   * Runs the model once, on the calling thread. With `outputs`, only those are computed, into the memory they bring: for
   * large ones, which would be allocated at every run otherwise; null brings none. A session that `writesOnly` gives
   * nothing back. Tensors that the model does not have may be fed. Throws `ND_ENGINE_INPUT_MISSING`,
   * `ND_ENGINE_INPUT_SHAPE`, `ND_ENGINE_OUTPUT_MISMATCH`, `ND_ENGINE_OUT_OF_MEMORY`, and `ND_ENGINE_FAILED` for what has no code of its own.
   */
  run(
    feeds: Readonly<Record<string, FloatTensor>>,
    outputs?: Readonly<Record<string, FloatTensor | null>>,
  ): Record<string, FloatTensor>;
  close(): void;
}

export interface Engine {
  /** A short name for reports: `ort-cpu`, `ort-cuda`, `linear`. */
  readonly name: string;
  /**
   * Loads a model from its bytes. Throws `ND_ENGINE_MISSING`, `ND_ENGINE_PROVIDER_MISSING`, `ND_ENGINE_MODEL_CORRUPT`,
   * `ND_ENGINE_MODEL_UNSUPPORTED`, `ND_ENGINE_OUT_OF_MEMORY`, and `ND_ENGINE_FAILED` for what has no code of its own.
   */
  load(model: Uint8Array, options?: SessionOptions): Promise<Session>;
}
