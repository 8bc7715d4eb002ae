/** A recurrent model's own forecast: every step is fed back as if it had been observed, in the units of the window. */
import type { Engine, FloatTensor } from '../../engine/port.js';
import { createGraph, toOnnx, type Graph } from '../../graph/index.js';
import { inferenceGraph, type ForecastSpec } from '../../models/assemble.js';
import { windowScaler, type ScalerName } from '../../models/blocks/window-scaler.js';
import type { Fixture } from './fixture.js';
import type { Tally } from './tally.js';

type Tensors = Readonly<Record<string, FloatTensor>>;

interface Panel {
  readonly series: number;
  /** Steps of the past. */
  readonly length: number;
  readonly horizon: number;
  /** Columns over past and horizon, `[series, length + horizon, columns]`. */
  readonly columns: (names: readonly string[]) => FloatTensor;
}

export async function compareRecursion(
  spec: ForecastSpec,
  values: Tensors,
  { info, tensors }: Fixture,
  engine: Engine,
  tally: Tally,
): Promise<void> {
  const given = info['hyperparameters'] as Readonly<Record<string, unknown>>;
  const list = (name: string): readonly string[] => (given[name] as readonly string[] | null | undefined) ?? [];
  const panel = panelOf(info['predict'] as PredictInfo, tensors['predict/temporal']!);
  const { series, length, horizon } = panel;
  const steps = length + horizon - 1;
  const isDistribution = tensors['output/distr_mean'] !== undefined;

  const run = async (graph: Graph): Promise<(feeds: Tensors) => Record<string, FloatTensor>> => {
    const session = await engine.load(toOnnx(graph));
    return (feeds) => session.run(feeds);
  };
  const [historic, future] = [list('hist_exog_list'), list('futr_exog_list')];
  const scaler = await run(
    scalerGraph(String(given['scaler_type']) as ScalerName, panel, historic.length + future.length),
  );
  const observed = panel.columns(['available_mask']);
  for (let row = 0; row < series; row++)
    observed.data.fill(0, row * (length + horizon) + length, (row + 1) * (length + horizon));
  const window: Tensors = {
    y: panel.columns(['y']),
    mask: observed,
    covariates: panel.columns([...historic, ...future]),
  };
  const scale = (numbers: Float32Array): Tensors =>
    scaler({ ...window, values: { data: numbers, dims: [series, horizon, 1] } });
  const scaled = scale(new Float32Array(series * horizon));

  const model = await run(
    inferenceGraph({
      ...spec,
      hyperparameters: { ...spec.hyperparameters, inputLength: steps, horizon },
      loss: isDistribution ? spec.loss : { ...spec.loss, decode: (_, forecast) => forecast }, // in scaled units
    }),
  );
  // The step that forecasts t + 1 reads the target of t and the covariates of t + 1; historic ones end with the past.
  const ahead = (from: number, count: number, total: number, known: number): FloatTensor => {
    const width = historic.length + future.length;
    const data = new Float32Array(series * total * count);
    for (let row = 0; row < series; row++) {
      for (let step = 0; step < known; step++) {
        for (let column = 0; column < count; column++) {
          const source = (row * (length + horizon) + step + 1) * width + from + column;
          data[(row * total + step) * count + column] = scaled['scaledCovariates']!.data[source]!;
        }
      }
    }
    return { data, dims: [series, total, count] };
  };
  const past = new Float32Array(series * steps);
  for (let row = 0; row < series; row++) {
    past.set(
      scaled['scaledY']!.data.subarray(row * (length + horizon), row * (length + horizon) + length),
      row * steps,
    );
  }
  /** Where nothing is scaled, one statistic stands for all series. */
  const ofEach = ({ data }: FloatTensor): FloatTensor => ({
    data: data.length === 1 ? new Float32Array(series).fill(data[0]!) : data,
    dims: [series, 1, 1],
  });
  const feeds: Tensors = {
    ...values,
    past: { data: past, dims: [series, steps, 1] },
    mask: { data: new Float32Array(past.length).fill(1), dims: [series, steps, 1] },
    historic: ahead(0, historic.length, steps, length - 1),
    future: ahead(historic.length, future.length, steps + horizon, steps),
    ...(tensors['predict/static'] && { static: tensors['predict/static'] }),
    shift: ofEach(scaled['shift']!),
    scale: ofEach(scaled['scale']!),
  };

  const forecast = new Float32Array(series * horizon);
  for (let step = 0; step < horizon; step++) {
    const { data, dims } = model(feeds)['forecast']!;
    const outputs = dims[2]!;
    for (let row = 0; row < series; row++) {
      const at = (row * horizon + step) * outputs;
      const all = data.subarray(at, at + outputs);
      forecast[row * horizon + step] = isDistribution
        ? all[spec.loss.point]!
        : all.reduce((sum, value) => sum + value, 0) / outputs;
    }
    const fed = isDistribution ? scale(forecast)['applied']!.data : forecast;
    if (step + 1 < horizon)
      for (let row = 0; row < series; row++) past[row * steps + length + step] = fed[row * horizon + step]!;
  }

  const result = isDistribution ? forecast : scale(forecast)['restored']!.data;
  const theirs = tensors['predict/y_hat']!;
  const columns = isDistribution ? 1 : theirs.dims[2]!; // the other columns of a distribution are sampled
  for (let column = 0; column < columns; column++) {
    const expected = theirs.data.filter((_, i) => i % theirs.dims[2]! === column);
    const dims = [series, horizon];
    tally.compare('forward', 'predict/y_hat', { data: result, dims }, { data: expected, dims });
  }
}

/** The scaler over the past of a window: its columns scaled, and the way there and back for a forecast (`values`). */
function scalerGraph(name: ScalerName, { length, horizon }: Panel, covariates: number): Graph {
  const g = createGraph();
  const input = (id: string, steps: number, columns: number) => g.input(id, [g.batch, steps, columns]);
  const mask = input('mask', length + horizon, 1);
  const values = input('values', horizon, 1);
  const { scaled, shift, scale, apply, restore } = windowScaler(g, name).target(input('y', length + horizon, 1), mask);
  const others =
    covariates === 0
      ? undefined
      : windowScaler(g.scope('covariates'), name).target(input('covariates', length + horizon, covariates), mask);
  return g.finish({
    scaledY: scaled,
    shift,
    scale,
    applied: apply(values),
    restored: restore(values),
    ...(others && { scaledCovariates: others.scaled }),
  });
}

interface PredictInfo {
  readonly temporal_cols: readonly string[];
  readonly h: number;
  readonly inference_input_size_internal: number;
}

/** The last window of a table `[series, column, time]` whose last steps are the horizon. */
function panelOf(
  { temporal_cols: names, h: horizon, inference_input_size_internal: length }: PredictInfo,
  { data, dims }: FloatTensor,
): Panel {
  const [series, width, time] = dims as [number, number, number];
  const steps = length + horizon;
  const columns = (wanted: readonly string[]): FloatTensor => {
    const taken = new Float32Array(series * steps * wanted.length);
    for (let i = 0; i < taken.length; i++) {
      const column = names.indexOf(wanted[i % wanted.length]!);
      const step = Math.floor(i / wanted.length) % steps;
      const row = Math.floor(i / wanted.length / steps);
      taken[i] = data[(row * width + column) * time + time - steps + step]!;
    }
    return { data: taken, dims: [series, steps, wanted.length] };
  };
  return { series, length, horizon, columns };
}
