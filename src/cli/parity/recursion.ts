/** A recurrent model's own forecast of a panel: every step is fed back as if it had been observed. */
import type { Engine, FloatTensor } from '../../engine/port.js';
import { toOnnx } from '../../graph/index.js';
import { inferenceGraph, scalerNames, type ForecastSpec } from '../../models/index.js';
import type { Fixture } from './fixture.js';
import type { Tally } from './tally.js';

type Tensors = Readonly<Record<string, FloatTensor>>;

interface PredictInfo {
  readonly temporal_cols: readonly string[];
  readonly h: number;
  readonly inference_input_size_internal: number;
}

/** The graph that ships, on the last window of a table `[series, column, time]` whose last steps are the horizon. */
export async function compareRecursion(
  spec: ForecastSpec,
  values: Tensors,
  { info, tensors }: Fixture,
  engine: Engine,
  tally: Tally,
): Promise<void> {
  const given = info['hyperparameters'] as Readonly<Record<string, unknown>>;
  const { temporal_cols: names, h: horizon, inference_input_size_internal: length } = info['predict'] as PredictInfo;
  const { data, dims } = tensors['predict/temporal']!;
  const [series, width, time] = dims as [number, number, number];
  const list = (key: string): readonly string[] => (given[key] as readonly string[] | null | undefined) ?? [];
  const window = (columns: readonly string[], steps: number): FloatTensor => {
    const rows = Float32Array.from({ length: series * steps * columns.length }, (_, i) => {
      const column = names.indexOf(columns[i % columns.length]!);
      const step = time - horizon - length + (Math.floor(i / columns.length) % steps);
      return data[(Math.floor(i / columns.length / steps) * width + column) * time + step]!;
    });
    return { data: rows, dims: [series, steps, columns.length] };
  };

  const graph = inferenceGraph({
    ...spec,
    hyperparameters: spec.model.parse({ ...spec.hyperparameters, inputLength: length, horizon }),
    scaler: scalerNames.find((name) => name === given['scaler_type'])!,
    given: {},
  });
  const session = await engine.load(toOnnx(graph));
  const { forecast } = session.run({
    ...values,
    past: window(['y'], length),
    mask: window(['available_mask'], length),
    historic: window(list('hist_exog_list'), length),
    future: window(list('futr_exog_list'), length + horizon),
    ...(tensors['predict/static'] && { static: tensors['predict/static'] }),
  });
  session.close();

  compareFedBack(spec, forecast!, tensors['predict/y_hat']!, tensors['output/distr_mean'] !== undefined, tally);
}

/** The library returns what it feeds back, for every quantile; the other columns of a distribution are sampled. */
export function compareFedBack(
  { loss }: ForecastSpec,
  forecast: FloatTensor,
  theirs: FloatTensor,
  isDistribution: boolean,
  tally: Tally,
): void {
  const ours = everyStep(forecast, (outputs) =>
    loss.fedBack === 'mean' ? outputs.reduce((sum, value) => sum + value, 0) / outputs.length : outputs[loss.point]!,
  );
  for (let column = 0; column < (isDistribution ? 1 : theirs.dims[2]!); column++)
    tally.compare(
      'forward',
      'the forecast fed back',
      ours,
      everyStep(theirs, (outputs) => outputs[column]!),
    );
}

/** `[series, horizon, columns]` → `[series, horizon]` */
function everyStep({ data, dims }: FloatTensor, of: (columns: Float32Array) => number): FloatTensor {
  const [series, horizon, columns] = dims as [number, number, number];
  const numbers = Float32Array.from({ length: series * horizon }, (_, i) =>
    of(data.subarray(i * columns, (i + 1) * columns)),
  );
  return { data: numbers, dims: [series, horizon] };
}
