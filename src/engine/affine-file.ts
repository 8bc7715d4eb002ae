/** Reads the one kind of ONNX file that the linear engine runs: an input, reshapes around one Gemm, an output. */

import { field, readMessage, refuse, type Message } from './onnx-file.js';

/** `output = input · matrix + bias`, row by row. */
export interface AffineFile {
  readonly input: string;
  readonly output: string;
  /** Of input and output, after the batch. */
  readonly inputShape: readonly number[];
  readonly outputShape: readonly number[];
  /** `[inputs, columns]` */
  readonly matrix: Float32Array;
  /** `[columns]` */
  readonly bias: Float32Array;
}

const float32 = 1;

/** Throws `Unreadable` for any other file. */
export function readAffineFile(bytes: Uint8Array): AffineFile {
  const graph = readMessage(bytes).children(field.model.graph)[0] ?? refuse('it has no graph');
  const [input, ...moreInputs] = graph.children(field.graph.input).map(readValue);
  const [output, ...moreOutputs] = graph.children(field.graph.output).map(readValue);
  if (!input || !output || moreInputs.length + moreOutputs.length > 0) refuse('it has not one input and one output');
  const tensors = new Map(
    graph.children(field.graph.initializer).map((tensor) => [tensor.text(field.tensor.name), tensor]),
  );

  let at = input.name;
  let gemm: readonly string[] | undefined;
  for (const node of graph.children(field.graph.node)) {
    const type = node.text(field.node.opType);
    const operands = node.texts(field.node.input);
    const plain = node.text(field.node.domain) === '' && node.bytes(field.node.attribute).length === 0;
    if (operands[0] !== at || !plain) refuse(`its ${type} is not the next step of one chain, or has attributes`);
    if (type === 'Gemm' && gemm === undefined && operands.length === 3) gemm = operands;
    else if (type !== 'Reshape') refuse(`it has a node ${type} beside one Gemm with a bias`);
    at = node.text(field.node.output);
  }
  if (gemm === undefined || at !== output.name) refuse('its output is not that of a Gemm');

  const weights = (name: string): { shape: readonly number[]; data: Float32Array } =>
    readWeights(tensors.get(name) ?? refuse(`${name} is no initializer`));
  const { shape, data: matrix } = weights(gemm[1]!);
  const { data: bias } = weights(gemm[2]!);
  const [inputs = 0, columns = 0] = shape;
  // Reshapes keep the order of the values, so these sizes are all there is to check.
  if (
    shape.length !== 2 ||
    product(input.shape) !== inputs ||
    product(output.shape) !== columns ||
    bias.length !== columns
  )
    refuse(`its Gemm of [${shape}] does not map one row of the input to one of the output`);
  return {
    input: input.name,
    output: output.name,
    inputShape: input.shape,
    outputShape: output.shape,
    matrix,
    bias,
  };
}

function readValue(value: Message): { name: string; shape: readonly number[] } {
  const [type] = value.children(field.value.type);
  const [tensor] = type?.children(field.type.tensor) ?? [];
  const [shape] = tensor?.children(field.tensorType.shape) ?? [];
  if (tensor === undefined || shape === undefined || tensor.numbers(field.tensorType.elementType)[0] !== float32)
    refuse('an input or output is not float32, or has no shape');
  // A dimension without a value is symbolic; only the batch may be.
  const dims = shape.children(field.shape.dim).map((dim) => dim.numbers(field.dim.value)[0] ?? 0);
  return { name: value.text(field.value.name), shape: dims.slice(1) };
}

function readWeights(tensor: Message): { shape: readonly number[]; data: Float32Array } {
  const shape = tensor.numbers(field.tensor.dims);
  const [raw] = tensor.bytes(field.tensor.rawData);
  if (tensor.numbers(field.tensor.dataType)[0] !== float32 || raw?.byteLength !== 4 * product(shape))
    refuse('its weights are not stored as float32 in the file');
  return { shape, data: new Float32Array(raw.slice().buffer) };
}

const product = (shape: readonly number[]): number => shape.reduce((all, dim) => all * dim, 1);
