/** Stored readings as windows to learn from: the grid and the imputation are those of the lanes that forecast. */
import type { FloatTensor } from '../engine/port.js';
import { createSeries } from './series.js';
import type { SeriesSettings } from './series.js';
import type { PastReading } from './readings.js';

/** Steps of one stream without a long gap, oldest first, in sensor units. */
export interface Stretch {
  readonly values: Float32Array;
  /** 1 where a value was measured, 0 where it was imputed. */
  readonly mask: Float32Array;
}

/** Steps that a model reads, and that it forecasts. */
export interface Task {
  readonly inputLength: number;
  readonly horizon: number;
}

/** Where a window lies: `start` is the first step that the model reads. */
export interface Place {
  readonly stretch: Stretch;
  readonly start: number;
}

/** Readings in the order they were stored. */
export function stretchesOf(readings: Iterable<PastReading>, settings: SeriesSettings): Stretch[] {
  const series = createSeries(settings);
  const stretches: Stretch[] = [];
  let values: number[] = [];
  let mask: number[] = [];
  let nextMs = Number.NaN;
  const end = (): void => {
    if (values.length > 0) stretches.push({ values: Float32Array.from(values), mask: Float32Array.from(mask) });
    values = [];
    mask = [];
  };
  for (const { timeMs, value } of readings) {
    series.add(timeMs, value ?? undefined);
    for (let bucket = series.close(); bucket !== undefined; bucket = series.close()) {
      if (bucket.startMs !== nextMs) end();
      values.push(bucket.value);
      mask.push(bucket.imputed ? 0 : 1);
      nextMs = bucket.startMs + settings.cadenceMs;
    }
  }
  end();
  return stretches;
}

/** Share of the newest steps of each stream that nothing is learned from. */
const heldShare = 0.2;
/** Of more windows than this, so many are judged, evenly spread. */
const judgedMost = 1000;

/** The windows of one stream: those whose target ends before the held-out steps, and those whose target lies in them. */
export function splitWindows(stretches: readonly Stretch[], task: Task): { learned: Place[]; held: Place[] } {
  const total = stretches.reduce((sum, { values }) => sum + values.length, 0);
  const cut = total - Math.floor(total * heldShare);
  const held = placesIn(stretches, task, cut, total);
  const count = Math.min(judgedMost, held.length);
  return {
    learned: placesIn(stretches, task, 0, cut),
    held: Array.from({ length: count }, (_, i) => held[Math.floor((i * held.length) / count)]!),
  };
}

/** Windows with their whole target in the steps `from` to `to`, counted over all stretches, and a value measured on both sides. */
function placesIn(stretches: readonly Stretch[], { inputLength, horizon }: Task, from: number, to: number): Place[] {
  const places: Place[] = [];
  let before = 0;
  for (const stretch of stretches) {
    const first = Math.max(0, from - before - inputLength);
    const last = Math.min(stretch.values.length, to - before) - inputLength - horizon;
    for (let start = first; start <= last; start++) {
      const cut = start + inputLength;
      const measured = (a: number, b: number): boolean => stretch.mask.subarray(a, b).includes(1);
      if (measured(start, cut) && measured(cut, cut + horizon)) places.push({ stretch, start });
    }
    before += stretch.values.length;
  }
  return places;
}

/** Memory for `batch` windows, as a training graph takes them. */
export function createFeeds(batch: number, { inputLength, horizon }: Task): Record<string, FloatTensor> {
  const tensor = (steps: number): FloatTensor => ({ data: new Float32Array(batch * steps), dims: [batch, steps, 1] });
  return { past: tensor(inputLength), mask: tensor(inputLength), target: tensor(horizon), targetMask: tensor(horizon) };
}

/** Copies windows into the feeds, in this order. */
export function gatherInto(
  feeds: Readonly<Record<string, FloatTensor>>,
  places: readonly Place[],
  { inputLength, horizon }: Task,
): void {
  for (const [i, { stretch, start }] of places.entries()) {
    const cut = start + inputLength;
    const put = (name: string, from: Float32Array, a: number, b: number): void =>
      feeds[name]!.data.set(from.subarray(a, b), i * (b - a));
    put('past', stretch.values, start, cut);
    put('mask', stretch.mask, start, cut);
    put('target', stretch.values, cut, cut + horizon);
    put('targetMask', stretch.mask, cut, cut + horizon);
  }
}
