/** What a sequence model reads at each step: the target and the covariates side by side. */
import { broadcastTo, concat, reshape, slice, type Tensor } from '../../graph/index.js';
import type { ModelInputs } from '../model.js';

/** Target, historic, static (repeated) and future columns of every past step: `[batch, time, columns]`. The order is the reference's. */
export function pastColumns(inputs: ModelInputs): Tensor {
  const [batch, time] = inputs.past.shape as [number, number];
  const columns = [inputs.past];
  if (inputs.historic) columns.push(inputs.historic);
  if (inputs.static) {
    const width = inputs.static.shape[1]!;
    columns.push(broadcastTo(reshape(inputs.static, { shape: [batch, 1, width] }), { shape: [batch, time, width] }));
  }
  if (inputs.future) columns.push(steps(inputs.future, 0, time));
  return concat(columns, { axis: 2 });
}

/** Covariates known for the horizon: `[batch, horizon, future]`, or undefined. */
export function futureColumns(inputs: ModelInputs, horizon: number): Tensor | undefined {
  if (inputs.future === undefined) return undefined;
  const time = inputs.future.shape[1] as number;
  return steps(inputs.future, time - horizon, time);
}

const steps = (x: Tensor, start: number, end: number): Tensor =>
  start === 0 && end === x.shape[1] ? x : slice(x, { axis: 1, start, end });
