/** What the rest of the code asks of an engine: load a model, run it on float32 tensors, let it go. */

/** A dense row-major float32 tensor. */
export interface FloatTensor {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

export interface SessionOptions {
  /** Threads inside one operator; 1 on devices, where more only costs (ENGINE.md §5). */
  readonly threads?: number;
}

export interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /**
   * Runs the model once, on the calling thread. With `outputs`, only those are computed, into the memory they bring: for
   * large ones, which would be allocated at every run otherwise. Throws `ND_ENGINE_FAILED`.
   */
  run(
    feeds: Readonly<Record<string, FloatTensor>>,
    outputs?: Readonly<Record<string, FloatTensor>>,
  ): Record<string, FloatTensor>;
  close(): void;
}

export interface Engine {
  /** A short name for reports: `ort-cpu`, `linear`. */
  readonly name: string;
  /** Loads a model from its bytes. Throws `ND_ENGINE_FAILED`. */
  load(model: Uint8Array, options?: SessionOptions): Promise<Session>;
}
