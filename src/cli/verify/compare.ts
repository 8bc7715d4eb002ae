/** What the precisions of a bundle say on the same windows, on one machine and another. */
import { createRandom } from '../../engine/random.js';
import type { Manifest } from '../../contracts/manifest.js';
import type { StoredTensor } from '../../contracts/safetensors.js';
import type { Tensors } from './run-models.js';

export interface Comparison {
  readonly machine: string;
  readonly precision: string;
  /** Largest |difference| to the golden outputs over the largest |expected| value, and what the manifest allows. */
  readonly golden: number;
  readonly tolerance: number;
  /** Mean and largest |difference| to `reference` over the windows, over its largest |value|. */
  readonly reference: string;
  readonly mean: number;
  readonly largest: number;
  readonly passed: boolean;
}

const goldenWindow = /^golden(\d+)$/;

/** The golden inputs as windows of their own, and `count` more: golden ones moved, stretched and shaken, by a fixed seed. */
export function windowsFrom(golden: Tensors, { golden: { cases } }: Manifest, count: number): Tensors {
  const random = createRandom('verify');
  const inputsOf = (of: number): [string, StoredTensor][] =>
    Object.entries(golden).flatMap(([name, tensor]) =>
      name.startsWith(`${of}/in/`) ? [[name.slice(`${of}/in/`.length), tensor] as [string, StoredTensor]] : [],
    );
  const windows: Record<string, StoredTensor> = {};
  for (let i = 0; i < cases; i++) for (const [input, tensor] of inputsOf(i)) windows[`golden${i}/${input}`] = tensor;
  for (let i = 0; i < count; i++) {
    for (const [input, tensor] of inputsOf(i % cases))
      windows[`${i}/${input}`] =
        input === 'mask' ? tensor : { ...tensor, data: varied(tensor.data as Float32Array, random) };
  }
  return windows;
}

function varied(values: Float32Array, random: () => number): Float32Array<ArrayBuffer> {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const spread = values.reduce((sum, value) => sum + Math.abs(value - mean), 0) / values.length;
  const [stretch, move] = [0.5 + random(), (random() - 0.5) * spread];
  return Float32Array.from(values, (value) => mean + move + stretch * (value - mean) + 0.2 * (random() - 0.5) * spread);
}

/** Of the forecasts of each machine; differences are to the first precision of the first machine, FP32 where there is one. */
export function compareForecasts(
  machines: Readonly<Record<string, Tensors>>,
  golden: Tensors,
  { golden: { tolerance }, targets }: Manifest,
): Comparison[] {
  const precisions = targets.map(({ precision }) => precision);
  const first = Object.keys(machines)[0]!;
  const reference = precisions.includes('fp32') ? 'fp32' : precisions[0]!;
  return Object.entries(machines).flatMap(([machine, forecasts]) =>
    precisions.map((precision): Comparison => {
      const mine = Object.entries(forecasts).filter(([name]) => name.endsWith(`/${precision}`));
      const windowOf = (name: string): string => name.split('/')[0]!;
      const known = mine.filter(([name]) => goldenWindow.test(windowOf(name)));
      const rest = mine.filter(([name]) => !goldenWindow.test(windowOf(name)));
      const toGolden = difference(
        known.map(([name, { data }]) => {
          const [, place] = goldenWindow.exec(windowOf(name))!;
          return [data as Float32Array, golden[`${place}/out/${precision}/forecast`]!.data as Float32Array];
        }),
      );
      const toReference = difference(
        rest.map(([name, { data }]) => [
          data as Float32Array,
          machines[first]![`${windowOf(name)}/${reference}`]!.data as Float32Array,
        ]),
      );
      const allowed = tolerance[precision]!;
      return {
        machine,
        precision,
        golden: toGolden.largest,
        tolerance: allowed,
        reference: `${reference} on ${first}`,
        ...toReference,
        passed: toGolden.largest <= allowed,
      };
    }),
  );
}

/** Over the largest |expected| value. What is not a number differs without bound. */
function difference(pairs: readonly (readonly [Float32Array, Float32Array])[]): { mean: number; largest: number } {
  let [sum, count, largest, scale] = [0, 0, 0, Number.MIN_VALUE];
  for (const [actual, expected] of pairs) {
    for (const [i, value] of expected.entries()) {
      const off = Math.abs(actual[i]! - value);
      largest = Math.max(largest, Number.isNaN(off) ? Infinity : off);
      sum += off;
      count++;
      scale = Math.max(scale, Math.abs(value));
    }
  }
  return { mean: sum / count / scale, largest: largest / scale };
}
