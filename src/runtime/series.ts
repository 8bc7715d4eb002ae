/**
 * One stream on the grid of its model (EDGE.md §4): readings fall into buckets aligned to the epoch, a bucket closes
 * once when the watermark passes it, short gaps are imputed, and the closed ones form the model's window. Of a stream
 * that reports when its value changes, the value holds instead: its buckets close in turn, with a report or without.
 */
import type { Manifest } from '../contracts/manifest.js';
import type { StreamRules } from './reporting.js';

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
  /** How long a value holds after the last sign of life; null or none: it does not, and what is missing is a gap. */
  readonly holdMs?: number | null;
}

export interface Bucket {
  /** Label: start of the bucket. */
  readonly startMs: number;
  readonly value: number;
  readonly imputed: boolean;
  /** Nothing was reported in it: the value before holds. It is known, not guessed. */
  readonly held?: true;
}

export interface Window {
  /** Sensor units, oldest first: [inputLength]. */
  readonly past: Float32Array;
  /** 1 where a value was measured or held, 0 where it was imputed: [inputLength]. */
  readonly mask: Float32Array;
  /** Share of imputed steps. */
  readonly imputed: number;
  /** Share of steps in which a value held; absent when none did. */
  readonly held?: number;
  /** Start of the first bucket after the window. */
  readonly nextMs: number;
}

export interface Series {
  readonly settings: SeriesSettings;
  /** Takes a reading; `late` when its bucket has closed. An undefined value only moves the watermark. */
  add(timeMs: number, value: number | undefined): 'taken' | 'late';
  /** It is `nowMs`, which closes what is due without a reading; the stream was said to be there at `presentMs`. */
  advance(nowMs: number, presentMs: number): void;
  /** The next bucket that has closed, appended to the window; undefined when there is none. */
  close(): Bucket | undefined;
  /** The newest `inputLength` steps; undefined while there are fewer without a long gap. */
  window(): Window | undefined;
  /** Steps at hand, without a hole. */
  readonly length: number;
  /** Closed buckets that `close` has still to give. */
  readonly waiting: number;
  /** End of the newest closed bucket; -Infinity before the first. */
  readonly closedUntilMs: number;
}

const DAY_MS = 86_400_000;

/** A stream on the grid of a model. Two steps of lateness, at least two seconds, unless the stream says otherwise. */
export function seriesSettings(
  { inputs: [input], inputLength }: Pick<Manifest, 'inputs' | 'inputLength'>,
  { maxGap, latenessMs, holdMs }: Pick<StreamRules, 'maxGap' | 'latenessMs' | 'holdMs'>,
): SeriesSettings {
  const { cadenceMs, agg: aggregate, impute } = input!;
  const usual = Math.max(2 * cadenceMs, 2000);
  return { cadenceMs, aggregate, impute, maxGap, latenessMs: latenessMs ?? usual, inputLength, holdMs };
}

const aggregators: Readonly<Record<SeriesSettings['aggregate'], (values: readonly number[]) => number>> = {
  mean: (values) => values.reduce((sum, value) => sum + value, 0) / values.length,
  last: (values) => values.at(-1)!,
  sum: (values) => values.reduce((sum, value) => sum + value, 0),
  min: (values) => Math.min(...values),
  max: (values) => Math.max(...values),
};

