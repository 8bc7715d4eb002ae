/** A look into an ONNX file without any dependency, enough to refuse a model before an engine parses it. */
import type { Manifest } from '../contracts/manifest.js';
import type { Outcome } from '../contracts/reason.js';

export interface OnnxSummary {
  /** Version of the default domain. */
  readonly opset: number;
  /** Domains other than the default one. */
  readonly customDomains: readonly string[];
  /** Distinct operator types, sorted, those of subgraphs too. */
  readonly ops: readonly string[];
  readonly nodes: number;
  readonly initializers: number;
  readonly externalData: boolean;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}
/** Never throws: `malformed` when the bytes are no ONNX model. */
export declare function inspectOnnx(bytes: Uint8Array): Outcome<OnnxSummary>;
/** `model_refused` when the file is not what its manifest declares (EDGE.md §11). */
export declare function checkModel(bytes: Uint8Array, manifest: Pick<Manifest, 'opset' | 'ops'>): Outcome<OnnxSummary>;
