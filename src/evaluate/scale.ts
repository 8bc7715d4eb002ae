/** Axes: from values to places, and the round values worth a label. Times are labelled in UTC. */

export type ScaleKind = 'linear' | 'log' | 'time';

export interface Tick {
  readonly value: number;
  readonly label: string;
}

export interface Scale {
  readonly kind: ScaleKind;
  readonly min: number;
  readonly max: number;
  /** 0 at `min`, 1 at `max`. */
  readonly place: (value: number) => number;
  readonly ticks: readonly Tick[];
}

/** A scale from `min` to `max` with about `count` labels. A log scale needs `min > 0`. */
export function createScale(kind: ScaleKind, min: number, max: number, count: number): Scale {
  const span = kind === 'log' ? Math.log10(max / min) : max - min;
  const place = (value: number): number =>
    span === 0 ? 0.5 : (kind === 'log' ? Math.log10(value / min) : value - min) / span;
  const ticks = ticksOf[kind](min, max, count).filter(({ value }) => value >= min && value <= max);
  return { kind, min, max, place, ticks };
}

const ticksOf: Readonly<Record<ScaleKind, (min: number, max: number, count: number) => Tick[]>> = {
  linear: linearTicks,
  log: logTicks,
  time: timeTicks,
};

/** The smallest of 1, 2, 5 times a power of ten that is at least `length`. */
function roundStep(length: number): number {
  const power = 10 ** Math.floor(Math.log10(length));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= length * (1 - 1e-9))!;
}

function linearTicks(min: number, max: number, count: number): Tick[] {
  if (max <= min) return [{ value: min, label: String(Number(min.toPrecision(4))) }];
  const step = roundStep((max - min) / count);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const first = Math.ceil(min / step - 1e-9);
  return Array.from({ length: Math.floor(max / step + 1e-9) - first + 1 }, (_, i) => {
    const value = Number(((first + i) * step).toFixed(Math.min(digits, 20)));
    return { value, label: Math.abs(value) >= 1e6 ? value.toExponential(1) : value.toFixed(Math.min(digits, 6)) };
  });
}

function logTicks(min: number, max: number): Tick[] {
  const from = Math.floor(Math.log10(min));
  const to = Math.ceil(Math.log10(max));
  const factors = to - from <= 3 ? [1, 2, 5] : [1];
  const powers = Array.from({ length: to - from + 1 }, (_, i) => from + i);
  return powers.flatMap((power) =>
    factors.map((factor) => {
      const value = Number(`${factor}e${power}`);
      return { value, label: power < -4 || power > 5 ? `${factor}e${power}` : String(value) };
    }),
  );
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS_MS = [
  1000,
  5000,
  15_000,
  30_000,
  MINUTE,
  5 * MINUTE,
  15 * MINUTE,
  30 * MINUTE,
  HOUR,
  3 * HOUR,
  6 * HOUR,
  12 * HOUR,
  DAY,
  2 * DAY,
  7 * DAY,
  14 * DAY,
] as const;
const STEPS_MONTHS = [1, 2, 3, 6, 12, 24, 60, 120] as const;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;

function timeTicks(min: number, max: number, count: number): Tick[] {
  const wanted = (max - min) / count;
  const step = STEPS_MS.find((ms) => ms >= wanted);
  if (step !== undefined) {
    const first = Math.ceil(min / step);
    return Array.from({ length: Math.floor(max / step) - first + 1 }, (_, i) => ({
      value: (first + i) * step,
      label: timeLabel((first + i) * step, step),
    }));
  }
  const months = STEPS_MONTHS.find((n) => n * 30 * DAY >= wanted) ?? 120;
  const start = new Date(min);
  const first = Math.ceil((start.getUTCFullYear() * 12 + start.getUTCMonth()) / months) * months;
  return Array.from({ length: Math.ceil((max - min) / (months * 28 * DAY)) + 1 }, (_, i) => {
    const month = first + i * months;
    const date = new Date(Date.UTC(Math.floor(month / 12), month % 12));
    return {
      value: date.getTime(),
      label:
        months % 12 === 0 ? String(date.getUTCFullYear()) : `${MONTHS[date.getUTCMonth()]!} ${date.getUTCFullYear()}`,
    };
  });
}

function timeLabel(timeMs: number, step: number): string {
  const date = new Date(timeMs);
  const day = `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]!}`;
  if (step >= DAY || (timeMs % DAY === 0 && step >= HOUR)) return day;
  return date.toISOString().slice(11, step < MINUTE ? 19 : 16);
}
