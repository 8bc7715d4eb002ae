/** Writes a graph as an ONNX model (opset 21, IR version 10). */
import { create, toBinary } from '@bufbuild/protobuf';
import { NeuroDivergentError } from '../../errors.js';
import type { Graph } from '../builder.js';
import { places, topological, type DType, type OnnxAttribute, type Tensor } from '../ir.js';
import { constantOp, leafName } from '../ops/leaf.js';
import type { Shape } from '../shape.js';
import { toHalf } from './half.js';
import type { OnnxEmitter, Subgraph, SubgraphValue } from './emitter.js';
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProto_DataType as DataType,
  TensorProtoSchema,
  ValueInfoProtoSchema,
  type AttributeProto,
  type GraphProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from './onnx_pb.js';

export const opset = 21;
const irVersion = 10n;

const dataTypes: Record<DType, DataType> = {
  float32: DataType.FLOAT,
  float16: DataType.FLOAT16,
  int4: DataType.INT4,
  int8: DataType.INT8,
  uint8: DataType.UINT8,
  int32: DataType.INT32,
  int64: DataType.INT64,
};

/** Two in a byte, the first in the low half. */
function packNibbles(data: ArrayLike<number>): Uint8Array {
  const packed = new Uint8Array(Math.ceil(data.length / 2));
  for (let i = 0; i < data.length; i++) packed[i >> 1]! |= (data[i]! & 15) << (4 * (i & 1));
  return packed;
}

/** Values of a constant in the bytes ONNX wants: little endian, the element type's width. */
const encoders: Record<DType, (data: ArrayLike<number>) => ArrayBufferView> = {
  float32: (data) => (data instanceof Float32Array ? data : new Float32Array(data)),
  float16: (data) => Uint16Array.from(data, toHalf),
  int4: packNibbles,
  int8: (data) => Int8Array.from(data),
  uint8: (data) => Uint8Array.from(data),
  int32: (data) => Int32Array.from(data),
  int64: (data) => BigInt64Array.from(data as number[], BigInt),
};

const typeOf = (data: Float32Array | BigInt64Array | Int8Array | Uint8Array): DataType => {
  if (data instanceof Float32Array) return DataType.FLOAT;
  if (data instanceof BigInt64Array) return DataType.INT64;
  return data instanceof Int8Array ? DataType.INT8 : DataType.UINT8;
};

