/** Plain float64 arrays and the few loops the kernels of all ops are made of. Slow and obvious: they are the oracle. */
import { strides } from './shape.js';

export interface NdArray {
  readonly data: Float64Array;
  readonly shape: readonly number[];
}

export const elements = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

export function ndarray(data: ArrayLike<number>, shape: readonly number[]): NdArray {
  return { data: Float64Array.from(data), shape };
}

/** Calls `visit` with each index of `shape`, in row-major order. The index array is reused. */
export function forEachIndex(
  shape: readonly number[],
  visit: (index: readonly number[], position: number) => void,
): void {
  const total = elements(shape);
  const index = new Array<number>(shape.length).fill(0);
  for (let position = 0; position < total; position++) {
    visit(index, position);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]!++;
      if (index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
}

/** Position of `index` in an array that is broadcast against it from the right. */
export function broadcastPosition(array: NdArray, index: readonly number[], step = strides(array.shape)): number {
  const shift = index.length - array.shape.length;
  let position = 0;
  for (let axis = 0; axis < array.shape.length; axis++) {
    if (array.shape[axis] !== 1) position += index[axis + shift]! * step[axis]!;
  }
  return position;
}

/** An array of `shape` whose elements are `value(index)`. */
export function fill(shape: readonly number[], value: (index: readonly number[]) => number): Float64Array {
  const data = new Float64Array(elements(shape));
  forEachIndex(shape, (index, position) => {
    data[position] = value(index);
  });
  return data;
}

/** Combines two arrays element by element, broadcasting both to `shape`. */
export function zip(
  f: (a: number, b: number) => number,
  a: NdArray,
  b: NdArray,
  shape: readonly number[],
): Float64Array {
  const aStep = strides(a.shape);
  const bStep = strides(b.shape);
  return fill(shape, (index) =>
    f(a.data[broadcastPosition(a, index, aStep)]!, b.data[broadcastPosition(b, index, bStep)]!),
  );
}

/** Element of `array` at `index`. */
export function at(array: NdArray, index: readonly number[]): number {
  const step = strides(array.shape);
  return array.data[index.reduce((position, value, axis) => position + value * step[axis]!, 0)]!;
}

/** Folds `array` over `axes`, each kept with size 1. */
export function reduce(
  array: NdArray,
  axes: readonly number[],
  start: number,
  f: (acc: number, value: number) => number,
): Float64Array {
  const kept = array.shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
  const result = new Float64Array(elements(kept)).fill(start);
  const step = strides(kept);
  forEachIndex(array.shape, (index, position) => {
    const target = index.reduce((sum, value, axis) => sum + (axes.includes(axis) ? 0 : value * step[axis]!), 0);
    result[target] = f(result[target]!, array.data[position]!);
  });
  return result;
}
