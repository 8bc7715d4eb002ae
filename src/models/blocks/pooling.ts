/** Pooling over time: neighbouring steps become one. */
import { max, mean, pad, reshape, sum, mul, constant, type Tensor } from '../../graph/index.js';

export const poolings = ['max', 'average'] as const;

/** Steps left of `time`; the last group may be shorter than the others. */
export const pooledLength = (time: number, width: number): number => Math.ceil(time / width);

/** `[batch, time, columns]` → `[batch, ceil(time / width), columns]` */
export function pool(x: Tensor, width: number, pooling: (typeof poolings)[number]): Tensor {
  if (width === 1) return x;
  const [batch, time, columns] = x.shape as [number, number, number];
  const groups = pooledLength(time, width);
  const missing = groups * width - time;
  const grouped = (value: number): Tensor => {
    const whole = missing === 0 ? x : pad(x, { axis: 1, before: 0, after: missing, value });
    return reshape(whole, { shape: [batch, groups, width, columns] });
  };
  if (pooling === 'max') return max(grouped(-3e38), { axis: 2 });
  if (missing === 0) return mean(grouped(0), { axes: [2] });
  const shares = Float64Array.from(
    { length: groups },
    (_, group) => 1 / (group < groups - 1 ? width : width - missing),
  );
  return mul(sum(grouped(0), { axes: [2] }), constant(shares, [groups, 1]));
}
