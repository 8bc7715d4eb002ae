/** A look into an ONNX file without any dependency, enough to refuse a model before an engine parses it. */
import { limits } from '../contracts/limit.js';
import type { Manifest } from '../contracts/manifest.js';
import type { Outcome } from '../contracts/reason.js';
import { accept, refuse } from '../contracts/reason.js';

export interface OnnxSummary {
  /** Version of the default domain. */
  readonly opset: number;
  /** Domains other than the default one, sorted. */
  readonly customDomains: readonly string[];
  /** Distinct operator types, sorted, those of subgraphs too; `domain::Type` outside the default domain. */
  readonly ops: readonly string[];
  readonly nodes: number;
  readonly initializers: number;
  /** Weights in other files: a way to read any file of the device. */
  readonly externalData: boolean;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
}

const allowedDomains = new Set(['com.microsoft']);
const nodesMax = 20_000;
const initializersMax = 20_000;
const subgraphsMax = 16;

/** Field numbers of onnx.proto, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; only those read here. */
const field = {
  model: { graph: 7, opsetImport: 8, metadata: 14, functions: 25 },
  metadata: { key: 1, value: 2 },
  opset: { domain: 1, version: 2 },
  graph: { node: 1, initializer: 5, input: 11, output: 12, sparseInitializer: 15 },
  function: { node: 7, opsetImport: 9 },
  node: { opType: 4, attribute: 5, domain: 7 },
  attribute: { tensor: 5, graph: 6, tensors: 10, graphs: 11, sparseTensor: 22, sparseTensors: 23 },
  sparse: { values: 1, indices: 2 },
  tensor: { externalData: 13, dataLocation: 14 },
  value: { name: 1 },
} as const;
const external = 1;

/** Never throws: `malformed` when the bytes are no ONNX model, `too_large` above the cap. */
export function inspectOnnx(bytes: Uint8Array): Outcome<OnnxSummary> {
  if (bytes.byteLength > limits.bundleBytes) return refuse('too_large', `${bytes.byteLength} bytes`);
  try {
    return readModel(bytes);
  } catch (error) {
    if (error instanceof WireError) return refuse('malformed', `not an ONNX model: ${error.message}`);
    throw error;
  }
}

/** `model_refused` when the file is not what its manifest declares (EDGE.md §11). */
export function checkModel(bytes: Uint8Array, declared: Pick<Manifest, 'opset' | 'ops'>): Outcome<OnnxSummary> {
  const read = inspectOnnx(bytes);
  if (!read.ok) return read;
  const { opset, ops, customDomains, nodes, initializers, externalData } = read.value;
  const undeclared = ops.filter((op) => !declared.ops.includes(op));
  const foreign = customDomains.filter((domain) => !allowedDomains.has(domain));
  const complaints = [
    externalData && 'its weights lie in other files',
    foreign.length > 0 && `it needs the operator domains ${foreign.join(', ')}`,
    opset !== declared.opset && `its opset is ${opset}, the manifest says ${declared.opset}`,
    undeclared.length > 0 && `the manifest does not declare ${undeclared.join(', ')}`,
    nodes > nodesMax && `it has ${nodes} nodes`,
    initializers > initializersMax && `it has ${initializers} initializers`,
  ].filter((complaint) => complaint !== false);
  return complaints.length === 0 ? read : refuse('model_refused', complaints.join('; '));
}

