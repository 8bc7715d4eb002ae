/**
 * What is plain to see, as alerts of kinds of their own: a sensor that sticks, jumps, leaves its range or falls silent
 * (EDGE.md §4), and a forecast that crosses a level. No chance is involved: a fact holds or it does not.
 */
import type { StreamSettings } from '../contracts/config.js';
import type { AlertPayload } from '../contracts/payload.js';
import { judge, newWatch } from './anomaly.js';
import type { AlertRules, Subject, Watch } from './anomaly.js';
import type { Forecast } from './forecaster.js';

export const conditionKinds = [
  'sensor_range',
  'sensor_rate',
  'sensor_stuck',
  'sensor_dropout',
  'level',
  'disk_full',
  'overload',
] as const;
export type ConditionKind = (typeof conditionKinds)[number];

export interface Condition {
  readonly kind: ConditionKind;
  readonly subject: Subject;
  readonly watch: Watch;
  /** `fact` is a sentence while the condition holds. */
  observe(timeMs: number, value: number, fact: string | undefined): AlertPayload | undefined;
}

/** Opens with the first bucket or reading that shows it, ends with the first that does not. */
const plainRules: Omit<AlertRules, 'flapping'> = {
  threshold: 0.5,
  openCount: 1,
  openWindow: 1,
  clearThreshold: 0.5,
  clearCount: 1,
  cooldownMs: 0,
  repeatMs: 21_600_000,
  severity: { info: 1, warning: 1, critical: 0 },
};

export function createCondition(
  kind: ConditionKind,
  subject: Subject,
  stored: Watch | undefined,
  flapping: AlertRules['flapping'] = null,
): Condition {
  const rules = { ...plainRules, flapping };
  let watch: Watch = stored ?? { ...newWatch, state: 'normal' };
  return {
    kind,
    subject,
    get watch() {
      return watch;
    },
    observe(timeMs, value, fact) {
      if (fact === undefined && watch.state === 'normal') return undefined;
      const verdict = {
        p: fact === undefined ? 1 : 0,
        sentence: fact ?? '',
        expected: null,
        lo: null,
        hi: null,
        score: null,
      };
      const judged = judge(watch, { timeMs, value, verdict, ready: true }, rules, subject);
      watch = judged.watch;
      return judged.alert;
    },
  };
}

/** The last reading of a stream, and how many in a row had its value. */
export interface LastReading {
  readonly timeMs: number;
  readonly value: number;
  readonly same: number;
}

/** What a reading says of its sensor: the faults that hold, each as a sentence. */
export function inspectReading(
  last: LastReading | undefined,
  timeMs: number,
  value: number,
  { maxRate, stuckCount }: StreamSettings,
): { readonly last: LastReading; readonly sensor_rate: string | undefined; readonly sensor_stuck: string | undefined } {
  const same = last?.value === value ? last.same + 1 : 1;
  const seconds = last === undefined ? 0 : (timeMs - last.timeMs) / 1000;
  const rate = seconds > 0 ? Math.abs(value - last!.value) / seconds : 0;
  return {
    last: { timeMs, value, same },
    sensor_rate:
      maxRate !== null && rate > maxRate
        ? `changed by ${brief(rate)} a second, more than ${brief(maxRate)}`
        : undefined,
    sensor_stuck:
      stuckCount !== null && same >= stuckCount ? `${brief(value)} in ${same} readings one after the other` : undefined,
  };
}

/** The first time a forecast leaves the levels, in words; undefined when it stays within. */
export function crossing(
  { p50 }: Pick<Forecast, 'p50'>,
  cadenceMs: number,
  { above, below }: { readonly above: number | null; readonly below: number | null },
  unit: string | null,
): string | undefined {
  const limits = [
    { limit: above, verb: 'rise above', crossed: (value: number, limit: number) => value > limit },
    { limit: below, verb: 'fall below', crossed: (value: number, limit: number) => value < limit },
  ];
  for (const [step, value] of p50.entries())
    for (const { limit, verb, crossed } of limits)
      if (limit !== null && crossed(value, limit))
        return `will ${verb} ${brief(limit)}${unit === null ? '' : ` ${unit}`} in ${duration((step + 1) * cadenceMs)}`;
  return undefined;
}

const brief = (value: number): string => String(Number(value.toPrecision(4)));

export function duration(ms: number): string {
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  return ms < 7_200_000 ? `${Math.round(ms / 60_000)} min` : `${brief(ms / 3_600_000)} h`;
}
