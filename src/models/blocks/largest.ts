/** The largest values along the last axis, as masks and 0-1 matrices: what depends on data stays a product. */
import { constant, equal, greater, matmul, mul, reshape, slice, sort, sub, type Tensor } from '../../graph/index.js';

/** 1 at the `count` largest of `x […, places]`, else 0. Values equal to the smallest of them count too. */
export function largest(x: Tensor, count: number): Tensor {
  const places = x.shape.at(-1) as number;
  const axis = x.shape.length - 1;
  const smallest = slice(sort(x), { axis, start: places - count, end: places - count + 1 }); // […, 1]
  return sub(1, greater(smallest, x));
}

/** One row per mark of `mask [places]`, in their order, 1 where the mark is: `[count, places]`. Further marks are left out. */
export function marked(mask: Tensor, count: number): Tensor {
  const places = mask.shape[0] as number;
  const upTo = Float32Array.from({ length: places * places }, (_, i) => (Math.floor(i / places) <= i % places ? 1 : 0));
  const row = reshape(mask, { shape: [1, places] });
  const number = matmul(row, constant(upTo, [places, places])); // [1, places], marks up to here
  const rank = constant(
    Float32Array.from({ length: count }, (_, i) => i + 1),
    [count, 1],
  );
  return mul(equal(number, rank), row);
}
