/** Looks inside a file that was written already: every tensor as an output, to find where numbers go wrong. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, ValueInfoProtoSchema } from './onnx_pb.js';

/** One node of the file, with the names of its tensors. */
export interface ExposedNode {
  /** Its place in the model and its op, `model/trend/matmul`; as `toOnnx` writes them. */
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** The same model with the outputs of all nodes as outputs of the file, and those nodes, inputs before users. */
export function exposeNodes(file: Uint8Array): { model: Uint8Array; nodes: readonly ExposedNode[] } {
  const model = fromBinary(ModelProtoSchema, file);
  const graph = model.graph!;
  const nodes = graph.node.map(({ name, input, output }) => ({
    name,
    inputs: input.filter((tensor) => tensor !== ''),
    outputs: output.filter((tensor) => tensor !== ''),
  }));
  const known = new Set(graph.output.map(({ name }) => name));
  // Without a type: the runtime infers it.
  for (const name of nodes.flatMap(({ outputs }) => outputs))
    if (!known.has(name)) graph.output.push(create(ValueInfoProtoSchema, { name }));
  return { model: toBinary(ModelProtoSchema, model), nodes };
}
