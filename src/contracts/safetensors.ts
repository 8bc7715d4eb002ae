/** The safetensors format, https://github.com/huggingface/safetensors: an 8-byte header length, a JSON header, raw tensors. */
export type TensorDtype = 'F64' | 'F32' | 'F16' | 'BF16' | 'I64' | 'U64' | 'I32' | 'U32' | 'I16' | 'U16' | 'I8' | 'U8' | 'BOOL';

export interface StoredTensor {
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  /** Row-major. F16, BF16: raw bits. BOOL: 0 or 1. */
  readonly data: Float64Array | Float32Array | BigInt64Array | BigUint64Array | Int32Array | Uint32Array | Int16Array | Uint16Array | Int8Array | Uint8Array;
}

export interface SafetensorsFile {
  readonly tensors: Readonly<Record<string, StoredTensor>>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Reads a whole file. Throws `ND_FILE_CORRUPT` for a header, offset, length or overlap that does not add up. */
export declare function readSafetensors(bytes: Uint8Array, where?: string): SafetensorsFile;

/** Writes tensors in the order of their names, data aligned to 8 bytes; the same input gives the same bytes. */
export declare function writeSafetensors(tensors: Readonly<Record<string, StoredTensor>>, metadata?: Readonly<Record<string, string>>): Uint8Array;
