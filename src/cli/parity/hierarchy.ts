/** Forecasts of a hierarchy made coherent, from the samples that the library drew. */
import type { Engine } from '../../engine/port.js';
import { createGraph, mean, concat, toOnnx } from '../../graph/index.js';
import { coherentSamples, projection, quantilesOf, type Reconciliation } from '../../models/blocks/reconcile.js';
import type { Fixture } from './fixture.js';
import type { Tally } from './tally.js';

const names: Readonly<Record<string, Exclude<Reconciliation, 'none'>>> = {
  BottomUp: 'bottom-up',
  MinTraceOLS: 'min-trace-ols',
  MinTraceWLS: 'min-trace-wls',
};

/** `hint/SP`, and mean and quantiles of the samples `hint/random_samples` `[series·horizon, samples]` in the order `hint/random_idxs`. */
export async function compareHierarchy({ info, tensors }: Fixture, engine: Engine, tally: Tally): Promise<void> {
  const { S: summing, reconciliation } = info['hint'] as { S: number[][]; reconciliation: string };
  const { quantiles } = info['hint_predict'] as { quantiles: readonly number[] };
  const { h: horizon } = info['hyperparameters'] as { h: number };
  const drawn = tensors['hint/random_samples']!;
  const [rows, samples] = drawn.dims as [number, number];
  const series = summing.length;
  const method = names[reconciliation];
  if (method === undefined) return tally.fault(`there is no reconciliation ${reconciliation}`);
  const matrix = projection(summing, method);
  const own = { data: Float32Array.from(matrix), dims: [series, series] };
  tally.compare('forward', 'hint/SP', own, tensors['hint/SP']!);

  const g = createGraph({ batch: 1 });
  const order = tensors['hint/random_idxs']!.data.map((place, i) => Math.floor(i / samples) * samples + place);
  const given = g.input('samples', [1, rows * samples]);
  const coherent = coherentSamples(given, order, matrix, { series, horizon, samples });
  const columns = concat([mean(coherent, { axes: [3], keep: true }), quantilesOf(coherent, quantiles)], { axis: 3 });
  const session = await engine.load(toOnnx(g.finish({ columns })));
  const { data, dims } = session.run({ samples: { data: drawn.data, dims: [1, rows * samples] } })['columns']!;
  session.close();
  const width = dims[3]!; // [1, horizon, series, column] to [series·horizon, column]
  const turned = data.map((_, i) => {
    const [column, step, row] = [i % width, Math.floor(i / width) % horizon, Math.floor(i / width / horizon)];
    return data[(step * series + row) * width + column]!;
  });
  tally.compare('forward', 'hint/forecast', { data: turned, dims: [rows, width] }, tensors['hint/forecast']!);
}
