/**
 * The graph: tensors point at the nodes that make them, nodes at their input tensors, and nothing is ever changed in
 * place. An op is declared in one block that says everything about it; calling it adds a node.
 */
import { NeuroDivergentError, ShapeError } from '../errors.js';
import type { NdArray } from './ndarray.js';
import type { LoweredNode, OnnxEmitter } from './onnx/emitter.js';
import { roundToHalf } from './onnx/half.js';
import { bindBatch, type Shape } from './shape.js';

export type DType = 'float32' | 'float16' | 'int4' | 'int8' | 'uint8' | 'int32' | 'int64';

export interface Tensor {
  readonly node: Node;
  /** Which output of the node this is. */
  readonly index: number;
  readonly shape: Shape;
  readonly dtype: DType;
}

export interface Node {
  readonly op: Op;
  readonly inputs: readonly Tensor[];
  readonly attributes: object;
  readonly outputs: readonly Tensor[];
}

/** What a gradient rule sees of the node it differentiates. */
export interface GradientContext<A extends object, O extends string> {
  readonly attributes: A;
  /** The first output and its gradient. */
  readonly y: Tensor;
  readonly dy: Tensor;
  /** All outputs by name, and those gradients that exist. */
  readonly outputs: Readonly<Record<O, Tensor>>;
  readonly gradients: Readonly<Partial<Record<O, Tensor>>>;
}

/** A case on which every op is checked: shapes of the inputs, with attributes and element types (one, or one for each) where the op wants them. */
export type Sample<A extends object> =
  | readonly (readonly number[])[]
  | { shapes: readonly (readonly number[])[]; with: A; dtype?: DType | readonly DType[] };

export interface OpSpec<I extends string, A extends object, O extends string> {
  readonly name: string;
  /** Names of the inputs; one name ending in `...` takes any number. */
  readonly inputs: readonly I[];
  /** Names of the outputs, when there is more than one. */
  readonly outputs?: readonly O[];
  /** Element type of the outputs; that of the first input when absent. */
  readonly dtype?: (inputs: readonly Tensor[], attributes: A) => DType;
  /** Shape of the output, or of each output. Throws `ND_SHAPE_MISMATCH`. */
  readonly shape: (
    inputs: Readonly<Record<I, Shape>>,
    attributes: A,
    all: readonly Shape[],
  ) => Shape | Readonly<Record<O, Shape>>;
  /** Gradients of the inputs, written in graph ops. `none`: the op is flat almost everywhere, nothing flows through it. */
  readonly grad:
    | 'none'
    | ((
        inputs: Readonly<Record<I, Tensor>>,
        context: GradientContext<A, O>,
        all: readonly Tensor[],
      ) => Partial<Record<string, Tensor>>);
  /** One ONNX node with the same inputs and outputs, or several through the emitter. */
  readonly onnx: (attributes: A, emit: OnnxEmitter, node: LoweredNode) => OnnxForm | void;
  /** The plain float64 kernel: slow, and the oracle of every test. */
  readonly run: (
    inputs: Readonly<Record<I, NdArray>>,
    attributes: A,
    shapes: readonly (readonly number[])[],
    all: readonly NdArray[],
  ) => ArrayLike<number> | readonly ArrayLike<number>[];
  readonly samples: readonly [Sample<A>, ...Sample<A>[]];
  /** The interval sample values are drawn from; [-1, 1] when absent. */
  readonly domain?: readonly [number, number];
  /** `affine`: an affine function of its first input while all others are constant. See passes/fold-affine.ts. */
  readonly affine?: boolean;
}

/** The simple lowering: one node of this type. */
export interface OnnxForm {
  readonly type: string;
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  readonly domain?: string;
}
export type OnnxAttribute =
  number | string | readonly number[] | { readonly float: number } | { readonly floats: readonly number[] };

export type Op = OpSpec<string, object, string>;

/** A tensor, or a number standing for a scalar constant. */
export type Operand = Tensor | number;

