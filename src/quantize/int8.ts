/** Static INT8: tries the ways to choose ranges, then takes layers back to FP32, step by step, until the error is small enough. */
import { NeuroDivergentError } from '../errors.js';
import { constantValues, quantizeLinear } from '../graph/index.js';
import { forecastError, type ForecastError } from './error.js';
import { findLayers, type Layer } from './layers.js';
import { signalToNoise } from './noise.js';
import { activationScale, methods, type Method } from './range.js';
import { integerWeight, observe, rewrite, type Histograms, type Precisions } from './rewrite.js';
import { asProduct, saturatedPairs } from './saturation.js';
import type { Found, Task } from './task.js';
import { firstWindows, runWindows, windowCount, withSession, type WindowArrays } from './windows.js';

/** Throws what `quantize` lists. */
export async function int8(task: Task): Promise<Found> {
  const { engine, float, validation, point, maxLoss, lossOf } = task;
  const calibration = calibrationOf(task);
  const layers = findLayers(float, { activations: task.family !== 'C' });
  if (layers.length === 0) {
    throw new NeuroDivergentError('ND_QUANTIZE_OP_UNSUPPORTED', {
      where: 'quantize',
      what: 'The graph has no product with 1024 known weights or more, so INT8 would save nothing.',
      mend: 'Bind the parameters first; ship a model this small in FP32 or FP16.',
    });
  }
  const histograms = await observe(engine, float, layers, calibration);
  const errorOf = (precisions: Precisions, method: Method): Promise<ForecastError> =>
    forecastError(engine, rewrite(float, precisions, histograms, method), validation, point);

  let precisions: Precisions = new Map(layers.map((layer) => [layer, layer.precisions[0]!]));
  let method: Method = 'minmax';
  let error = await errorOf(precisions, method);
  for (const candidate of histograms.size === 0 ? [] : methods.slice(1)) {
    const other = await errorOf(precisions, candidate);
    if (!(lossOf(other) >= lossOf(error))) [method, error] = [candidate, other];
  }

  if (!(lossOf(error) <= maxLoss))
    [precisions, error] = await mixedPrecision(task, layers, precisions, (p) => errorOf(p, method));

  const saturations = await countSaturations(task, calibration, precisions, histograms, method);
  const noise = await signalToNoise(
    task,
    layers,
    (graph) => rewrite(graph, precisions, histograms, method),
    calibration,
  );
  return {
    graph: rewrite(float, precisions, histograms, method),
    error,
    method: [...precisions.values()].includes('int8') ? method : 'none',
    layers: layers.map((layer, i) => ({
      name: layer.name,
      precision: precisions.get(layer)!,
      signalToNoiseDb: noise[i]!,
    })),
    keptFp32: layers.filter((layer) => precisions.get(layer) === 'float32').map(({ name }) => name),
    saturations,
  };
}

/**
 * Takes layers a step back, those first that cost the most error for the bytes they save, until the limit holds; then
 * gives back what was taken without need. Ends with all layers in FP32 when nothing helps.
 */
async function mixedPrecision(
  { lossOf, maxLoss }: Task,
  layers: readonly Layer[],
  start: Precisions,
  errorOf: (precisions: Precisions) => Promise<ForecastError>,
): Promise<[Precisions, ForecastError]> {
  const cost = new Map<Layer, number>();
  for (const layer of layers) {
    const alone = await errorOf(new Map([[layer, layer.precisions[0]!]]));
    cost.set(layer, lossOf(alone) / constantValues(layer.weight)!.length);
  }
  const order = [...layers].sort((a, b) => cost.get(b)! - cost.get(a)!);

  let precisions = start;
  let error: ForecastError | undefined;
  const holds = (found: ForecastError): boolean => lossOf(found) <= maxLoss;
  for (const precision of ['int8-weights', 'float32'] as const) {
    for (const layer of order) {
      if ((error && holds(error)) || precisions.get(layer) === precision) continue;
      precisions = new Map(precisions).set(layer, precision);
      error = await errorOf(precisions);
    }
  }
  if (!holds(error!)) return [precisions, error!];
  for (const layer of order.toReversed()) {
    for (const better of layer.precisions) {
      if (better === precisions.get(layer)) break;
      const tried = new Map(precisions).set(layer, better);
      const found = await errorOf(tried);
      if (!holds(found)) continue;
      [precisions, error] = [tried, found];
      break;
    }
  }
  return [precisions, error!];
}

function calibrationOf({ calibration, float }: Task): WindowArrays {
  if (calibration !== undefined && windowCount(float, calibration) > 0) return calibration;
  throw new NeuroDivergentError('ND_QUANTIZE_NO_CALIBRATION', {
    where: 'quantize',
    what: 'There are no windows to calibrate on.',
    mend: 'Pass 256 to 1024 windows from the training part.',
  });
}

/** Counts what x86 without VNNI would clip, on a few calibration windows. Throws `ND_QUANTIZE_SATURATION` when anything is. */
async function countSaturations(
  { engine, float }: Task,
  calibration: WindowArrays,
  precisions: Precisions,
  histograms: Histograms,
  method: Method,
): Promise<number> {
  const layers = [...precisions].flatMap(([layer, precision]) => (precision === 'int8' ? [layer] : []));
  if (layers.length === 0) return 0;
  const watching = {
    ...float,
    outputs: Object.fromEntries(layers.map(({ nodes: [node] }, i) => [`input${i}`, node.inputs[0]!])),
  };
  const few = firstWindows(float, calibration, 16);
  let count = 0;
  await withSession(engine, watching, (session) =>
    runWindows(session, watching, few, (found) => {
      for (const [i, layer] of layers.entries()) {
        const [node] = layer.nodes;
        const scale = activationScale(histograms.get(node.inputs[0]!)!, method);
        const { data, dims } = found[`input${i}`]!;
        const x = quantizeLinear.op.run(
          { x: { data: Float64Array.from(data), shape: dims } },
          scale,
          [dims],
          [],
        ) as Float64Array;
        const product = asProduct(node, Uint8Array.from(x), integerWeight(layer, scale).values);
        count += saturatedPairs(product.x, product.w, product.inner);
      }
    }),
  );
  if (count === 0) return 0;
  throw new NeuroDivergentError('ND_QUANTIZE_SATURATION', {
    where: 'quantize',
    what: `${count} sums of two products exceed 16 bits on the calibration windows; some processors would clip them silently.`,
    mend: 'Keep weights within 7 bits.',
  });
}
