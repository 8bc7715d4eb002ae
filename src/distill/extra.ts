/** Windows that never were, for a teacher to label: with noise, stretched, or mixed of two (https://arxiv.org/abs/1710.09412). */
import type { TimeSeriesFrame } from '../data/frame.js';
import { createBatch, createWindows, gatherWindows, type Windows } from '../data/windows.js';
import { createRandom } from '../engine/random.js';

/** Deviation of the noise, as a share of that of the window. */
const noise = 0.1;
/** A window is stretched around its mean by up to so much, or as much less. */
const stretch = 0.3;

/** Writes a past `[steps]` made of two others. */
type Way = (into: Float32Array, a: Float32Array, b: Float32Array, random: () => number) => void;

const ways: readonly Way[] = [
  (into, a, _, random) => {
    const { deviation } = moments(a);
    const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    for (let i = 0; i < a.length; i++) into[i] = a[i]! + noise * deviation * normal();
  },
  (into, a, _, random) => {
    const { mean } = moments(a);
    const factor = 1 + stretch * (2 * random() - 1);
    for (let i = 0; i < a.length; i++) into[i] = mean + factor * (a[i]! - mean);
  },
  (into, a, b, random) => {
    const share = random();
    for (let i = 0; i < a.length; i++) into[i] = share * a[i]! + (1 - share) * b[i]!;
  },
];

function moments(values: Float32Array): { mean: number; deviation: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, deviation: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) };
}

interface ExtraOptions {
  /** Made-up windows per true one. */
  readonly share: number;
  readonly seed: number;
  readonly inputLength: number;
  readonly horizon: number;
  /** The teacher's point forecasts, [windows, horizon]. */
  readonly label: (windows: Windows) => Promise<Float32Array>;
}

/** The frame with made-up windows behind it, each a series of its own whose truth is what the teacher forecasts. */
export async function withExtraWindows(
  frame: TimeSeriesFrame,
  { share, seed, inputLength, horizon, label }: ExtraOptions,
): Promise<TimeSeriesFrame> {
  const windows = createWindows(frame, { inputLength, horizon });
  const count = Math.round(share * windows.count);
  if (count === 0) return frame;
  const random = createRandom(seed, 'extra');
  const length = inputLength + horizon;
  const [a, b] = [createBatch(windows, 1), createBatch(windows, 1)];
  const target = new Float32Array(count * length);
  const time = new Float64Array(count * length);
  const available = new Uint8Array(count * length).fill(1);
  for (let i = 0; i < count; i++) {
    const [first, second] = [random(), random()].map((place) => Math.floor(place * windows.count)) as [number, number];
    gatherWindows(windows, [first], a);
    gatherWindows(windows, [second], b);
    const way = i % ways.length;
    ways[way]!(target.subarray(i * length, i * length + inputLength), a.past, b.past, random);
    time.set(frame.time.subarray(windows.starts[first], windows.starts[first]! + length), i * length);
    for (let step = 0; step < inputLength; step++)
      if (a.mask[step] === 0 || (way === 2 && b.mask[step] === 0)) available[i * length + step] = 0;
  }
  const made: TimeSeriesFrame = {
    ids: Array.from({ length: count }, (_, i) => `extra ${i}`),
    offsets: Uint32Array.from({ length: count + 1 }, (_, i) => i * length),
    time,
    columns: { target },
    available,
    frequency: frame.frequency,
  };
  const labels = await label(createWindows(made, { inputLength, horizon }));
  for (let i = 0; i < count; i++) target.set(labels.subarray(i * horizon, (i + 1) * horizon), i * length + inputLength);
  return joined(frame, made);
}

/** One frame under the other. */
function joined(a: TimeSeriesFrame, b: TimeSeriesFrame): TimeSeriesFrame {
  const put = <A extends Float32Array | Float64Array | Uint8Array>(into: A, first: A, second: A): A => {
    into.set(first);
    into.set(second, first.length);
    return into;
  };
  const rows = a.time.length + b.time.length;
  return {
    ids: [...a.ids, ...b.ids],
    offsets: Uint32Array.from([...a.offsets, ...b.offsets.subarray(1).map((offset) => offset + a.time.length)]),
    time: put(new Float64Array(rows), a.time, b.time),
    columns: { target: put(new Float32Array(rows), a.columns.target, b.columns.target) },
    available: put(new Uint8Array(rows), a.available, b.available),
    frequency: a.frequency,
  };
}