function readModel(bytes: Uint8Array): Outcome<OnnxSummary> {
  const ops = new Set<string>();
  const domains = new Map<string, number>();
  const inputs: string[] = [];
  const outputs: string[] = [];
  let graphs = 0;
  let nodes = 0;
  let initializers = 0;
  let externalData = false;
  const metadata: Record<string, string> = Object.create(null) as Record<string, string>; // so that no key is special

  const readTensor = (message: Uint8Array): void => {
    for (const { number, value } of fields(message)) {
      if (number === field.tensor.externalData || (number === field.tensor.dataLocation && value === external))
        externalData = true;
    }
  };
  const readSparse = (message: Uint8Array): void => {
    for (const { number, value } of fields(message))
      if (number === field.sparse.values || number === field.sparse.indices) readTensor(asBytes(value));
  };
  const readOpset = (message: Uint8Array): void => {
    let domain = '';
    let version = 0;
    for (const { number, value } of fields(message)) {
      if (number === field.opset.domain) domain = asText(value);
      if (number === field.opset.version) version = asNumber(value);
    }
    domains.set(domain === 'ai.onnx' ? '' : domain, version);
  };
  const readAttribute = (message: Uint8Array, depth: number): void => {
    const { tensor, tensors, graph, graphs: list, sparseTensor, sparseTensors } = field.attribute;
    for (const { number, value } of fields(message)) {
      if (number === tensor || number === tensors) readTensor(asBytes(value));
      if (number === graph || number === list) readGraph(asBytes(value), depth + 1);
      if (number === sparseTensor || number === sparseTensors) readSparse(asBytes(value));
    }
  };
  const readNode = (message: Uint8Array, depth: number): void => {
    let type = '';
    let domain = '';
    for (const { number, value } of fields(message)) {
      if (number === field.node.opType) type = asText(value);
      if (number === field.node.domain) domain = asText(value);
      if (number === field.node.attribute) readAttribute(asBytes(value), depth);
    }
    nodes++;
    if (domain === 'ai.onnx') domain = '';
    if (!domains.has(domain)) domains.set(domain, 0);
    ops.add(domain === '' ? type : `${domain}::${type}`);
  };
  const readGraph = (message: Uint8Array, depth: number): void => {
    if (depth > subgraphsMax) throw new WireError(`graphs nest deeper than ${subgraphsMax}`);
    graphs++;
    for (const { number, value } of fields(message)) {
      if (number === field.graph.node) readNode(asBytes(value), depth);
      if (number === field.graph.initializer) readTensor(asBytes(value));
      if (number === field.graph.sparseInitializer) readSparse(asBytes(value));
      if (number === field.graph.initializer || number === field.graph.sparseInitializer) initializers++;
      if (depth === 0 && number === field.graph.input) inputs.push(nameOf(asBytes(value)));
      if (depth === 0 && number === field.graph.output) outputs.push(nameOf(asBytes(value)));
    }
  };
  const readFunction = (message: Uint8Array): void => {
    for (const { number, value } of fields(message)) {
      if (number === field.function.node) readNode(asBytes(value), 0);
      if (number === field.function.opsetImport) readOpset(asBytes(value));
    }
  };

  const readMetadata = (message: Uint8Array): void => {
    let key = '';
    let content = '';
    for (const { number, value } of fields(message)) {
      if (number === field.metadata.key) key = asText(value);
      if (number === field.metadata.value) content = asText(value);
    }
    metadata[key] = content;
  };

  for (const { number, value } of fields(bytes)) {
    if (number === field.model.metadata) readMetadata(asBytes(value));
    if (number === field.model.graph) readGraph(asBytes(value), 0);
    if (number === field.model.opsetImport) readOpset(asBytes(value));
    if (number === field.model.functions) readFunction(asBytes(value));
  }
  if (graphs === 0) return refuse('malformed', 'not an ONNX model: it has no graph');
  const customDomains = [...domains.keys()].filter((domain) => domain !== '').sort();
  return accept({
    opset: domains.get('') ?? 0,
    customDomains,
    ops: [...ops].sort(),
    nodes,
    initializers,
    externalData,
    inputs,
    outputs,
    metadata,
  });
}

function nameOf(message: Uint8Array): string {
  for (const { number, value } of fields(message)) if (number === field.value.name) return asText(value);
  return '';
}

class WireError extends Error {}

interface WireField {
  readonly number: number;
  /** A number (varint), bytes (length-delimited), or undefined for the fixed sizes, which nothing here reads. */
  readonly value: number | Uint8Array | undefined;
}

/** The fields of one protobuf message, https://protobuf.dev/programming-guides/encoding. */
function* fields(bytes: Uint8Array): Generator<WireField> {
  let at = 0;
  const varint = (): number => {
    let result = 0;
    for (let shift = 0; shift < 10; shift++) {
      const byte = bytes[at++];
      if (byte === undefined) throw new WireError('it ends inside a number');
      result += (byte & 0x7f) * 2 ** (7 * shift); // not <<: values pass 32 bits
      if (byte < 0x80) return result;
    }
    throw new WireError('a number has more than ten bytes');
  };
  const skip = (length: number): number => {
    at += length;
    if (at > bytes.byteLength) throw new WireError('it ends inside a field');
    return at - length;
  };
  while (at < bytes.byteLength) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    const kind = tag % 8;
    if (number === 0) throw new WireError('a field has number 0');
    if (kind === 0) yield { number, value: varint() };
    else if (kind === 1) yield { number, value: void skip(8) };
    else if (kind === 5) yield { number, value: void skip(4) };
    else if (kind === 2) {
      const from = skip(varint());
      yield { number, value: bytes.subarray(from, at) };
    } else throw new WireError(`a field is of kind ${kind}`);
  }
}

function asBytes(value: WireField['value']): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new WireError('a message is expected where a number stands');
}

const asText = (value: WireField['value']): string => new TextDecoder().decode(asBytes(value));

function asNumber(value: WireField['value']): number {
  if (typeof value === 'number') return value;
  throw new WireError('a number is expected where a message stands');
}
