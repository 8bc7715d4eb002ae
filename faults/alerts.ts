/** A3: random traces of p-values, silences, restarts and model changes through the alert state machine; every rule of EDGE.md §6 is checked on what comes out. */
import { alertPayload, severities } from '../src/contracts/payload.js';
import type { AlertPayload } from '../src/contracts/payload.js';
import { wireText } from '../src/contracts/wire.js';
import { endAlert, judge, newWatch } from '../src/runtime/anomaly.js';
import type { AlertRules, Observation, Subject, Watch } from '../src/runtime/anomaly.js';
import { eachTrial } from './row.js';
import type { FaultRow, Random } from './row.js';

const MINUTE = 60_000;
const BUCKETS = 200;

/** One bucket of a trace: `p` undefined while nothing was expected of it. */
interface Bucket {
  readonly timeMs: number;
  readonly p: number | undefined;
  readonly ready: boolean;
}

export const alertTraces: FaultRow = {
  id: 'A3',
  what: 'random traces through the alert state machine, with restarts, silences and model changes',
  counts: 'violations',
  trials: { C: 5000, N: 100_000 },
  run: eachTrial('A3', (random) => {
    const rules = makeRules(random);
    const judged: Bucket[] = []; // since warming, the opening or the end of an alert
    const told: AlertPayload[] = [];
    let watch: Watch = newWatch;
    let ids = 0;
    const subject = { key: 'd/s/anomaly', stream: 's', detector: 'conformal', model: 'm@1', newId: () => `id${ids++}` };

    const trace = makeTrace(random);
    for (const bucket of trace) {
      if (random.chance(0.02)) watch = restart(watch);
      if (random.chance(0.01)) {
        const ended = endAlert(watch, random.pick(['stale', 'superseded']), bucket.timeMs, 'over', rules);
        const wrong = tell(told, ended.alert);
        if (wrong !== undefined) return wrong;
        if (ended.alert !== undefined) judged.length = 0;
        watch = ended.watch;
      }
      const before = told.at(-1);
      const { alert, watch: next } = judgeBucket(watch, bucket, rules, subject);
      judged.push(bucket);
      const now = rulesAt(rules, told, bucket.timeMs);
      const { cooldownMs } = rulesAt(rules, told, before?.ended ?? 0); // that of its end stands
      const wrong =
        tell(told, alert) ?? broken({ rules: { ...now, cooldownMs }, bucket, judged, before, alert, watch });
      if (wrong !== undefined) return `${wrong} at bucket ${bucket.timeMs / MINUTE} with ${JSON.stringify(rules)}`;
      if (alert?.event === 'opened' || (alert !== undefined && alert.ended !== null) || watch.state === 'warming')
        judged.length = 0;
      watch = next;
    }
    const { alert, watch: end } = endAlert(watch, 'stale', trace.at(-1)!.timeMs, 'the trace ends', rules);
    const wrong = tell(told, alert);
    if (wrong !== undefined) return wrong;
    const opened = told.filter(({ event }) => event === 'opened').length;
    const ended = told.filter((each) => each.ended !== null).length;
    return opened === ended && end.alert === undefined ? undefined : `${opened} alerts opened, ${ended} ended`;
  }),
};

function makeRules(random: Random): AlertRules {
  const openWindow = random.int(1, 6);
  return {
    threshold: random.pick([1e-3, 1e-2]),
    openCount: random.int(1, openWindow),
    openWindow,
    clearThreshold: random.pick([0.01, 0.05]),
    clearCount: random.int(1, 6),
    cooldownMs: random.int(0, 20) * MINUTE,
    repeatMs: random.pick([0, 10, 60]) * MINUTE,
    severity: { info: 1e-2, warning: 1e-3, critical: 1e-4 },
    flapping: random.pick([
      null,
      { opens: random.int(1, 4), withinMs: random.int(20, 200) * MINUTE, quietMs: random.int(10, 120) * MINUTE },
    ]),
  };
}

/** Calm and rough spells, with holes in time. */
function makeTrace(random: Random): Bucket[] {
  const readyFrom = random.int(0, 30);
  const trace: Bucket[] = [];
  let rough = false;
  let step = 0;
  for (let i = 0; i < BUCKETS; i++) {
    if (random.chance(0.08)) rough = !rough;
    step += random.chance(0.03) ? random.int(2, 10) : 1;
    const p = random.chance(0.05) ? undefined : rough ? 10 ** -(random() * 6) : random();
    trace.push({ timeMs: step * MINUTE, p, ready: i >= readyFrom });
  }
  return trace;
}

