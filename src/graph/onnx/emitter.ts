/** What an op's ONNX lowering may use to write more than one node. Implemented by onnx/write.ts. */
import type { DType, Node, OnnxAttribute } from '../ir.js';

/** The node being lowered, with the ONNX names of its tensors. */
export interface LoweredNode {
  readonly node: Node;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

export interface SubgraphValue {
  readonly name: string;
  readonly shape: readonly (number | string)[];
}

export interface OnnxEmitter {
  /** Adds one node and returns the names of its outputs (given, or made up). */
  node(
    type: string,
    inputs: readonly string[],
    options?: {
      attributes?: Readonly<Record<string, OnnxAttribute>>;
      outputs?: readonly string[] | number;
      domain?: string;
      body?: Subgraph;
    },
  ): string[];
  /** Adds a constant tensor and returns its name. */
  constant(data: Float32Array | BigInt64Array | Int8Array | Uint8Array, shape: readonly number[]): string;
  /** A constant of one number. */
  scalar(value: number, dtype: DType): string;
  /** int64 constants: axes, shapes, starts… */
  ints(values: readonly number[]): string;
  /** A body graph of Scan; `build` adds its nodes to a fresh emitter and returns nothing. */
  body(
    name: string,
    inputs: readonly SubgraphValue[],
    outputs: readonly SubgraphValue[],
    build: (emit: OnnxEmitter) => void,
  ): Subgraph;
  /** An ONNX shape constant: the symbolic batch becomes -1. */
  shape(shape: readonly (number | string)[]): string;
}

/** An opaque body graph, made by `body`. */
export interface Subgraph {
  readonly graph: unknown;
}
