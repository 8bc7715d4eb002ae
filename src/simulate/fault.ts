/**
 * What goes wrong with sensors, as a table. One occurrence of a fault has a stretch of consecutive readings for itself, so that
 * faults do not mix and every count is exact.
 */
import { NeuroDivergentError } from '../errors.js';

export type FaultName =
  'late' | 'duplicate' | 'gap' | 'out-of-order' | 'clock-step' | 'drift' | 'stuck' | 'spike' | 'outage';

/** One reading of one sensor, on its way. */
export interface Reading {
  /** Number of the reading in its sensor, from 0. */
  readonly seq: number;
  /** When it leaves, milliseconds UTC. */
  readonly atMs: number;
  /** The time that it carries, milliseconds UTC. */
  readonly timeMs: number;
  /** Sensor units. */
  readonly value: number;
  /** What it suffers, if anything. */
  readonly fault: FaultName | null;
  /** It never leaves. */
  readonly lost: boolean;
}

export interface Draws {
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Standard deviation of the recording, sensor units. */
  readonly spread: number;
  readonly stepMs: number;
}

export interface Fault {
  readonly what: string;
  /** Share of the readings that are hit when no other is asked for. */
  readonly usual: number;
  /** Readings of one occurrence: least and most. */
  readonly length: readonly [least: number, most: number];
  /** Of so many readings, how many are hit. */
  readonly hits: (length: number) => number;
  /** All sensors of a device suffer it at once. */
  readonly wholeDevice?: true;
  /** The stretch as it leaves, in order; what is hit is marked. */
  readonly apply: (stretch: readonly Reading[], draws: Draws) => readonly Reading[];
}

/** Readings that come in time before a clock falls behind: a device has closed their buckets by then. */
const LEAD = 6;

const all = (length: number): number => length;
const one = (): number => 1;

export const faults: Readonly<Record<FaultName, Fault>> = {
  late: {
    what: 'sent after the next 6 to 12 readings',
    usual: 0.01,
    length: [7, 13],
    hits: one,
    apply: ([first, ...rest]) => [...rest, { ...first!, atMs: rest.at(-1)!.atMs, fault: 'late' }],
  },
  duplicate: {
    what: 'sent again, at once or up to 3 readings later',
    usual: 0.02,
    length: [1, 4],
    hits: one,
    apply: (stretch) => [...stretch, { ...stretch[0]!, atMs: stretch.at(-1)!.atMs, fault: 'duplicate' }],
  },
  gap: {
    what: 'up to 12 readings of a sensor are lost',
    usual: 0.01,
    length: [1, 12],
    hits: all,
    apply: (stretch) => stretch.map((reading) => ({ ...reading, fault: 'gap', lost: true })),
  },
  'out-of-order': {
    what: 'overtaken by the next reading',
    usual: 0.01,
    length: [2, 2],
    hits: one,
    apply: ([first, second]) => [second!, { ...first!, atMs: second!.atMs, fault: 'out-of-order' }],
  },
  'clock-step': {
    what: 'the clock of the sensor is behind, by more than the stretch lasts, for 1 to 12 readings',
    usual: 0.005,
    length: [LEAD + 1, LEAD + 12],
    hits: (length) => length - LEAD,
    apply(stretch, { random, stepMs }) {
      // Between two steps, so that no time is one that has been sent.
      const behindMs = Math.round((stretch.length + 0.1 + 0.8 * random()) * stepMs);
      return stretch.map((reading, i) =>
        i < LEAD ? reading : { ...reading, timeMs: reading.timeMs - behindMs, fault: 'clock-step' },
      );
    },
  },
  drift: {
    what: 'leaves the truth by up to 3 standard deviations, over 24 to 96 readings',
    usual: 0.01,
    length: [24, 96],
    hits: all,
    apply(stretch, { random, spread }) {
      const farthest = (1 + 2 * random()) * spread * (random() < 0.5 ? -1 : 1);
      return stretch.map((reading, i) => ({
        ...reading,
        value: reading.value + (farthest * (i + 1)) / stretch.length,
        fault: 'drift',
      }));
    },
  },
  stuck: {
    what: 'says its last value again, for 5 to 23 readings',
    usual: 0.01,
    length: [6, 24],
    hits: (length) => length - 1,
    apply: (stretch) =>
      stretch.map((reading, i) => (i === 0 ? reading : { ...reading, value: stretch[0]!.value, fault: 'stuck' })),
  },
  spike: {
    what: 'one value that is 6 to 12 standard deviations off',
    usual: 0.002,
    length: [1, 1],
    hits: one,
    apply: ([only], { random, spread }) => [
      { ...only!, value: only!.value + (6 + 6 * random()) * spread * (random() < 0.5 ? -1 : 1), fault: 'spike' },
    ],
  },
  outage: {
    what: 'all sensors of a device are silent at once, for 8 to 32 steps',
    usual: 0.01,
    length: [8, 32],
    hits: all,
    wholeDevice: true,
    apply: (stretch) => stretch.map((reading) => ({ ...reading, fault: 'outage', lost: true })),
  },
};

