/**
 * One stream on the grid of its model (EDGE.md §4): readings fall into buckets aligned to the epoch, a bucket closes
 * once when the watermark passes it, short gaps are imputed, and the closed ones form the model's window.
 */
import type { StreamSettings } from '../contracts/config.js';
import type { Manifest } from '../contracts/manifest.js';

export interface SeriesSettings {
  readonly cadenceMs: number;
  readonly aggregate: 'mean' | 'last' | 'sum' | 'min' | 'max';
  readonly impute: 'linear' | 'last' | 'seasonal' | 'none';
  /** Longest gap that is imputed, in steps. */
  readonly maxGap: number;
  /** How long after its end a bucket still takes readings. */
  readonly latenessMs: number;
  /** Steps of the model's window. */
  readonly inputLength: number;
}

export interface Bucket {
  /** Label: start of the bucket. */
  readonly startMs: number;
  readonly value: number;
  readonly imputed: boolean;
}

export interface Window {
  /** Sensor units, oldest first: [inputLength]. */
  readonly past: Float32Array;
  /** 1 where a value was measured, 0 where it was imputed: [inputLength]. */
  readonly mask: Float32Array;
  /** Share of imputed steps. */
  readonly imputed: number;
  /** Start of the first bucket after the window. */
  readonly nextMs: number;
}

export interface Series {
  readonly settings: SeriesSettings;
  /** Takes a reading; `late` when its bucket has closed. An undefined value only moves the watermark. */
  add(timeMs: number, value: number | undefined): 'taken' | 'late';
  /** The next bucket that has closed, appended to the window; undefined when there is none. */
  close(): Bucket | undefined;
  /** The newest `inputLength` steps; undefined while there are fewer without a long gap. */
  window(): Window | undefined;
  /** Measured and imputed steps at hand. */
  readonly length: number;
  /** End of the newest closed bucket; -Infinity before the first. */
  readonly closedUntilMs: number;
}

const DAY_MS = 86_400_000;

/** A stream on the grid of a model. Two steps of lateness, at least two seconds, unless the stream says otherwise. */
export function seriesSettings(
  { inputs: [input], inputLength }: Pick<Manifest, 'inputs' | 'inputLength'>,
  { maxGap, latenessMs }: Pick<StreamSettings, 'maxGap' | 'latenessMs'>,
): SeriesSettings {
  const { cadenceMs, agg: aggregate, impute } = input!;
  const usual = Math.max(2 * cadenceMs, 2000);
  return { cadenceMs, aggregate, impute, maxGap, latenessMs: latenessMs ?? usual, inputLength };
}

const aggregators: Readonly<Record<SeriesSettings['aggregate'], (values: readonly number[]) => number>> = {
  mean: (values) => values.reduce((sum, value) => sum + value, 0) / values.length,
  last: (values) => values.at(-1)!,
  sum: (values) => values.reduce((sum, value) => sum + value, 0),
  min: (values) => Math.min(...values),
  max: (values) => Math.max(...values),
};

export function createSeries(settings: SeriesSettings): Series {
  const { cadenceMs, inputLength, maxGap, latenessMs } = settings;
  const seasonSteps = DAY_MS % cadenceMs === 0 ? DAY_MS / cadenceMs : 0;
  const capacity = Math.max(inputLength, settings.impute === 'seasonal' ? seasonSteps : 0);
  const open = new Map<number, Map<number, number>>(); // bucket start -> reading time -> value
  const steps: Bucket[] = []; // closed, without holes, at most `capacity`
  const ready: Bucket[] = []; // closed, not yet handed out
  let newestMs = -Infinity;
  let closedUntilMs = -Infinity;

  /** Closes what the watermark has passed, oldest first. Gaps wait for the bucket behind them. */
  function closePassed(): void {
    const watermark = newestMs - latenessMs;
    const passed = [...open.keys()].filter((start) => start + cadenceMs <= watermark).sort((a, b) => a - b);
    for (const start of passed) {
      const readings = [...open.get(start)!].sort(([a], [b]) => a - b).map(([, value]) => value);
      open.delete(start);
      const before = ready.at(-1) ?? steps.at(-1);
      const value = aggregators[settings.aggregate](readings);
      if (before !== undefined) fillGap(before, { startMs: start, value, imputed: false });
      ready.push({ startMs: start, value, imputed: false });
      closedUntilMs = start + cadenceMs;
    }
  }

  function fillGap(before: Bucket, after: Bucket): void {
    const missing = (after.startMs - before.startMs) / cadenceMs - 1;
    if (missing > maxGap || settings.impute === 'none') return;
    for (let step = 1; step <= missing; step++) {
      const startMs = before.startMs + step * cadenceMs;
      ready.push({ startMs, value: imputed(startMs, before, after, step / (missing + 1)), imputed: true });
    }
  }

  function imputed(startMs: number, before: Bucket, after: Bucket, share: number): number {
    if (settings.impute === 'linear') return before.value + share * (after.value - before.value);
    const dayBefore =
      settings.impute === 'seasonal'
        ? [...steps, ...ready].find((step) => step.startMs === startMs - DAY_MS)
        : undefined;
    return (dayBefore ?? before).value;
  }

  return {
    settings,
    add(timeMs, value) {
      const start = Math.floor(timeMs / cadenceMs) * cadenceMs;
      if (start < closedUntilMs) return 'late';
      if (value !== undefined) {
        const bucket = open.get(start) ?? new Map<number, number>();
        open.set(start, bucket.set(timeMs, value)); // the same time again: the last value counts
      }
      newestMs = Math.max(newestMs, timeMs);
      return 'taken';
    },
    close() {
      if (ready.length === 0) closePassed();
      const bucket = ready.shift();
      if (bucket === undefined) return undefined;
      const last = steps.at(-1);
      if (last !== undefined && bucket.startMs !== last.startMs + cadenceMs) steps.length = 0; // a long gap: begin again
      steps.push(bucket);
      if (steps.length > capacity) steps.shift();
      return bucket;
    },
    window() {
      if (steps.length < inputLength) return undefined;
      const past = new Float32Array(inputLength);
      const mask = new Float32Array(inputLength);
      let measured = 0;
      const from = steps.length - inputLength;
      for (let i = 0; i < inputLength; i++) {
        const { value, imputed: guessed } = steps[from + i]!;
        past[i] = value;
        mask[i] = guessed ? 0 : 1;
        measured += mask[i]!;
      }
      return { past, mask, imputed: 1 - measured / inputLength, nextMs: steps.at(-1)!.startMs + cadenceMs };
    },
    get length() {
      return steps.length;
    },
    get closedUntilMs() {
      return closedUntilMs;
    },
  };
}
