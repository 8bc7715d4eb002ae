/**
 * What a causal model reads of steps before: in a window they stand there, with zeros before the first; a stream has one
 * step at a time and carries what it will read again (`Scope.carry`), zeros before the first.
 */
import { concat, pad, reshape, slice, type Dim, type Scope, type Tensor } from '../../graph/index.js';

/** `x` with the `count` steps before it, `[batch, …]` with `time` steps along the axis → `count + time` of them. */
export function withBefore(g: Scope, x: Tensor, count: number, axis = 1): Tensor {
  if (!g.streaming) return pad(x, { axis, before: count, after: 0 });
  if (count === 0) return x;
  const shape = x.shape.with(axis, count);
  const all = concat([g.carry('before', shape), x], { axis });
  const end = all.shape[axis] as number;
  g.leave('before', slice(all, { axis, start: end - count, end }));
  return all;
}

/** The newest `count` steps, this one among them. A window has them. */
export function newest(g: Scope, x: Tensor, count: number, axis = 1): Tensor {
  if (g.streaming) return withBefore(g, x, count - 1, axis);
  const time = x.shape[axis] as number;
  return count === time ? x : slice(x, { axis, start: time - count, end: time });
}

/** A scope in which a layer finds what it left `stride` steps ago, `[batch, columns]`, instead of what it left last. */
export const stepsAgo = (g: Scope, stride: number): Scope => {
  const rings = new Map<string, Tensor>();
  return {
    ...g,
    carry: (name, [batch, columns]) => {
      const ring = g.carry(name, [batch!, stride, columns!]); // the oldest first
      rings.set(name, ring);
      return reshape(slice(ring, { axis: 1, start: 0, end: 1 }), { shape: [batch!, columns!] });
    },
    leave: (name, value) => {
      const [batch, columns] = value.shape as [Dim, number];
      const kept = stride > 1 ? [slice(rings.get(name)!, { axis: 1, start: 1, end: stride })] : [];
      g.leave(name, concat([...kept, reshape(value, { shape: [batch, 1, columns] })], { axis: 1 }));
    },
  };
};
