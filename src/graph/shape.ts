/** Shapes: row-major, known before anything runs. Only the batch may stay symbolic, as `batch` or a multiple of it. */
import { ShapeError } from '../errors.js';

/** A number, `batch`, or a multiple of the batch such as `12*batch`. */
export type Dim = number | 'batch' | `${number}*batch`;
export type Shape = readonly Dim[];

/** How many times the batch a symbolic dimension is. */
const batchFactor = (dim: string): number => (dim === 'batch' ? 1 : Number.parseInt(dim, 10));

const symbolic = (factor: number): Dim => (factor === 1 ? 'batch' : `${factor}*batch`);

export const isStatic = (shape: Shape): shape is readonly number[] => shape.every((dim) => typeof dim === 'number');

/** Number of elements; symbolic when the batch is. Throws when two dimensions are symbolic. */
export function size(shape: Shape): Dim {
  let elements = 1;
  let batches = 0;
  for (const dim of shape) {
    if (typeof dim === 'number') elements *= dim;
    else {
      batches++;
      elements *= batchFactor(dim);
    }
  }
  if (batches > 1) {
    throw new ShapeError({
      where: 'size',
      what: `[${shape}] holds the batch ${batches} times.`,
      mend: 'Build the graph with a fixed batch.',
    });
  }
  return batches === 1 ? symbolic(elements) : elements;
}

/** The same shape with the batch bound to a number. */
export const bindBatch = (shape: Shape, batch: number): number[] =>
  shape.map((dim) => (typeof dim === 'number' ? dim : batchFactor(dim) * batch));

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((dim, i) => dim === b[i]);

/** A shape whose dimensions must all be numbers; the dimensions of parameters and constants are. */
export function staticShape(where: string, shape: Shape): readonly number[] {
  if (isStatic(shape)) return shape;
  throw new ShapeError({
    where,
    what: `[${shape}] depends on the batch, but a fixed shape is needed here.`,
    mend: 'Keep the batch out of this tensor.',
  });
}

/** A dimension that must be a number: everything but the batch is. */
export function staticDim(where: string, shape: Shape, axis: number): number {
  const dim = shape[axis];
  if (typeof dim === 'number') return dim;
  throw new ShapeError({
    where,
    what: `axis ${axis} of [${shape}] must have a fixed size.`,
    mend: 'Move the batch to another axis, or build the graph with a fixed batch.',
  });
}

/** Counts negative axes from the end, and refuses those outside the shape. */
export function normalizeAxis(where: string, shape: Shape, axis: number): number {
  const positive = axis < 0 ? axis + shape.length : axis;
  if (Number.isInteger(positive) && positive >= 0 && positive < shape.length) return positive;
  throw new ShapeError({
    where,
    what: `axis ${axis} does not exist in [${shape}].`,
    mend: `Use an axis from ${-shape.length} to ${shape.length - 1}.`,
  });
}

/** The common shape of two operands, by numpy's broadcasting rule. */
export function broadcastShapes(where: string, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const p = a[i - rank + a.length] ?? 1;
    const q = b[i - rank + b.length] ?? 1;
    if (p === q || q === 1) return p;
    if (p === 1) return q;
    throw new ShapeError({
      where,
      what: `[${a}] and [${b}] cannot be combined: at axis ${i} one has ${p}, the other ${q}.`,
      mend: 'Make the two sizes equal, or one of them 1.',
    });
  });
}

/** The distance in elements between neighbours along each axis of a row-major array. */
export function strides(shape: readonly number[]): number[] {
  const result = new Array<number>(shape.length);
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    result[axis] = step;
    step *= shape[axis]!;
  }
  return result;
}
