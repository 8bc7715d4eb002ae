/**
 * Layers in few bits: tries the ways to choose ranges of activations, then takes layers a step back, those first that cost
 * the most error for what they save, until the error is small enough.
 */
import { NeuroDivergentError } from '../errors.js';
import { constantValues } from '../graph/index.js';
import { median } from '../stats/quantile.js';
import { forecastError, type ForecastError } from './error.js';
import { channelOf, findLayers, quantizeWeight, type Layer, type Precision } from './layers.js';
import { signalToNoise } from './noise.js';
import { methods, type Method } from './range.js';
import { observe, rewrite, type Precisions } from './rewrite.js';
import { saturatingChannels } from './saturation.js';
import type { Found, Task } from './task.js';
import { someWindows, windowCount, type WindowArrays } from './windows.js';

/** Windows on which layers are compared, one by one. */
const comparedWindows = 256;

/** From few bits to more. */
export type Ladder = readonly [Precision, ...Precision[]];

/** Every layer takes the first of `ladders` that begins with what it can be. Throws what `tryQuantize` lists. */
export async function search(task: Task, ladders: readonly Ladder[]): Promise<Found> {
  const { engine, float, validation, point, maxLoss, lossOf, target } = task;
  const { int8From } = target;
  const layers = findLayers(float, { activations: task.family !== 'C', int8From });
  if (layers.length === 0) {
    throw new NeuroDivergentError('ND_QUANTIZE_OP_UNSUPPORTED', {
      where: 'quantize',
      what: 'The graph has no product with 1024 known weights or more, so few bits would save nothing.',
      mend: 'Bind the parameters first; ship a model this small in FP32 or FP16.',
    });
  }
  const steps: Steps = new Map(
    layers.map((layer) => {
      const ladder = ladders.find(([first]) => layer.precisions.includes(first)) ?? ladders.at(-1)!;
      return [layer, [...ladder, 'float32']];
    }),
  );
  const calibrated = layers.filter((layer) => steps.get(layer)!.includes('int8'));
  const calibration = calibrated.length > 0 ? calibrationOf(task) : validation;
  const histograms = await observe(engine, float, calibrated, calibration);
  const errorOf = (precisions: Precisions, method: Method, windows = validation): Promise<ForecastError> =>
    forecastError(engine, rewrite(float, precisions, { histograms, method, target }), windows, point);

  let precisions: Precisions = new Map(layers.map((layer) => [layer, steps.get(layer)![0]!]));
  let method: Method = 'minmax';
  let error = await errorOf(precisions, method);
  for (const candidate of [...precisions.values()].includes('int8') ? methods.slice(1) : []) {
    const other = await errorOf(precisions, candidate);
    // A forecast that differs from that of FP32 is no merit: luck on these windows is none on others.
    if (!(Math.abs(lossOf(other)) >= Math.abs(lossOf(error)))) [method, error] = [candidate, other];
  }

  let alone = new Map<Layer, number>();
  if (!(lossOf(error) <= maxLoss)) {
    const few = someWindows(float, validation, comparedWindows);
    const fewFp32 = await forecastError(engine, float, few, point);
    const measure = (way: Method) =>
      eachAlone(layers, steps, async (own) => lossOf(await errorOf(own, way, few), fewFp32));
    alone = await measure(method);
    // One layer that cannot be quantized at all may have decided for a method that is bad for all others.
    const plain = method === 'minmax' ? alone : await measure('minmax');
    if (middle(plain) < middle(alone)) [method, alone] = ['minmax', plain];
    [precisions, error] = await stepBack(task, order(layers, alone), steps, (own) => errorOf(own, method));
  }

  const scaling = { histograms, method, target };
  const saturations = countSaturating(precisions);
  const noise = await signalToNoise(task, layers, (graph) => rewrite(graph, precisions, scaling), calibration);
  return {
    graph: rewrite(float, precisions, scaling),
    error,
    method: [...precisions.values()].includes('int8') ? method : 'none',
    layers: layers.map((layer, i) => ({
      name: layer.name,
      precision: precisions.get(layer)!,
      signalToNoiseDb: noise[i]!,
      ...(alone.has(layer) && { lossAlone: alone.get(layer)! }),
    })),
    keptFp32: layers.filter((layer) => precisions.get(layer) === 'float32').map(({ name }) => name),
    saturations,
  };
}

