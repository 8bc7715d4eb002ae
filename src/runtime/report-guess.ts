/** How does a stream report? A guess from what it sent in its first day, for people to confirm (EDGE.md §4). */
import type { ReportMode } from '../contracts/reporting.js';
import { quantileOfSorted, sorted } from '../stats/quantile.js';
import type { PastReading } from './readings.js';

export interface ReportGuess {
  readonly report: ReportMode;
  /** Of a heartbeat: the time after which it repeats itself. */
  readonly heartbeatMs?: number;
  /** Intervals between readings: how many, and the tenth, the half and nine tenths of them that are no longer. */
  readonly intervals: number;
  readonly shortMs: number;
  readonly usualMs: number;
  readonly longMs: number;
}

const DAY_MS = 86_400_000;
/** Fewer say too little. */
const INTERVALS = 30;
/** A steady pace varies by no more between the tenth and nine tenths. */
const STEADY = 1.5;
/** A sensor that reports changes seldom says the same twice. */
const REPEATS = 0.02;

/** Undefined where the readings are too few, or fit nothing. They are in the order of their times. */
export function guessReport(readings: readonly PastReading[]): ReportGuess | undefined {
  const day = readings.filter(({ timeMs }) => timeMs < readings[0]!.timeMs + DAY_MS);
  const intervals = day.slice(1).map(({ timeMs, value }, i) => {
    const before = day[i]!;
    return { lengthMs: timeMs - before.timeMs, same: value !== null && value === before.value };
  });
  if (intervals.length < INTERVALS) return undefined;
  const lengths = sorted(intervals.map(({ lengthMs }) => lengthMs));
  const repeats = sorted(intervals.flatMap(({ lengthMs, same }) => (same ? [lengthMs] : [])));
  const [shortMs, usualMs, longMs] = [0.1, 0.5, 0.9].map((share) => quantileOfSorted(lengths, share)) as [number, number, number]; // prettier-ignore
  const seen = { intervals: intervals.length, shortMs, usualMs, longMs };
  if (longMs <= STEADY * shortMs) return { report: 'periodic', ...seen };
  if (repeats.length <= REPEATS * intervals.length) return { report: 'on_change', ...seen };
  const heartbeatMs = quantileOfSorted(repeats, 0.5);
  const steady = quantileOfSorted(repeats, 0.9) <= STEADY * quantileOfSorted(repeats, 0.1);
  return steady && lengths.at(-1)! <= STEADY * heartbeatMs ? { report: 'heartbeat', heartbeatMs, ...seen } : undefined;
}
