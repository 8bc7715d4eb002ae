/** The leaves of a graph: inputs, parameters, states, random draws and constants. They compute nothing. */
import { NeuroDivergentError } from '../../errors.js';
import { createNode, setLift, type DType, type Op, type Tensor } from '../ir.js';
import { elements } from '../ndarray.js';
import { roundToHalf } from '../onnx/half.js';
import type { Shape } from '../shape.js';

/** How a parameter starts. Every draw comes from the seed and the parameter's path. */
export type Init =
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'uniform'; readonly bound: number }
  | { readonly kind: 'normal'; readonly deviation: number }
  /** A tensor of a language model in this folder (language/folder.ts). */
  | { readonly kind: 'stored'; readonly folder: string; readonly tensor: string };

export interface NamedLeaf {
  /** The full path, `stack0/knots/weight`. */
  readonly name: string;
  readonly shape: Shape;
}
export interface ParameterLeaf extends NamedLeaf {
  readonly init: Init;
}
export interface KeepLeaf extends NamedLeaf {
  readonly probability: number;
}
interface ConstantLeaf {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
  readonly dtype: DType;
  /** The parameter this was, for reports. */
  readonly name?: string;
}

function leafOp(name: string): Op {
  return {
    name,
    inputs: [],
    dtype: (_, attributes) => (attributes as Partial<ConstantLeaf>).dtype ?? 'float32',
    shape: (_, attributes) => (attributes as NamedLeaf).shape,
    grad: 'none',
    onnx: () => unevaluated(name),
    run: (_, attributes) => (attributes as Partial<ConstantLeaf>).data ?? unevaluated(name),
    samples: [[]],
  };
}
function unevaluated(name: string): never {
  throw new NeuroDivergentError('ND_INTERNAL', {
    where: name,
    what: 'A leaf holds no value of its own.',
    mend: 'Feed it.',
  });
}

/** Fed at every run. */
export const inputOp = leafOp('input');
/** Learned. */
export const parameterOp = leafOp('parameter');
/** Kept between steps but not learned, such as the running mean of a batch normalisation. */
export const stateOp = leafOp('state');
/** Uniform draws in [0, 1), made outside the graph from a seeded stream that a checkpoint can hold. */
export const uniformOp = leafOp('uniform');
/** What dropout multiplies by: 1 / probability with that probability, else 0. Drawn as `uniformOp` is. */
export const keepOp = leafOp('keep');
/** Known when the graph is built. */
export const constantOp = leafOp('constant');

export const leaf = <A extends NamedLeaf>(op: Op, attributes: A): Tensor => createNode(op, [], attributes).outputs[0]!;
export const leafName = (tensor: Tensor): string => (tensor.node.attributes as NamedLeaf).name;
/** The name of a state's value after the step. */
export const nextName = (state: string): string => `${state}/next`;
/** The probability of a leaf made by `keepOp`, else undefined. */
export const keepProbability = ({ node }: Tensor): number | undefined =>
  node.op === keepOp ? (node.attributes as KeepLeaf).probability : undefined;
export const initOf = (tensor: Tensor): Init => (tensor.node.attributes as ParameterLeaf).init;

/** A constant tensor; a bare number is a scalar. */
export function constant(
  data: number | ArrayLike<number>,
  shape?: readonly number[],
  dtype: DType = 'float32',
  name?: string,
): Tensor {
  const values = typeof data === 'number' ? [data] : data;
  const dims = shape ?? (typeof data === 'number' ? [] : [data.length]);
  if (elements(dims) !== values.length) {
    throw new NeuroDivergentError('ND_SHAPE_MISMATCH', {
      where: 'constant',
      what: `${values.length} values do not fill [${dims}].`,
      mend: 'Pass as many values as the shape has elements.',
    });
  }
  return createNode(constantOp, [], {
    data: values,
    shape: dims,
    dtype,
    ...(name !== undefined && { name }),
  } satisfies ConstantLeaf).outputs[0]!;
}
setLift(constant);

/** The values of a constant, else undefined. */
export const constantValues = (tensor: Tensor): ArrayLike<number> | undefined =>
  tensor.node.op === constantOp ? (tensor.node.attributes as ConstantLeaf).data : undefined;

/** A float32 constant rounded to float16; undefined for any other tensor, and for values that FP16 cannot reach. */
export function halfConstant(tensor: Tensor): Tensor | undefined {
  const values = constantValues(tensor);
  if (values === undefined || tensor.dtype !== 'float32') return undefined;
  const rounded = Float32Array.from(values, roundToHalf);
  if (!rounded.every(Number.isFinite)) return undefined;
  const { shape, name } = tensor.node.attributes as ConstantLeaf;
  return constant(rounded, shape, 'float16', name);
}

/** The constant filled with one value, when it is one. */
export function uniformConstant(tensor: Tensor): number | undefined {
  const values = constantValues(tensor);
  if (values === undefined || values.length === 0) return undefined;
  for (let i = 1; i < values.length; i++) if (values[i] !== values[0]) return undefined;
  return values[0];
}
