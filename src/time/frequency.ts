/** How far apart the points of a series lie: a fixed duration, a number of months, or a plain step of an index. */

import { NeuroDivergentError } from '../errors.js';
import { daysInMonth } from './parse.js';

export type Frequency =
  | { readonly kind: 'duration'; readonly ms: number }
  | { readonly kind: 'month'; readonly months: number; readonly at: 'start' | 'end' }
  | { readonly kind: 'step'; readonly step: number };

const DAY_MS = 86_400_000;
const WEEK_MS = 7 * DAY_MS;
/** 1970-01-05 was the first Monday after the epoch; weeks start there. */
const FIRST_MONDAY_MS = 4 * DAY_MS;

/** Longest first, so that 3600 s is written `h`. */
const durationMs: readonly (readonly [name: string, ms: number])[] = [
  ['W', WEEK_MS],
  ['D', DAY_MS],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
  ['ms', 1],
];

const monthly: readonly (readonly [name: string, months: number, at: 'start' | 'end'])[] = [
  ['YS', 12, 'start'],
  ['YE', 12, 'end'],
  ['QS', 3, 'start'],
  ['QE', 3, 'end'],
  ['MS', 1, 'start'],
  ['ME', 1, 'end'],
];

/**
 * Reads `s`, `min`, `h`, `D`, `W`, `MS`, `ME`, `QS`, `QE`, `YS`, `YE`, a multiple such as `5min`, or an integer such as
 * `1` for a plain index. Throws `ND_DATA_FREQUENCY_UNKNOWN`.
 */
export function parseFrequency(text: string): Frequency {
  const [, digits, name] = /^([1-9]\d*)?([A-Za-z]*)$/.exec(text) ?? [];
  const count = digits === undefined ? 1 : Number(digits);
  if (name === '' && digits !== undefined) return { kind: 'step', step: count };

  const duration = durationMs.find(([known]) => known === name);
  if (duration) return { kind: 'duration', ms: count * duration[1] };
  const months = monthly.find(([known]) => known === name);
  if (months) return { kind: 'month', months: count * months[1], at: months[2] };

  throw new NeuroDivergentError('ND_DATA_FREQUENCY_UNKNOWN', {
    where: 'frequency',
    what: `“${text}” is no frequency.`,
    mend: 'Use s, min, h, D, W, MS, ME, QS, QE, YS or YE, a multiple such as 5min, or an integer for a plain index.',
  });
}

/** The shortest text that `parseFrequency` reads back as the same frequency. */
export function formatFrequency(frequency: Frequency): string {
  if (frequency.kind === 'step') return String(frequency.step);
  const [name, count] =
    frequency.kind === 'duration'
      ? divide(durationMs, frequency.ms)
      : divide(
          monthly.filter(([, , at]) => at === frequency.at),
          frequency.months,
        );
  return count === 1 ? name : `${count}${name}`;
}

function divide(
  units: readonly (readonly [string, number, ...unknown[]])[],
  length: number,
): [name: string, count: number] {
  const [name, size] = units.find(([, unit]) => length % unit === 0)!; // the last unit is 1
  return [name, length / size];
}

const monthIndex = (date: Date): number => date.getUTCFullYear() * 12 + date.getUTCMonth();
const timeOfDay = (timeMs: number): number => ((timeMs % DAY_MS) + DAY_MS) % DAY_MS;

/** The time `steps` points after `time` (before, when negative). */
export function addSteps(time: number, frequency: Frequency, steps: number): number {
  if (frequency.kind === 'duration') return time + steps * frequency.ms;
  if (frequency.kind === 'step') return time + steps * frequency.step;
  const month = monthIndex(new Date(time)) + steps * frequency.months;
  const year = Math.floor(month / 12);
  const day = frequency.at === 'start' ? 1 : daysInMonth(year, month - year * 12 + 1);
  return Date.UTC(year, month - year * 12, day) + timeOfDay(time);
}