function judgeBucket(watch: Watch, { timeMs, p, ready }: Bucket, rules: AlertRules, subject: Subject) {
  const verdict = p === undefined ? undefined : { p, expected: 0, lo: -1, hi: 1, score: 1, sentence: 'odd' };
  const observation: Observation = { timeMs, value: 1, ready, verdict };
  return judge(watch, observation, rules, subject);
}

/** A watch is plain data: what a restart reads back is what was stored. */
const restart = (watch: Watch): Watch => JSON.parse(JSON.stringify(watch)) as Watch;

/** Takes a message into the list; says what is wrong with it after those before. */
function tell(told: AlertPayload[], alert: AlertPayload | undefined): string | undefined {
  if (alert === undefined) return undefined;
  const last = told.at(-1);
  const open = last !== undefined && last.ended === null ? last : undefined;
  told.push(alert);
  wireText(alertPayload, alert); // throws when it breaks its own schema
  const rank = ({ severity }: AlertPayload): number => severities.indexOf(severity);
  const rules: readonly (readonly [what: string, holds: boolean])[] = [
    ['opened while one is open', (alert.event === 'opened') === (open === undefined)],
    ['an id lives from opened to its end', open === undefined || alert.id === open.id],
    ['an id is used once', open !== undefined || told.slice(0, -1).every(({ id }) => id !== alert.id)],
    ['seq rises by one, from one', alert.seq === (open?.seq ?? 0) + 1],
    ['firing until its end', (alert.state === 'firing') === (alert.ended === null)],
    ['severity never falls', open === undefined || rank(alert) >= rank(open)],
    ['the start stays', open === undefined || alert.started === open.started],
    ['ends after it starts', alert.ended === null || alert.ended >= alert.started],
  ];
  const wrong = rules.find(([, holds]) => !holds);
  return wrong && `${alert.event}: not so: ${wrong[0]}`;
}

interface Judged {
  readonly rules: AlertRules;
  readonly bucket: Bucket;
  /** Since warming, the opening or the end of an alert; this one included. */
  readonly judged: readonly Bucket[];
  /** What was last said. */
  readonly before: AlertPayload | undefined;
  readonly alert: AlertPayload | undefined;
  /** Before the bucket. */
  readonly watch: Watch;
}

/** What is asked of a bucket, by what was told before it: twice as much while the alert flaps. */
function rulesAt(rules: AlertRules, told: readonly AlertPayload[], timeMs: number): AlertRules {
  if (rules.flapping === null) return rules;
  const { opens, withinMs, quietMs } = rules.flapping;
  const opened = told.flatMap(({ event, started }, i) => (event === 'opened' ? [{ started, i }] : []));
  const often = opened.findLast(
    ({ started }, k) => opened.filter((each, j) => j <= k && each.started > started - withinMs).length > opens,
  );
  // Since it was too often: each pause between an end and the next opening, which may be in the same bucket, or now.
  const calm = told.some(({ ended }, i) => {
    const next = opened.find((each) => each.i > i)?.started ?? timeMs;
    return often !== undefined && i > often.i && ended !== null && next - ended >= quietMs;
  });
  if (often === undefined || calm) return rules;
  const { openCount, openWindow, cooldownMs } = rules;
  return { ...rules, openCount: 2 * openCount, openWindow: 2 * openWindow, cooldownMs: 2 * cooldownMs };
}

/** When must, and when must not, a bucket open, repeat or end? Worked out from the trace alone. */
function broken({ rules, bucket, judged, before, alert, watch }: Judged): string | undefined {
  const endedMs = before?.ended ?? -Infinity;
  const quietUntilMs = endedMs + rules.cooldownMs;
  const exceeds = ({ p, timeMs }: Bucket): boolean => p !== undefined && p < rules.threshold && timeMs >= quietUntilMs;
  const calm = ({ p }: Bucket): boolean => p !== undefined && p > rules.clearThreshold;
  const open = before !== undefined && before.ended === null;
  const enough = exceeds(bucket) && judged.slice(-rules.openWindow).filter(exceeds).length >= rules.openCount;
  const cleared = judged.length >= rules.clearCount && judged.slice(-rules.clearCount).every(calm);
  if (watch.state === 'warming') return alert === undefined ? undefined : `${alert.event} while warming`;
  if (!open) {
    if (alert?.event === 'opened') return enough ? undefined : 'opened without cause';
    return enough ? 'not opened' : undefined;
  }
  if ((alert?.event === 'resolved') !== cleared) return cleared ? 'not resolved' : 'resolved too soon';
  return undefined;
}
