/** A bundle is a folder: manifest.json, model.<precision>.onnx, golden.safetensors, card.md. This writes and reads one. */
import type { BundleFile, Manifest } from '../contracts/manifest.js';

/** What the packer is told; it adds `schema`, `files` with hash and length, and for each model its opset and ops. */
export type ManifestParts = Omit<Manifest, 'schema' | 'files' | 'opset' | 'ops'>;

export interface PackOptions {
  readonly dir: string;
  readonly manifest: ManifestParts;
  /** Path inside the bundle -> its role and content. */
  readonly files: Readonly<Record<string, { readonly role: BundleFile['role']; readonly content: Uint8Array | string }>>;
}

export interface Bundle {
  readonly dir: string;
  readonly manifest: Manifest;
  /** The bytes the hash is made of: canonical JSON. */
  readonly manifestBytes: Uint8Array;
  readonly manifestSha256: string;
}
/** Writes the folder. Throws `ND_BUNDLE_UNSAFE_PATH`, `ND_BUNDLE_MALFORMED` or `ND_BUNDLE_MODEL_REFUSED`. */
export declare function packBundle(options: PackOptions): Promise<Bundle>;
/** Reads and checks the manifest (not the files: `verifyBundle`). Throws `ND_FILE_NOT_FOUND` or `ND_BUNDLE_MALFORMED`. */
export declare function readBundle(dir: string): Promise<Bundle>;