export interface OpCall<Args extends unknown[], Result = Tensor> {
  (...args: Args): Result;
  readonly op: Op;
}
export type Unary = OpCall<[x: Operand]>;
export type Binary = OpCall<[a: Operand, b: Operand]>;
export type Ternary = OpCall<[a: Operand, b: Operand, c: Operand]>;
export type UnaryWith<A extends object> = OpCall<[x: Tensor, attributes: A]>;
export type BinaryWith<A extends object> = OpCall<[a: Tensor, b: Tensor, attributes: A]>;

/** Every op by name: tests walk it, passes look ops up in it. */
export const registry = new Map<string, Op>();

/** Lifts numbers to constants; set by ops/leaf.ts, which itself needs `defineOp`. */
let lift: (value: number) => Tensor = () => {
  throw new NeuroDivergentError('ND_INTERNAL', {
    where: 'graph',
    what: 'The op that makes constants is not loaded.',
    mend: 'Import from graph/index.js.',
  });
};
export const setLift = (makeConstant: typeof lift): void => {
  lift = makeConstant;
};

/**
 * Declares an op. Annotate the const with the call's type (`: Unary`, `: Binary`…): a gradient mentions its own op,
 * and TypeScript cannot infer through that.
 */
export function defineOp<I extends string, A extends object, O extends string, Call>(spec: OpSpec<I, A, O>): Call {
  const op = spec as unknown as Op;
  if (registry.has(op.name)) {
    throw new NeuroDivergentError('ND_GRAPH_DUPLICATE_NAME', {
      where: op.name,
      what: 'Two ops have this name.',
      mend: 'Rename one of them.',
    });
  }
  registry.set(op.name, op);
  const call = (...args: (Operand | object)[]): Tensor | Record<string, Tensor> => {
    const last = args.at(-1);
    const withAttributes = last !== undefined && !isOperand(last);
    const operands = (withAttributes ? args.slice(0, -1) : args) as Operand[];
    const node = createNode(op, operands.map(toTensor), withAttributes ? last : {});
    if (op.outputs === undefined) return node.outputs[0]!;
    return Object.fromEntries(op.outputs.map((name, i) => [name, node.outputs[i]!]));
  };
  return Object.assign(call, { op }) as Call;
}

const isOperand = (value: Operand | object): value is Operand => typeof value === 'number' || 'node' in value;
export const toTensor = (operand: Operand): Tensor => (typeof operand === 'number' ? lift(operand) : operand);

/** The values of a node's inputs by the names the op gives them. */
export function byName<T>(op: Op, values: readonly T[]): Record<string, T> {
  const result: Record<string, T> = {};
  for (const [i, value] of values.entries()) result[inputName(op, i)] = value;
  return result;
}

/** `x...` takes any number of inputs, named x0, x1, … */
export function inputName(op: Op, i: number): string {
  const first = op.inputs[0];
  return first?.endsWith('...') ? `${first.slice(0, -3)}${i}` : op.inputs[i]!;
}

/**
 * Adds a node: checks the inputs, infers shapes and types. Throws `ND_SHAPE_MISMATCH` and `ND_GRAPH_DTYPE`, which say where
 * in the model the inputs come from.
 */
export function createNode(op: Op, inputs: readonly Tensor[], attributes: object): Node {
  try {
    return inferNode(op, inputs, attributes);
  } catch (error) {
    if (!(error instanceof NeuroDivergentError)) throw error;
    const near = placeOf(inputs, places(topological(inputs)));
    throw near === undefined ? error : error.within(near.place);
  }
}

function inferNode(op: Op, inputs: readonly Tensor[], attributes: object): Node {
  if (!op.inputs[0]?.endsWith('...') && inputs.length !== op.inputs.length) {
    throw new ShapeError({
      where: op.name,
      what: `takes ${op.inputs.length} inputs (${op.inputs.join(', ')}), but got ${inputs.length}.`,
      mend: 'Pass every input.',
    });
  }
  const inputShapes = inputs.map((tensor) => tensor.shape);
  const shape = op.shape(byName(op, inputShapes), attributes, inputShapes);
  const shapes = Array.isArray(shape)
    ? [shape as Shape]
    : op.outputs!.map((name) => (shape as Record<string, Shape>)[name]!);
  const dtype = op.dtype?.(inputs, attributes) ?? commonType(op, inputs);
  const outputs: Tensor[] = [];
  const node: Node = { op, inputs, attributes, outputs };
  for (const [index, outputShape] of shapes.entries()) outputs.push({ node, index, shape: outputShape, dtype });
  return node;
}

