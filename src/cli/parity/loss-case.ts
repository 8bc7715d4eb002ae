/** A loss against its fixture: its value, its gradient, and the forecast it reads out of what the model gives. */
import type { Engine, FloatTensor } from '../../engine/port.js';
import {
  add,
  createGraph,
  gradients,
  leafName,
  mul,
  reshape,
  slice,
  toOnnx,
  type Shape,
  type Tensor,
} from '../../graph/index.js';
import { transposed } from '../../import/mapping.js';
import { lossFromReference, lossParameter } from '../../losses/index.js';
import type { Fixture } from './fixture.js';
import { createTally, missing, type Outcome } from './tally.js';

export async function lossCase({ info, tensors }: Fixture, engine: Engine): Promise<Outcome> {
  const name = String(info['loss']);
  const args = info['args'] as Record<string, unknown>;
  const flatPast = tensors['input/y_insample']?.dims.length === 2;
  const loss = lossFromReference({ name, args }, { batchPairs: !flatPast });
  const distribution = args['distribution'];
  if (loss === undefined)
    return missing(`the loss ${name}${typeof distribution === 'string' ? ` ${distribution}` : ''}`);

  const { dims: shape } = tensors['input/y']!;
  const [batch, horizon, series] = shape as [number, number, number];
  const g = createGraph({ batch });
  const feeds: Record<string, FloatTensor> = {};
  /** An input of the graph, fed with a tensor of the file. */
  const input = (own: string, tensor: FloatTensor, dims: Shape = tensor.dims): Tensor => {
    feeds[own] = { data: tensor.data, dims: dims as readonly number[] };
    return g.input(own, dims);
  };
  const optional = (own: string, stored: string): Tensor | undefined => {
    const tensor = tensors[stored];
    return tensor && input(own, tensor, tensor.dims.length === 2 ? [...tensor.dims, 1] : tensor.dims);
  };

  const forecast = input('raw', tensors['input/raw']!);
  const target = input('y', tensors['input/y']!);
  const shift = optional('shift', 'input/loc') ?? mul(slice(target, { axis: 1, start: 0, end: 1 }), 0);
  const scale = optional('scale', 'input/scale') ?? add(shift, 1);
  const units = { shift, scale, apply: (x: Tensor): Tensor => x, restore: (x: Tensor): Tensor => x };
  const benchmark = optional('benchmark', 'input/y_benchmark');
  const levels = optional('levels', 'random/tau');
  const value = loss.loss(g, {
    forecast,
    target,
    rawTarget: target,
    mask: optional('mask', 'input/mask') ?? add(mul(target, 0), 1),
    past: optional('past', 'input/y_insample') ?? target,
    units,
    ...(benchmark && { benchmark }),
    ...(levels && { levels }),
  });

  const { parameters } = g.finish({ value });
  const outputs: Record<string, Tensor> = { value };
  const learnt = tensors['grad/raw'] ? [forecast, ...parameters] : []; // a metric is not learnt from
  for (const [i, gradient] of gradients(value, learnt, { allowUnused: true }).entries()) outputs[`grad${i}`] = gradient;
  // A distribution's point forecast is its mean; a normal one gives it as the quantile 0.5, when that is asked for.
  const givesMean = tensors['output/mean'] !== undefined && [undefined, 0.5].includes(loss.quantiles[loss.point]);
  if (givesMean) {
    const columns = Math.max(1, loss.quantiles.length);
    const decoded = reshape(loss.decode(g, forecast, units), { shape: [batch, horizon, series, columns] });
    outputs['mean'] = slice(decoded, { axis: 3, start: loss.point, end: loss.point + 1 });
  }

  for (const leaf of parameters) {
    const reference = lossParameter[leafName(leaf)]!;
    feeds[leafName(leaf)] = {
      data: transposed(tensors[`param/${reference.name}`]!, reference.transpose).data,
      dims: leaf.shape as readonly number[],
    };
  }
  const session = await engine.load(toOnnx(g.finish(outputs)));
  const found = session.run(feeds);
  session.close();

  const tally = createTally();
  tally.compare('loss', 'loss', found['value'], tensors['output/loss']!);
  // Accuracy has none.
  if (tensors['grad/raw']) tally.compare('gradient', 'grad/raw', found['grad0'], tensors['grad/raw']);
  for (const [i, leaf] of parameters.entries()) {
    const reference = lossParameter[leafName(leaf)]!;
    const theirs = tensors[`grad/${reference.name}`];
    if (theirs)
      tally.compare(
        'gradient',
        `grad/${reference.name}`,
        found[`grad${i + 1}`],
        transposed(theirs, reference.transpose),
      );
  }
  if (givesMean) tally.compare('forward', 'output/mean', found['mean'], tensors['output/mean']!);
  return tally.outcome();
}