const middle = (alone: ReadonlyMap<Layer, number>): number => median([...alone.values()].map(Math.abs));

type Steps = ReadonlyMap<Layer, readonly Precision[]>;

/** What each layer costs when it alone has few bits. */
async function eachAlone(
  layers: readonly Layer[],
  steps: Steps,
  lossOf: (precisions: Precisions) => Promise<number>,
): Promise<Map<Layer, number>> {
  const alone = new Map<Layer, number>();
  for (const layer of layers) {
    const others = layers.map((other) => [other, 'float32'] as const);
    alone.set(layer, await lossOf(new Map([...others, [layer, steps.get(layer)![0]!]])));
  }
  return alone;
}

/** Those first that cost the most error for the bytes they save. */
const order = (layers: readonly Layer[], alone: ReadonlyMap<Layer, number>): Layer[] => {
  const cost = (layer: Layer): number => alone.get(layer)! / constantValues(layer.weight)!.length;
  return [...layers].sort((a, b) => cost(b) - cost(a));
};

/** Layers that are offered back what was taken from them without need. */
const offered = 8;

/**
 * Takes layers a step back in this order, and then another, until the limit holds: as few as are needed, found by halving;
 * then gives back what was taken without need, to the largest first. Ends with all of them in FP32 when nothing helps.
 */
async function stepBack(
  { lossOf, maxLoss }: Task,
  layers: readonly Layer[],
  steps: Steps,
  errorOf: (precisions: Precisions) => Promise<ForecastError>,
): Promise<[Precisions, ForecastError]> {
  const longest = Math.max(...[...steps.values()].map(({ length }) => length));
  const moves = Array.from({ length: longest - 1 }, (_, i) =>
    layers.flatMap((layer) => (i + 1 < steps.get(layer)!.length ? [{ layer, to: steps.get(layer)![i + 1]! }] : [])),
  ).flat();
  const start = layers.map((layer) => [layer, steps.get(layer)![0]!] as const);
  const after = (count: number): Precisions =>
    new Map([...start, ...moves.slice(0, count).map(({ layer, to }) => [layer, to] as const)]);
  const holds = (error: ForecastError): boolean => lossOf(error) <= maxLoss;

  let [few, many] = [0, moves.length];
  let precisions = after(many);
  let error = await errorOf(precisions);
  if (!holds(error)) return [precisions, error];
  while (many - few > 1) {
    const middle = (few + many) >> 1;
    const tried = await errorOf(after(middle));
    if (holds(tried)) [many, precisions, error] = [middle, after(middle), tried];
    else few = middle;
  }
  const size = ({ weight }: Layer): number => constantValues(weight)!.length;
  const moved = layers.filter((layer) => precisions.get(layer) !== steps.get(layer)![0]);
  for (const layer of moved.sort((a, b) => size(b) - size(a)).slice(0, offered)) {
    const now = steps.get(layer)!.indexOf(precisions.get(layer)!);
    const tried = new Map(precisions).set(layer, steps.get(layer)![now - 1]!);
    const found = await errorOf(tried);
    if (holds(found)) [precisions, error] = [tried, found];
  }
  return [precisions, error];
}

function calibrationOf({ calibration, float }: Task): WindowArrays {
  if (calibration !== undefined && windowCount(float, calibration) > 0) return calibration;
  throw new NeuroDivergentError('ND_QUANTIZE_NO_CALIBRATION', {
    where: 'quantize',
    what: 'There are no windows to calibrate on.',
    mend: 'Pass 256 to 1024 windows from the training part.',
  });
}

/** Throws `ND_QUANTIZE_SATURATION` when x86 without VNNI would clip sums of some channels. */
function countSaturating(precisions: Precisions): number {
  let count = 0;
  for (const [layer, precision] of precisions) {
    if (precision !== 'int8') continue;
    const { values, scale } = quantizeWeight(layer);
    count += saturatingChannels(values, scale.length, channelOf(layer));
  }
  if (count === 0) return 0;
  throw new NeuroDivergentError('ND_QUANTIZE_SATURATION', {
    where: 'quantize',
    what: `In ${count} output channels sums of two products can exceed 16 bits; some processors would clip them silently.`,
    mend: 'Keep weights within 7 bits.',
  });
}
