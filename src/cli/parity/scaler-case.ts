/** A window scaler against its fixture: statistics, scaled values, the way back, and what revin learns. */
import type { Engine, FloatTensor } from '../../engine/port.js';
import { add, createGraph, gradients, leafName, mul, slice, sum, toOnnx, type Tensor } from '../../graph/index.js';
import { transposed } from '../../import/mapping.js';
import { scalerNames, windowScaler, type ScalerName } from '../../models/blocks/window-scaler.js';
import type { Fixture } from './fixture.js';
import { createTally, missing, type Outcome } from './tally.js';

/** `[batch, time, columns, series]` → `[batch·series, time, columns]`: to a scaler every series is one more window. */
function windows(tensor: FloatTensor): FloatTensor {
  const [batch, time, columns, series] = tensor.dims as [number, number, number, number];
  return { data: transposed(tensor, [0, 3, 1, 2]).data, dims: [batch * series, time, columns] };
}

export async function scalerCase({ info, tensors }: Fixture, engine: Engine): Promise<Outcome> {
  const name = info['scaler_type'] as ScalerName;
  if (!scalerNames.includes(name)) return missing(`the scaler ${name}`);

  const g = createGraph();
  const feeds: Record<string, FloatTensor> = {};
  const input = (stored: string): Tensor => {
    const tensor = windows(tensors[stored]!);
    feeds[stored] = tensor;
    return g.input(stored, tensor.dims);
  };
  const x = input('input/x');
  const z2 = input('input/z2');
  const { scaled, shift, scale, restore } = windowScaler(g, name).target(x, input('input/mask'));
  const perWindow = mul(slice(x, { axis: 1, start: 0, end: 1 }), 0); // the identity's statistics are one number for all
  const outputs: Record<string, Tensor> = {
    'output/z': scaled,
    'output/x_shift': add(perWindow, shift),
    'output/x_scale': add(perWindow, scale),
    'output/inverse': restore(scaled),
    'output/inverse2': restore(z2),
  };
  const { parameters } = g.finish(outputs);
  const gradientNames = parameters.map((leaf) => `grad/revin_${leafName(leaf)}`);
  if (tensors['input/r'] && parameters.length > 0) {
    const total = sum(mul(restore(z2), input('input/r')), { axes: [0, 1, 2] });
    for (const [i, gradient] of gradients(total, parameters).entries()) outputs[gradientNames[i]!] = gradient;
  }
  for (const leaf of parameters)
    feeds[leafName(leaf)] = {
      data: tensors[`param/revin_${leafName(leaf)}`]!.data,
      dims: leaf.shape as readonly number[],
    };

  const session = await engine.load(toOnnx(g.finish(outputs)));
  const found = session.run(feeds);
  session.close();

  const tally = createTally();
  for (const output of Object.keys(outputs)) {
    const theirs = tensors[output]!;
    if (output.startsWith('grad/')) tally.compare('gradient', output, found[output], theirs);
    else tally.compare('forward', output, found[output], windows(theirs));
  }
  return tally.outcome();
}
