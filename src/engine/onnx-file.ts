/** ONNX files as protobuf messages: what an engine has to know of a file that it cannot hand to ONNX Runtime, or that was refused. */

/** Field numbers of onnx.proto, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; only those that are read or written. */
export const field = {
  model: { graph: 7 },
  graph: { node: 1, name: 2, initializer: 5, input: 11, output: 12 },
  node: { input: 1, output: 2, opType: 4, attribute: 5, domain: 7 },
  tensor: { dims: 1, dataType: 2, name: 8, rawData: 9 },
  value: { name: 1, type: 2 },
  type: { tensor: 1, sequence: 4 },
  tensorType: { elementType: 1, shape: 2 },
  sequenceType: { elementType: 1 },
  shape: { dim: 1 },
  dim: { value: 1 },
} as const;

/** Why a file is not what a reader wants. */
export class Unreadable extends Error {}

export function refuse(why: string): never {
  throw new Unreadable(why);
}

/** What a model is called in errors: its own name, or `model`; undefined when the bytes are no whole ONNX model. */
export function modelName(bytes: Uint8Array): string | undefined {
  try {
    const [graph] = readMessage(bytes).children(field.model.graph);
    return graph && (graph.text(field.graph.name) || 'model');
  } catch (error) {
    if (error instanceof Unreadable) return undefined;
    throw error;
  }
}

/** The bytes of every initializer that is stored raw, by name: views of the model's. Throws `Unreadable`. */
function rawInitializers(model: Uint8Array): Map<string, Uint8Array> {
  const [graph] = readMessage(model).children(field.model.graph);
  const tensors = graph?.children(field.graph.initializer) ?? [];
  const raw = tensors.map((tensor) => [tensor.text(field.tensor.name), tensor.bytes(field.tensor.rawData)[0]] as const);
  return new Map(raw.flatMap(([name, bytes]) => (bytes === undefined ? [] : [[name, bytes] as const])));
}

/** The float32 initializers of these names, as far as the model has them. Throws `Unreadable`. */
export function readInitializers(model: Uint8Array, names: readonly string[]): Record<string, Float32Array> {
  const raw = rawInitializers(model);
  const values = names.flatMap((name) => {
    const bytes = raw.get(name);
    return bytes === undefined ? [] : [[name, new Float32Array(new Uint8Array(bytes).buffer)] as const];
  });
  return Object.fromEntries(values);
}

/**
 * The model with other values in its initializers of these names. Throws `Unreadable` for a name that is missing and for a
 * value of another size.
 */
export function withInitializers(model: Uint8Array, values: Readonly<Record<string, Float32Array>>): Uint8Array {
  const changed = new Uint8Array(model); // `slice` of a Buffer copies nothing
  const raw = rawInitializers(changed);
  for (const [name, { buffer, byteOffset, byteLength }] of Object.entries(values)) {
    const bytes = raw.get(name);
    if (bytes?.byteLength !== byteLength) refuse(`${name} is no initializer of ${byteLength} bytes`);
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return changed;
}

/** One protobuf message, its fields by number. */
export interface Message {
  readonly numbers: (field: number) => number[];
  readonly bytes: (field: number) => Uint8Array[];
  readonly children: (field: number) => Message[];
  readonly texts: (field: number) => string[];
  /** The first text, or an empty one. */
  readonly text: (field: number) => string;
}

/** Throws `Unreadable`. https://protobuf.dev/programming-guides/encoding */
export function readMessage(message: Uint8Array): Message {
  const fields = new Map<number, (number | Uint8Array)[]>();
  let at = 0;
  const varint = (): number => {
    for (let value = 0, factor = 1; ; factor *= 128) {
      const byte = message[at++] ?? refuse('it ends inside a number');
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  };
  const take = (length: number): Uint8Array => {
    at += length;
    return at <= message.byteLength ? message.subarray(at - length, at) : refuse('it ends inside a field');
  };
  const values: Record<number, () => number | Uint8Array> = {
    0: varint,
    1: () => take(8),
    2: () => take(varint()),
    5: () => take(4),
  };
  while (at < message.byteLength) {
    const tag = varint();
    const value = (values[tag % 8] ?? refuse('it is no protobuf message'))();
    const field = Math.floor(tag / 8);
    const known = fields.get(field);
    if (known === undefined) fields.set(field, [value]);
    else known.push(value);
  }
  const valuesOf = (field: number): (number | Uint8Array)[] => fields.get(field) ?? [];
  const bytes = (field: number): Uint8Array[] => valuesOf(field).filter((value) => typeof value !== 'number');
  const texts = (field: number): string[] => bytes(field).map((text) => new TextDecoder().decode(text));
  return {
    numbers: (field) => valuesOf(field).filter((value) => typeof value === 'number'),
    bytes,
    children: (field) => bytes(field).map(readMessage),
    texts,
    text: (field) => texts(field)[0] ?? '',
  };
}
