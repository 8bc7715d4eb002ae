/**
 * Every error thrown on purpose. An error says where it happened, what is wrong and how to mend it, under a code that
 * never changes. Weather (a bad payload, a lost broker, a full disk) is a counted result of the device, not an error.
 */

/** Exit codes of the `nd` command, by kind of failure. */
export const exitCode = {
  ok: 0,
  internal: 1,
  usage: 2,
  data: 3,
  model: 4,
  diverged: 5,
  gate: 6,
  io: 7,
  interrupted: 130,
} as const;

type Kind = keyof typeof exitCode;

/** The closed list of codes and the kind of failure each one is. `docs/errors.md` documents every one. */
export const errorKinds = {
  ND_INTERNAL: 'internal',

  ND_DATA_FREQUENCY_UNKNOWN: 'data',
  ND_DATA_INVALID: 'data',

  ND_EVALUATE_LENGTHS: 'data',
  ND_EVALUATE_PROTOCOL: 'data',
  ND_EVALUATE_ZERO_SCALE: 'data',

  ND_CONFIG_UNKNOWN_KEY: 'model',
  ND_CONFIG_OUT_OF_RANGE: 'model',
  ND_CONFIG_CONFLICT: 'model',
  ND_CONFIG_COVARIATES_UNSUPPORTED: 'model',
  ND_CONFIG_LOSS_MISMATCH: 'model',
  ND_CONFIG_HORIZON_MISMATCH: 'model',
  ND_CONFIG_PATIENCE_NEEDS_VALIDATION: 'model',
  ND_CONFIG_SERIES_COUNT: 'model',
  ND_HYPERPARAMETER: 'model',
  ND_LANGUAGE_MODEL_MISSING: 'model',
  ND_LANGUAGE_MODEL_UNSUPPORTED: 'model',
  ND_MODEL_UNKNOWN: 'model',
  ND_SHAPE_MISMATCH: 'model',
  ND_GRAPH_DTYPE: 'model',
  ND_GRAPH_DUPLICATE_NAME: 'model',
  ND_GRAPH_INVALID: 'model',
  ND_GRAPH_NOT_STATIC: 'model',
  ND_GRADIENT_MISSING_RULE: 'model',

  ND_ENGINE_EMULATOR_MISSING: 'internal',
  ND_ENGINE_FAILED: 'internal',
  ND_ENGINE_INPUT_MISSING: 'model',
  ND_ENGINE_INPUT_SHAPE: 'model',
  ND_ENGINE_MISSING: 'internal',
  ND_ENGINE_MODEL_CORRUPT: 'io',
  ND_ENGINE_MODEL_UNSUPPORTED: 'model',
  ND_ENGINE_OUT_OF_MEMORY: 'internal',
  ND_ENGINE_OUTPUT_MISMATCH: 'model',
  ND_ENGINE_PROVIDER_MISSING: 'model',

  ND_DISTILL_HORIZON: 'model',
  ND_DISTILL_TEACHER_UNSUPPORTED: 'model',

  ND_QUANTIZE_GATE_FAILED: 'gate',
  ND_QUANTIZE_NO_CALIBRATION: 'data',
  ND_QUANTIZE_OP_UNSUPPORTED: 'model',
  ND_QUANTIZE_RANGE_COLLAPSED: 'data',
  ND_QUANTIZE_SATURATION: 'model',
  ND_QUANTIZE_SCALE_NOT_FINITE: 'data',

  ND_TRAIN_CANCELLED: 'interrupted',
  ND_TRAIN_DIVERGED: 'diverged',
  ND_TRAIN_LOSS_NOT_FINITE: 'diverged',
  ND_TRAIN_NO_WINDOW: 'data',
  ND_TRAIN_OUT_OF_MEMORY: 'model',
  ND_TRAIN_RESUME_INCOMPATIBLE: 'model',
  ND_TRAIN_SCALE_EXHAUSTED: 'diverged',

  ND_PREDICT_NOT_FITTED: 'model',

  ND_IMPORT_MISMATCH: 'data',
  ND_IMPORT_REFUSED: 'data',
  ND_IMPORT_UNSUPPORTED: 'model',

  ND_FILE_NOT_FOUND: 'io',
  ND_FILE_CORRUPT: 'io',
  ND_FILE_EXISTS: 'io',
  ND_FILE_VERSION: 'io',

  // One for each reason an update can be refused for (contracts/reason.ts).
  ND_BUNDLE_BAD_SIGNATURE: 'data',
  ND_BUNDLE_BELOW_THRESHOLD: 'data',
  ND_BUNDLE_ENDLESS_DATA: 'data',
  ND_BUNDLE_FAST_FORWARD_SUSPECTED: 'data',
  ND_BUNDLE_FROZEN: 'data',
  ND_BUNDLE_HASH_MISMATCH: 'data',
  ND_BUNDLE_MALFORMED: 'data',
  ND_BUNDLE_MIX_AND_MATCH: 'data',
  ND_BUNDLE_MODEL_REFUSED: 'data',
  ND_BUNDLE_NO_SPACE: 'io',
  ND_BUNDLE_REPLAYED: 'data',
  ND_BUNDLE_ROLLBACK_REFUSED: 'data',
  ND_BUNDLE_SELF_TEST_FAILED: 'data',
  ND_BUNDLE_SLOW_RETRIEVAL: 'io',
  ND_BUNDLE_TIMED_OUT: 'io',
  ND_BUNDLE_TOO_LARGE: 'data',
  ND_BUNDLE_UNREACHABLE: 'io',
  ND_BUNDLE_UNSAFE_PATH: 'data',
  ND_BUNDLE_UNSUPPORTED: 'data',
  ND_BUNDLE_WRONG_ROLE: 'data',
  ND_BUNDLE_WRONG_TARGET: 'data',

  // One for each reason a model is not tuned for.
  ND_TUNE_NO_MODEL: 'data',
  ND_TUNE_NOT_FINITE: 'diverged',
  ND_TUNE_NOT_TUNABLE: 'model',
  ND_TUNE_OUT_OF_MEMORY: 'model',
  ND_TUNE_OUT_OF_TIME: 'model',
  ND_TUNE_STOPPED: 'internal',
  ND_TUNE_TOO_FEW_WINDOWS: 'data',

  ND_CLI_USAGE: 'usage',
} as const satisfies Record<string, Kind>;