/** The element type of all of `inputs`. */
export function commonType(op: Pick<Op, 'name'>, inputs: readonly Tensor[]): DType {
  const types = new Set(inputs.map(({ dtype }) => dtype));
  if (types.size > 1) {
    throw new NeuroDivergentError('ND_GRAPH_DTYPE', {
      where: op.name,
      what: `its inputs are ${inputs.map(({ dtype, shape }) => `${dtype} [${shape}]`).join(', ')}, but must have one element type.`,
      mend: 'Bring them to float32 first: `castTo` does, `dequantizeLinear` undoes a quantization.',
    });
  }
  return inputs[0]?.dtype ?? 'float32';
}

export interface Place {
  /** The scope of the nearest leaf, or that leaf's own name when none has a scope. */
  readonly place: string;
  /** Nodes between. */
  readonly distance: number;
}
/** Leaves without a scope (the inputs of a model) say little about where one is: any other is nearer. */
const unscoped = 1e6;

/** Where in the model each of `nodes` stands, which come inputs first: by the nearest of the named leaves that it is made from. */
export function places(nodes: readonly Node[]): Map<Node, Place> {
  const found = new Map<Node, Place>();
  for (const node of nodes) {
    const name = node.inputs.length === 0 ? (node.attributes as { name?: string }).name : undefined;
    const end = name?.lastIndexOf('/') ?? -1;
    const here: Place | undefined =
      name === undefined
        ? placeOf(node.inputs, found)
        : { place: end < 0 ? name : name.slice(0, end), distance: end < 0 ? unscoped : 0 };
    if (here !== undefined) found.set(node, here);
  }
  return found;
}

/** Where a node on these inputs stands; of equally near leaves the last, since weights come after what they weigh. */
function placeOf(inputs: readonly Tensor[], found: ReadonlyMap<Node, Place>): Place | undefined {
  let nearest: Place | undefined;
  for (const { node } of inputs) {
    const at = found.get(node);
    if (at !== undefined && at.distance <= (nearest?.distance ?? Infinity)) nearest = at;
  }
  return nearest && { place: nearest.place, distance: nearest.distance + 1 };
}

/** All nodes needed for `outputs`, inputs before users. Iterative, since a graph may be deeper than the call stack. */
export function topological(outputs: readonly Tensor[]): Node[] {
  const order: Node[] = [];
  const done = new Set<Node>();
  const stack: { node: Node; next: number }[] = [];
  for (const output of outputs) {
    if (!done.has(output.node)) stack.push({ node: output.node, next: 0 });
    while (stack.length > 0) {
      const top = stack.at(-1)!;
      if (done.has(top.node)) stack.pop();
      else if (top.next < top.node.inputs.length) {
        const input = top.node.inputs[top.next++]!.node;
        if (!done.has(input)) stack.push({ node: input, next: 0 });
      } else {
        done.add(top.node);
        order.push(top.node);
        stack.pop();
      }
    }
  }
  return order;
}

/** The operands of a tensor by name when `call`'s op made it, else undefined: the question passes ask. */
export function operands(tensor: Tensor, call: { readonly op: Op }): Record<string, Tensor> | undefined {
  return tensor.node.op === call.op ? byName(call.op, tensor.node.inputs) : undefined;
}

/** Runs one node's plain kernel. What is float16 is worked out in float64 and rounded once. */
export function runNode(node: Node, inputs: readonly NdArray[], batch: number): NdArray[] {
  const shapes = node.outputs.map((tensor) => bindBatch(tensor.shape, batch));
  const result = node.op.run(byName(node.op, inputs), node.attributes, shapes, inputs);
  const arrays =
    node.op.outputs === undefined ? [result as ArrayLike<number>] : (result as readonly ArrayLike<number>[]);
  return arrays.map((values, i) => {
    const data = Float64Array.from(values);
    return { data: node.outputs[i]!.dtype === 'float16' ? data.map(roundToHalf) : data, shape: shapes[i]! };
  });
}
