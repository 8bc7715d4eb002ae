/**
 * From p-values to alerts (EDGE.md §6). `judge` is pure: state and bucket in, new state and at most one alert out.
 * All times are event times, so that a replayed recording raises the alerts the live stream would have raised.
 */
import type { AlertEvent, AlertPayload, AlertState, Severity } from '../contracts/payload.js';
import type { Verdict } from './verdict.js';

export interface AlertRules {
  /** Opens below this p-value … */
  readonly threshold: number;
  /** … in `openCount` of the last `openWindow` buckets. */
  readonly openCount: number;
  readonly openWindow: number;
  /** Clears after `clearCount` buckets in a row above this p-value. */
  readonly clearThreshold: number;
  readonly clearCount: number;
  /** After an alert has ended. */
  readonly cooldownMs: number;
  /** While firing; 0 = never. */
  readonly repeatMs: number;
  readonly severity: Readonly<Record<Severity, number>>;
  /** More than `opens` within the time asks for twice the buckets and the cooldown, until quiet for so long; null: never. */
  readonly flapping: { readonly opens: number; readonly withinMs: number; readonly quietMs: number } | null;
}

/** What is remembered between buckets; plain data, stored as JSON. */
export interface Watch {
  readonly state: AlertState;
  /** Which of the last `openWindow` buckets exceeded, oldest first. */
  readonly exceeded: readonly boolean[];
  /** Buckets in a row below the clear level. */
  readonly calm: number;
  readonly quietUntilMs: number;
  /** Event time of the last message about the open alert. */
  readonly toldMs: number;
  /** Event times of the last openings, as far as flapping is worked out from them; none in what older versions stored. */
  readonly opened?: readonly number[];
  /** It has opened too often. */
  readonly flapping?: boolean;
  /** Event time at which the last alert ended. */
  readonly endedMs?: number;
  readonly alert: AlertPayload | undefined;
}

export const newWatch: Watch = {
  state: 'warming',
  exceeded: [],
  calm: 0,
  quietUntilMs: 0,
  toldMs: 0,
  alert: undefined,
};

export interface Observation {
  /** Start of the bucket. */
  readonly timeMs: number;
  readonly value: number;
  /** Undefined while nothing was expected of this bucket. */
  readonly verdict: Verdict | undefined;
  /** Enough seen for a verdict? */
  readonly ready: boolean;
}

/** Names that go into an alert. */
export interface Subject {
  readonly key: string;
  readonly stream: string;
  readonly detector: string;
  /** `name@release`; empty for a detector without a model. */
  readonly model: string;
  /** A new id for each alert. */
  readonly newId: () => string;
}

/** What a bucket says, in the words of the table below. */
interface Facts {
  readonly ready: boolean;
  readonly enough: boolean;
  readonly any: boolean;
  readonly cleared: boolean;
  readonly worse: boolean;
  readonly due: boolean;
}

type Row = readonly [state: AlertState, when: keyof Facts | 'not any', next: AlertState, event: AlertEvent | undefined];

/** The first row that holds is taken; none = the state stays. */
export const alertTable: readonly Row[] = [
  ['warming', 'ready', 'normal', undefined],
  ['normal', 'enough', 'firing', 'opened'],
  ['normal', 'any', 'pending', undefined],
  ['pending', 'enough', 'firing', 'opened'],
  ['pending', 'not any', 'normal', undefined],
  ['firing', 'cleared', 'normal', 'resolved'],
  ['firing', 'worse', 'firing', 'updated'],
  ['firing', 'due', 'firing', 'updated'],
];

const grades: readonly Severity[] = ['info', 'warning', 'critical'];

/** The gravest severity whose limit lies above p. */
export function severityOf(p: number, limits: AlertRules['severity']): Severity {
  return grades.findLast((grade) => p < limits[grade]) ?? 'info';
}

export interface Judgement {
  readonly watch: Watch;
  /** To be published when something changed that people should know. */
  readonly alert: AlertPayload | undefined;
}