export function createSeries(settings: SeriesSettings): Series {
  const { cadenceMs, inputLength, maxGap, latenessMs, holdMs = null } = settings;
  const seasonSteps = DAY_MS % cadenceMs === 0 ? DAY_MS / cadenceMs : 0;
  const capacity = Math.max(inputLength, settings.impute === 'seasonal' ? seasonSteps : 0);
  const open = new Map<number, Map<number, number | undefined>>(); // bucket start -> reading time -> value
  const steps: Bucket[] = []; // closed, without holes, at most `capacity`
  const ready: Bucket[] = []; // closed, not yet handed out
  let newestMs = -Infinity;
  let closedUntilMs = -Infinity;
  let presentMs = -Infinity;
  let standing: Report | undefined; // the newest before `closedUntilMs`

  /** Closes what the watermark has passed, oldest first. Gaps wait for the bucket behind them. */
  function closePassed(): void {
    const watermark = newestMs - latenessMs;
    const passed = [...open.keys()].filter((start) => start + cadenceMs <= watermark).sort((a, b) => a - b);
    for (const start of passed) {
      const readings = [...open.get(start)!].sort(([a], [b]) => a - b).map(([, value]) => value!);
      open.delete(start);
      const before = ready.at(-1) ?? steps.at(-1);
      const value = aggregators[settings.aggregate](readings);
      if (before !== undefined) fillGap(before, { startMs: start, value, imputed: false });
      ready.push({ startMs: start, value, imputed: false });
      closedUntilMs = start + cadenceMs;
    }
  }

  /** Closes every bucket that the watermark has passed, in turn, as long as a value is known. */
  function closeHolding(lastsMs: number): void {
    const watermark = newestMs - latenessMs;
    let report = standing;
    const holdsAt = (start: number): boolean =>
      report?.value !== undefined && start < Math.max(report.timeMs, presentMs) + lastsMs;
    const nextFrom = (start: number): number =>
      open.has(start) || holdsAt(start) ? start : Math.min(...[...open.keys()].filter((each) => each > start));

    for (let start = nextFrom(closedUntilMs); start + cadenceMs <= watermark; start = nextFrom(start + cadenceMs)) {
      const reports = [...(open.get(start) ?? [])].sort(([a], [b]) => a - b);
      const before = holdsAt(start) ? report!.value : undefined;
      const value = aggregateHolding(settings.aggregate, start, start + cadenceMs, before, reports);
      const [timeMs, newest] = reports.at(-1) ?? [];
      if (timeMs !== undefined) report = { timeMs, value: newest };
      if (value === undefined) continue; // it may be reported still
      const measured = reports.some(([, each]) => each !== undefined);
      ready.push({ startMs: start, value, imputed: false, ...(!measured && { held: true }) });
      closedUntilMs = start + cadenceMs;
      standing = report;
    }
    for (const start of open.keys()) if (start < closedUntilMs) open.delete(start);
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
      if (value !== undefined || holdMs !== null) {
        const bucket = open.get(start) ?? new Map<number, number | undefined>();
        open.set(start, bucket.set(timeMs, value)); // the same time again: the last value counts
      }
      newestMs = Math.max(newestMs, timeMs);
      return 'taken';
    },
    advance(nowMs, thereMs) {
      newestMs = Math.max(newestMs, nowMs);
      presentMs = Math.max(presentMs, thereMs);
    },
    close() {
      if (ready.length === 0) {
        if (holdMs === null) closePassed();
        else closeHolding(holdMs);
      }
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
      let imputed = 0;
      let held = 0;
      const from = steps.length - inputLength;
      for (let i = 0; i < inputLength; i++) {
        const step = steps[from + i]!;
        past[i] = step.value;
        mask[i] = step.imputed ? 0 : 1;
        if (step.imputed) imputed++;
        if (step.held) held++;
      }
      const nextMs = steps.at(-1)!.startMs + cadenceMs;
      return { past, mask, imputed: imputed / inputLength, ...(held > 0 && { held: held / inputLength }), nextMs };
    },
    get length() {
      return steps.length;
    },
    get waiting() {
      return ready.length;
    },
    get closedUntilMs() {
      return closedUntilMs;
    },
  };
}

interface Report {
  readonly timeMs: number;
  /** Undefined: it said that it has no value. */
  readonly value: number | undefined;
}

/**
 * A bucket of a value that holds from report to report: its mean is over time, and what held at the start counts until the
 * first report. Amounts (`sum`) do not hold: where none was reported there was none. Undefined where no value was known.
 */
function aggregateHolding(
  aggregate: SeriesSettings['aggregate'],
  startMs: number,
  endMs: number,
  before: number | undefined,
  reports: readonly (readonly [timeMs: number, value: number | undefined])[],
): number | undefined {
  const parts = [[startMs, before] as const, ...reports].flatMap(([timeMs, value], i) => {
    const lengthMs = (i < reports.length ? reports[i]![0] : endMs) - timeMs;
    return value === undefined || lengthMs === 0 ? [] : [{ value, lengthMs, reported: i > 0 }];
  });
  if (parts.length === 0) return undefined;
  if (aggregate === 'sum') return aggregators.sum(parts.flatMap(({ value, reported }) => (reported ? [value] : [])));
  const values = parts.map(({ value }) => value);
  if (aggregate !== 'mean' || values.length === 1) return aggregators[aggregate](values);
  return (
    aggregators.sum(parts.map(({ value, lengthMs }) => value * lengthMs)) /
    aggregators.sum(parts.map(({ lengthMs }) => lengthMs))
  );
}
