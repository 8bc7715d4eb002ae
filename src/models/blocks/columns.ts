/** What a sequence model reads at each step: the target and the covariates side by side. */
import { broadcastTo, concat, reshape, slice, type Tensor } from '../../graph/index.js';
import type { Covariate, ModelInputs } from '../model.js';

/** Which covariates follow the target. The weights of the reference stand in its order. */
export type ColumnOrder = readonly Covariate[];

/** The target and the covariates of every past step; static columns are repeated. `[batch, time, columns]` */
export function pastColumns(inputs: ModelInputs, order: ColumnOrder = ['historic', 'static', 'future']): Tensor {
  const [batch, time] = inputs.past.shape as [number, number];
  const columns = {
    historic: inputs.historic,
    future: inputs.future && steps(inputs.future, 0, time),
    static: inputs.static && repeated(inputs.static, batch, time),
  };
  return concat([inputs.past, ...order.flatMap((kind) => columns[kind] ?? [])], { axis: 2 });
}

/** `[batch, columns]` → `[batch, time, columns]` */
function repeated(x: Tensor, batch: number, time: number): Tensor {
  const columns = x.shape[1]!;
  return broadcastTo(reshape(x, { shape: [batch, 1, columns] }), { shape: [batch, time, columns] });
}

/** Covariates known for the horizon: `[batch, horizon, future]`, or undefined. */
export function futureColumns(inputs: ModelInputs, horizon: number): Tensor | undefined {
  if (inputs.future === undefined) return undefined;
  const time = inputs.future.shape[1] as number;
  return steps(inputs.future, time - horizon, time);
}

const steps = (x: Tensor, start: number, end: number): Tensor =>
  start === 0 && end === x.shape[1] ? x : slice(x, { axis: 1, start, end });