export function judge(
  before: Watch,
  { timeMs, value, verdict, ready }: Observation,
  settings: AlertRules,
  subject: Subject,
): Judgement {
  const watch = calmDown(before, timeMs, settings);
  const rules = rulesNow(watch, settings);
  const quiet = timeMs < watch.quietUntilMs;
  const exceeds = !quiet && verdict !== undefined && verdict.p < rules.threshold;
  const exceeded = [...watch.exceeded, exceeds].slice(-rules.openWindow);
  const calm = verdict !== undefined && verdict.p > rules.clearThreshold ? watch.calm + 1 : 0;
  const severity = verdict === undefined ? 'info' : severityOf(verdict.p, rules.severity);
  const count = exceeded.filter(Boolean).length;
  const facts: Facts = {
    ready,
    enough: exceeds && count >= rules.openCount,
    any: count > 0,
    cleared: calm >= rules.clearCount,
    worse: watch.alert !== undefined && grades.indexOf(severity) > grades.indexOf(watch.alert.severity),
    due: rules.repeatMs > 0 && timeMs - watch.toldMs >= rules.repeatMs,
  };
  const row = alertTable.find(
    ([state, when]) => state === watch.state && (when === 'not any' ? !facts.any : facts[when]),
  );
  const next = { ...watch, state: row?.[2] ?? watch.state, exceeded: watch.state === 'warming' ? [] : exceeded, calm };

  switch (row?.[3]) {
    case 'opened': {
      const often = noteOpening(watch, timeMs, settings);
      const alert = describe({
        timeMs,
        value,
        verdict: verdict!,
        rules,
        subject,
        severity,
        flapping: often.flapping,
        reason: [
          verdict!.sentence,
          ...(exceeded.length === 1 ? [] : [`unusual in ${count} of the last ${exceeded.length} buckets`]),
          ...(often.flapping ? ['flapping: it opened often lately, and asks for more than usual'] : []),
        ].join('; '),
      });
      return { watch: { ...next, ...often, calm: 0, toldMs: timeMs, alert }, alert };
    }
    case 'updated': {
      const rose = facts.worse ? `now ${severity}: ` : 'still firing: ';
      const alert = update(
        watch.alert!,
        value,
        verdict,
        facts.worse ? severity : watch.alert!.severity,
        rose + (verdict?.sentence ?? 'no verdict on this bucket'),
      );
      return { watch: { ...next, toldMs: timeMs, alert }, alert };
    }
    case 'resolved': {
      const reason =
        rules.clearCount === 1
          ? 'as expected again'
          : `${rules.clearCount} buckets in a row as expected (p above ${rules.clearThreshold})`;
      return endWith(
        next,
        update(watch.alert!, value, verdict, watch.alert!.severity, reason),
        'resolved',
        timeMs,
        rules,
      );
    }
    default:
      return { watch: next, alert: undefined };
  }
}

/** Twice as much is asked of an alert that flaps. */
function rulesNow({ flapping }: Watch, rules: AlertRules): AlertRules {
  if (flapping !== true) return rules;
  const { openCount, openWindow, cooldownMs } = rules;
  return { ...rules, openCount: 2 * openCount, openWindow: 2 * openWindow, cooldownMs: 2 * cooldownMs };
}

function noteOpening(
  watch: Watch,
  timeMs: number,
  { flapping }: AlertRules,
): Required<Pick<Watch, 'opened' | 'flapping'>> {
  if (flapping === null) return { opened: [], flapping: false };
  const since = timeMs - flapping.withinMs;
  const opened = [...(watch.opened ?? []), timeMs].filter((at) => at > since).slice(-flapping.opens - 1);
  return { opened, flapping: watch.flapping === true || opened.length > flapping.opens };
}

/** It no longer flaps when none was open for long enough. */
function calmDown(watch: Watch, timeMs: number, { flapping }: AlertRules): Watch {
  if (watch.flapping !== true) return watch;
  const over = flapping === null || (watch.alert === undefined && timeMs - watch.endedMs! >= flapping.quietMs);
  return over ? { ...watch, flapping: false } : watch;
}

/** Ends an open alert for another reason than calm: no data (`stale`), or another model (`superseded`). */
export function endAlert(
  watch: Watch,
  event: 'stale' | 'superseded',
  timeMs: number,
  reason: string,
  rules: AlertRules,
): Judgement {
  if (watch.alert === undefined) return { watch, alert: undefined };
  return endWith(watch, { ...watch.alert, seq: watch.alert.seq + 1, reason }, event, timeMs, rulesNow(watch, rules));
}

function endWith(watch: Watch, last: AlertPayload, event: AlertEvent, timeMs: number, rules: AlertRules): Judgement {
  const alert: AlertPayload = { ...last, state: 'normal', event, ended: timeMs };
  return {
    watch: {
      ...watch,
      state: 'normal',
      exceeded: [],
      calm: 0,
      quietUntilMs: timeMs + rules.cooldownMs,
      endedMs: timeMs,
      alert: undefined,
    },
    alert,
  };
}

interface Opening {
  readonly timeMs: number;
  readonly value: number;
  readonly verdict: Verdict;
  readonly rules: AlertRules;
  readonly subject: Subject;
  readonly severity: Severity;
  readonly flapping: boolean;
  readonly reason: string;
}

function describe({ timeMs, value, verdict, rules, subject, severity, flapping, reason }: Opening): AlertPayload {
  return {
    v: 1,
    id: subject.newId(),
    key: subject.key,
    detector: subject.detector,
    state: 'firing',
    event: 'opened',
    seq: 1,
    severity,
    started: timeMs,
    ended: null,
    ...seen(value, verdict),
    threshold: rules.threshold,
    channel: verdict.channel ?? subject.stream,
    reason,
    model: subject.model,
    ...(flapping && { flapping }),
    suppressed: 0,
  };
}

function update(
  alert: AlertPayload,
  value: number,
  verdict: Verdict | undefined,
  severity: Severity,
  reason: string,
): AlertPayload {
  return {
    ...alert,
    ...(verdict === undefined ? { value } : seen(value, verdict)),
    event: 'updated',
    seq: alert.seq + 1,
    severity,
    reason,
  };
}

const seen = (value: number, { expected, lo, hi, score, p }: Verdict) => ({ value, expected, lo, hi, score, p });