/** Share of the readings that each fault hits; what is not named does not occur. */
export type Rates = Readonly<Partial<Record<FaultName, number>>>;

const names = Object.keys(faults) as FaultName[];

/**
 * `late:0.01,gap` or `all`: names with shares, the usual ones where none is given; later words win.
 * Throws `ND_CONFIG_OUT_OF_RANGE` for an unknown name, a share outside of [0, 1), and shares that do not fit together.
 */
export function parseFaults(text: string): Rates {
  const rates: Partial<Record<FaultName, number>> = {};
  for (const word of text.split(',').filter((part) => part.trim() !== '')) {
    const [name, share, ...more] = word.trim().split(':');
    const chosen = name === 'all' ? names : names.filter((known) => known === name);
    if (chosen.length === 0) throw refused(word, `There is no fault ${name}`);
    if (more.length > 0 || share?.trim() === '' || !(Number(share ?? 0) >= 0 && Number(share ?? 0) < 1))
      throw refused(word, 'The share is no number from 0 up to 1');
    for (const each of chosen) rates[each] = share === undefined ? faults[each].usual : Number(share);
  }
  beginnings(rates);
  return rates;
}

/**
 * How probable it is that an occurrence begins at a reading that no other one has, so that the shares come out on average.
 * With p for one fault of mean length L that hits H: of 1 + Σ p (L - 1) readings it hits p H. Throws as `parseFaults`.
 */
export function beginnings(rates: Rates): ReadonlyMap<FaultName, number> {
  const own = names
    .filter((name) => !faults[name].wholeDevice && (rates[name] ?? 0) > 0)
    .map((name) => {
      const length = (faults[name].length[0] + faults[name].length[1]) / 2;
      return { name, share: rates[name]! / faults[name].hits(length), length };
    });
  const reserved = own.reduce((sum, { share, length }) => sum + share * (length - 1), 0);
  const scale = 1 / (1 - reserved);
  const total = own.reduce((sum, { share }) => sum + share * scale, 0);
  if (reserved >= 1 || total > 1 || (rates.outage ?? 0) > mostOutage)
    throw refused(JSON.stringify(rates), 'The readings do not suffice for so many faults');
  return new Map(own.map(({ name, share }) => [name, share * scale]));
}

/** Steps within which a device is silent at most once. */
export const outageBlock = 64;
const meanOutage = (faults.outage.length[0] + faults.outage.length[1]) / 2;
const mostOutage = meanOutage / outageBlock;
/** How probable an outage is within a block of steps. */
export const outageChance = (rates: Rates): number => (rates.outage ?? 0) / mostOutage;

const refused = (where: string, what: string): NeuroDivergentError =>
  new NeuroDivergentError('ND_CONFIG_OUT_OF_RANGE', {
    where: `faults: ${where}`,
    what: `${what}.`,
    mend: `Write name:share, with shares that are small, such as late:0.01,gap; names are all, ${names.join(', ')}.`,
  });