/** How many points lie between two times; not a whole number when `to` is off the grid that starts at `from`. */
export function stepsBetween(from: number, to: number, frequency: Frequency): number {
  if (frequency.kind === 'duration') return (to - from) / frequency.ms;
  if (frequency.kind === 'step') return (to - from) / frequency.step;
  const steps = (monthIndex(new Date(to)) - monthIndex(new Date(from))) / frequency.months;
  return Number.isInteger(steps) && addSteps(from, frequency, steps) === to ? steps : steps + 0.5;
}

/**
 * Start of the bucket that holds `time`. Buckets are aligned to the epoch, weeks to Monday, so that the workstation and
 * a device cut the same buckets without talking. A month-end bucket is named by its last day.
 */
export function bucketStart(time: number, frequency: Frequency): number {
  if (frequency.kind !== 'month') {
    const length = frequency.kind === 'duration' ? frequency.ms : frequency.step;
    const offset = frequency.kind === 'duration' && length % WEEK_MS === 0 ? FIRST_MONDAY_MS : 0;
    return Math.floor((time - offset) / length) * length + offset;
  }
  const first = Math.floor(monthIndex(new Date(time)) / frequency.months) * frequency.months;
  if (frequency.at === 'start') return Date.UTC(Math.floor(first / 12), first % 12, 1);
  const last = first + frequency.months - 1;
  return Date.UTC(Math.floor(last / 12), last % 12, daysInMonth(Math.floor(last / 12), (last % 12) + 1));
}

/** Period of a fixed-duration frequency, in ms; undefined for months and plain steps. */
export function periodMs(frequency: Frequency): number | undefined {
  return frequency.kind === 'duration' ? frequency.ms : undefined;
}

/** The seasons the calendar suggests, in steps, shortest first: hour, day and week, or the year of months. */
export function naturalSeasons(frequency: Frequency): number[] {
  if (frequency.kind === 'step') return [];
  const seasons =
    frequency.kind === 'month' ? [12 / frequency.months] : [3_600_000, DAY_MS, WEEK_MS].map((ms) => ms / frequency.ms);
  return seasons.filter((steps) => steps >= 2 && Number.isInteger(steps));
}

/**
 * Guesses the frequency of a time axis from the most common distance between neighbours. `offsets` cuts `time` into
 * series, each ascending without repeats. Returns undefined when no distance, and no month, makes up half of them.
 */
export function inferFrequency(
  time: Float64Array,
  offsets: ArrayLike<number>,
  axis: 'time' | 'index',
): Frequency | undefined {
  const counts = new Map<number, number>();
  let total = 0;
  for (let s = 0; s + 1 < offsets.length; s++) {
    for (let i = offsets[s]! + 1; i < offsets[s + 1]!; i++) {
      const distance = time[i]! - time[i - 1]!;
      counts.set(distance, (counts.get(distance) ?? 0) + 1);
      total++;
    }
  }
  if (total === 0) return undefined;
  const [distance, count] = [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best));
  if (axis === 'index') return count * 2 >= total ? { kind: 'step', step: distance } : undefined;
  if (distance >= 28 * DAY_MS)
    return inferMonths(time) ?? (count * 2 >= total ? { kind: 'duration', ms: distance } : undefined);
  return count * 2 >= total ? { kind: 'duration', ms: distance } : undefined;
}

/** Months when every time is a first (or last) day of a month; the step is the greatest one that reaches them all. */
function inferMonths(time: Float64Array): Frequency | undefined {
  const dates = Array.from(time, (ms) => new Date(ms));
  const isLastDay = (date: Date): boolean =>
    date.getUTCDate() === daysInMonth(date.getUTCFullYear(), date.getUTCMonth() + 1);
  const at = dates.every((date) => date.getUTCDate() === 1) ? 'start' : dates.every(isLastDay) ? 'end' : undefined;
  if (at === undefined) return undefined;
  const first = monthIndex(dates[0]!);
  const months = dates.reduce((common, date) => greatestDivisor(common, Math.abs(monthIndex(date) - first)), 0);
  return months === 0 ? undefined : { kind: 'month', months, at };
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}