export type ErrorCode = keyof typeof errorKinds;

export interface ErrorParts {
  /** The place: a scope path, a file and line, an option. */
  readonly where: string;
  /** What is wrong, as a full sentence with the values that matter. */
  readonly what: string;
  /** What the reader can do about it. */
  readonly mend: string;
  readonly cause?: unknown;
}

export class NeuroDivergentError extends Error {
  readonly code: ErrorCode;
  readonly where: string;
  readonly what: string;
  readonly mend: string;

  constructor(code: ErrorCode, { where, what, mend, cause }: ErrorParts) {
    super(`${where}: ${what} ${mend} [${code}]`, cause === undefined ? undefined : { cause });
    this.name = 'NeuroDivergentError';
    this.code = code;
    this.where = where;
    this.what = what;
    this.mend = mend;
  }

  /** The exit code of a command that ends with this error. */
  get exitCode(): number {
    return exitCode[errorKinds[this.code]];
  }

  /** The same error, with the part of the model it happened in before its place. */
  within(path: string): NeuroDivergentError {
    return new NeuroDivergentError(this.code, { ...this.toJSON(), where: `${path}: ${this.where}`, cause: this });
  }

  toJSON(): { code: ErrorCode; where: string; what: string; mend: string } {
    return { code: this.code, where: this.where, what: this.what, mend: this.mend };
  }
}

/** Two shapes that must agree do not. */
export class ShapeError extends NeuroDivergentError {
  constructor(parts: ErrorParts) {
    super('ND_SHAPE_MISMATCH', parts);
  }
}
