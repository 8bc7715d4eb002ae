/** What mLSTM reads of its memory, a matrix per head (https://arxiv.org/abs/2405.04517), in two forms that say the same. */
import {
  abs,
  add,
  constant,
  div,
  exp,
  matmul,
  max,
  maximum,
  mul,
  neg,
  reshape,
  sub,
  sum,
  where,
  type Dim,
  type Scope,
  type Tensor,
} from '../../graph/index.js';

/** What the heads heard at some steps. */
export interface Heard {
  /** `[batch, head, time, inner/head]`, as is `value` */
  readonly query: Tensor;
  /** `[batch, head, inner/head, time]` */
  readonly key: Tensor;
  readonly value: Tensor;
  /** Logs of the gates, `[batch, head, time]` */
  readonly written: Tensor;
  readonly kept: Tensor;
}

/** Every step reads all up to itself. */
export function allReads(g: Scope, { query, key, value, written, kept }: Heard): Tensor {
  const [, heads, time] = query.shape as [Dim, number, number];
  const upTo = triangle(time, (from, to) => from <= to);
  const decay = matmul(kept, upTo); // [batch, head, time], added up
  const column = { shape: [g.batch, heads, time, 1] };
  const row = { shape: [g.batch, heads, 1, time] };
  const weight = add(sub(reshape(decay, column), reshape(decay, row)), reshape(written, row)); // [batch, head, time, step before]
  const causal = where(
    triangle(time, (to, from) => from <= to),
    weight,
    -3e38,
  );
  const largest = reshape(max(causal, { axis: 3 }), column);

  const scores = matmul(query, key);
  const read = mul(scores, exp(sub(causal, largest))); // [batch, head, time, step before]
  const total = maximum(abs(sum(read, { axes: [3], keep: true })), exp(neg(largest)));
  return matmul(div(read, add(total, 1e-6)), value);
}

/** The same for one step of a stream, from sums over all before: they are kept divided by the largest weight so far. */
export function nextRead(g: Scope, { query, key, value, written, kept }: Heard): Tensor {
  const [, heads, , width] = query.shape as [Dim, number, number, number];
  const carry = (name: string, rows: Dim, columns: Dim): Tensor => g.carry(name, [g.batch, heads, rows, columns]);
  const one = { shape: [g.batch, heads, 1, 1] };
  const scale = carry('scale', 1, 1); // log of that weight
  const begun = carry('begun', 1, 1);
  const before = where(begun, add(scale, reshape(kept, one)), -3e38);
  const largest = maximum(before, reshape(written, one));
  const forget = exp(sub(before, largest));
  const seen = mul(key, exp(sub(reshape(written, one), largest))); // [batch, head, width, 1]
  const memory = add(mul(forget, carry('memory', width, width)), matmul(seen, value)); // [batch, head, width, width]
  const count = add(mul(forget, carry('count', width, 1)), seen);
  g.leave('scale', largest);
  g.leave('begun', add(mul(begun, 0), 1));
  g.leave('memory', memory);
  g.leave('count', count);
  const total = maximum(abs(matmul(query, count)), exp(neg(largest)));
  return div(matmul(query, memory), add(total, 1e-6));
}

/** 1 where it holds, else 0. `[time, time]` */
const triangle = (time: number, holds: (row: number, column: number) => boolean): Tensor =>
  constant(
    Float32Array.from({ length: time * time }, (_, i) => (holds(Math.floor(i / time), i % time) ? 1 : 0)),
    [time, time],
  );