const bytesOf = (view: ArrayBufferView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

/**
 * The model's bytes. Nodes carry their place in the model and the op they are part of (`model/trend/matmul`). Inputs are the graph's inputs and whatever is still a parameter, a state or a draw, in that
 * order; outputs are the graph's outputs by name, then the updates of states under the state's name + `/next`. Parameters and
 * states with a value in `weights` are initializers of their own name instead of inputs, so that others can be put in later.
 */
export function toOnnx(
  graph: Graph,
  {
    name = 'graph',
    metadata = {},
    weights = {},
  }: {
    name?: string;
    metadata?: Readonly<Record<string, string>>;
    weights?: Readonly<Record<string, ArrayLike<number>>>;
  } = {},
): Uint8Array {
  const nodes: NodeProto[] = [];
  const initializers: TensorProto[] = [];
  const names = new Map<Tensor, string>();
  const outputs = [
    ...Object.entries(graph.outputs),
    ...Object.entries(graph.updates).map(([state, value]) => [nextName(state), value] as const),
  ];
  const leaves = [...graph.inputs, ...graph.parameters, ...graph.states, ...graph.draws];
  const learned = new Set([...graph.parameters, ...graph.states].filter((tensor) => leafName(tensor) in weights));
  const inputs = leaves.filter((tensor) => !learned.has(tensor));
  for (const tensor of leaves) names.set(tensor, leafName(tensor));
  for (const tensor of learned) {
    const rawData = bytesOf(encoders.float32(weights[leafName(tensor)]!));
    const dims = (tensor.shape as readonly number[]).map(BigInt);
    initializers.push(create(TensorProtoSchema, { name: leafName(tensor), dataType: DataType.FLOAT, dims, rawData }));
  }
  for (const [output, tensor] of outputs)
    if (!names.has(tensor) && tensor.node.op !== constantOp) names.set(tensor, output);

  const emit = createEmitter(nodes, initializers);
  const order = topological(outputs.map(([, tensor]) => tensor));
  const where = places(order);
  const labels = new Map<string, number>();
  /** Numbered from the second one on, since tools want names that are unique. */
  const nameNode = (written: NodeProto, label: string): void => {
    const count = (labels.get(label) ?? 0) + 1;
    labels.set(label, count);
    written.name = count === 1 ? label : `${label}.${count}`;
  };
  const used = new Set<Tensor>([...order.flatMap((node) => node.inputs), ...outputs.map(([, tensor]) => tensor)]);
  /** A tensor has one name, so an output that is an input, a constant or another output is written as a copy of it. */
  const copyOutputs = (made: readonly Tensor[]): void => {
    for (const [output, tensor] of outputs)
      if (made.includes(tensor) && names.get(tensor) !== output)
        emit.node('Identity', [names.get(tensor)!], { outputs: [output] });
  };
  for (const node of order) {
    if (node.op === constantOp) {
      const { data, shape, dtype } = node.attributes as {
        data: ArrayLike<number>;
        shape: readonly number[];
        dtype: DType;
      };
      names.set(node.outputs[0]!, emit.tensor(bytesOf(encoders[dtype](data)), shape, dataTypes[dtype]));
      continue;
    }
    if (node.inputs.length === 0) continue;
    for (const output of node.outputs) if (!names.has(output)) names.set(output, used.has(output) ? emit.fresh() : '');
    const lowered = {
      node,
      inputs: node.inputs.map((input) => names.get(input)!),
      outputs: node.outputs.map((output) => names.get(output)!),
    };
    const from = nodes.length;
    const form = node.op.onnx(node.attributes, emit, lowered);
    if (form !== undefined) {
      const { type, attributes = {}, domain = '' } = form;
      emit.node(type, lowered.inputs, { attributes, domain, outputs: lowered.outputs });
    }
    copyOutputs(node.outputs); // at once: ONNX Runtime begins with the last outputs of the file and would go far back for a copy
    const place = where.get(node)?.place;
    const label = place === undefined ? node.op.name : `${place}/${node.op.name}`;
    for (const written of nodes.slice(from)) nameNode(written, label);
  }
  copyOutputs([...leaves, ...order.filter(({ op }) => op === constantOp).flatMap(({ outputs: [value] }) => value!)]);

  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion,
      producerName: 'neuro-divergent',
      opsetImport: [
        { domain: '', version: BigInt(opset) },
        ...(emit.usesMicrosoft() ? [{ domain: 'com.microsoft', version: 1n }] : []),
      ],
      metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
      graph: create(GraphProtoSchema, {
        name,
        node: nodes,
        initializer: initializers,
        input: inputs.map((tensor) => valueInfo(leafName(tensor), tensor.shape, dataTypes[tensor.dtype])),
        output: outputs.map(([output, tensor]) => valueInfo(output, tensor.shape, dataTypes[tensor.dtype])),
      }),
    }),
  );
}

/** The name of a state's value after the step. */
export const nextName = (state: string): string => `${state}/next`;

function valueInfo(name: string, shape: Shape | SubgraphValue['shape'], elemType: DataType): ValueInfoProto {
  const dim = shape.map((d) => ({
    value:
      typeof d === 'number'
        ? { case: 'dimValue' as const, value: BigInt(d) }
        : { case: 'dimParam' as const, value: d.replace('*', '_') },
  }));
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: 'tensorType', value: { elemType, shape: { dim } } } },
  });
}

function attribute(name: string, value: OnnxAttribute): AttributeProto {
  if (typeof value === 'number')
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  if (typeof value === 'string')
    return create(AttributeProtoSchema, { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) });
  if ('float' in value) return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float });
  if ('floats' in value)
    return create(AttributeProtoSchema, { name, type: AttributeType.FLOATS, floats: [...value.floats] });
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.map(BigInt) });
}

interface ModelEmitter extends OnnxEmitter {
  tensor(rawData: Uint8Array, shape: readonly number[], dataType: DataType): string;
  fresh(): string;
  usesMicrosoft(): boolean;
}

/** Longer constants are written without a look whether they are there: they are weights, which differ. */
const comparedBytes = 16_384;

function createEmitter(nodes: NodeProto[], initializers: TensorProto[]): ModelEmitter {
  let counter = 0;
  let microsoft = false;
  const constants = new Map<string, string>();
  const fresh = (): string => `t${counter++}`;

  const tensor = (rawData: Uint8Array, shape: readonly number[], dataType: DataType): string => {
    // Constants (axes, shapes, zeros, scales of a step that is repeated) come up again and again; they are written once.
    const key =
      rawData.length <= comparedBytes
        ? `${dataType}|${shape.join()}|${Buffer.from(rawData).toString('latin1')}`
        : undefined;
    const known = key === undefined ? undefined : constants.get(key);
    if (known !== undefined) return known;
    const name = `c${counter++}`;
    if (key !== undefined) constants.set(key, name);
    initializers.push(create(TensorProtoSchema, { name, dataType, dims: shape.map(BigInt), rawData }));
    return name;
  };

  /** An emitter that adds to `list`; `resolve` finds what a name means there. */
  const into = (list: NodeProto[], resolve: (name: string) => string): OnnxEmitter => {
    const emitter: OnnxEmitter = {
      node: (type, inputs, { attributes = {}, outputs = 1, domain = '', body } = {}) => {
        // An output nobody reads has no name in the graph; ONNX Runtime wants one for those that are not optional.
        const names =
          typeof outputs === 'number'
            ? Array.from({ length: outputs }, fresh)
            : outputs.map((output) => (output === '' ? fresh() : resolve(output)));
        if (domain === 'com.microsoft') microsoft = true;
        const encoded = Object.entries(attributes).map(([name, value]) => attribute(name, value));
        if (body !== undefined)
          encoded.push(
            create(AttributeProtoSchema, { name: 'body', type: AttributeType.GRAPH, g: body.graph as GraphProto }),
          );
        list.push(
          create(NodeProtoSchema, {
            opType: type,
            domain,
            input: inputs.map(resolve),
            output: names,
            attribute: encoded,
          }),
        );
        return names;
      },
      constant: (data, shape) => tensor(bytesOf(data), shape, typeOf(data)),
      scalar: (value, dtype) => tensor(bytesOf(encoders[dtype]([value])), [], dataTypes[dtype]),
      ints: (values) => tensor(bytesOf(BigInt64Array.from(values, BigInt)), [values.length], DataType.INT64),
      shape: (shape) => {
        if (shape.filter((dim) => typeof dim !== 'number').length > 1) {
          throw new NeuroDivergentError('ND_GRAPH_NOT_STATIC', {
            where: 'reshape',
            what: `[${shape}] holds the batch twice.`,
            mend: 'Build the graph with a fixed batch.',
          });
        }
        return emitter.ints(shape.map((dim) => (typeof dim === 'number' ? dim : -1)));
      },
      body: (name, inputs, outputs, build): Subgraph => {
        const bodyPrefix = `${name}${counter++}/`;
        const declared = new Set([...inputs, ...outputs].map((declaration) => declaration.name));
        const bodyNodes: NodeProto[] = [];
        // Names that a body declares get its prefix, since ONNX forbids shadowing; all others are those of the graph around it.
        build(into(bodyNodes, (given) => (declared.has(given) ? bodyPrefix + given : resolve(given))));
        const info = (declaration: SubgraphValue): ValueInfoProto =>
          valueInfo(bodyPrefix + declaration.name, declaration.shape, DataType.FLOAT);
        return {
          graph: create(GraphProtoSchema, {
            name: bodyPrefix,
            node: bodyNodes,
            input: inputs.map(info),
            output: outputs.map(info),
          }),
        };
      },
    };
    return emitter;
  };
  return { ...into(nodes, (name) => name), tensor, fresh, usesMicrosoft: () => microsoft };
}
