import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { alertPayload } from '../../src/contracts/payload.js';
import { fromWire, toWire } from '../../src/contracts/wire.js';
import { alertTable, endAlert, judge, newWatch, severityOf } from '../../src/runtime/anomaly.js';
import type { AlertRules, Subject, Watch } from '../../src/runtime/anomaly.js';
import { surpriseVerdict } from '../../src/runtime/verdict.js';

const rules: AlertRules = {
  threshold: 0.001,
  openCount: 2,
  openWindow: 3,
  clearThreshold: 0.01,
  clearCount: 3,
  cooldownMs: 120_000,
  repeatMs: 600_000,
  severity: { info: 1e-2, warning: 1e-3, critical: 1e-4 },
  flapping: null,
};
let ids = 0;
const subject: Subject = {
  key: 'pi7/boiler/anomaly',
  stream: 'boiler',
  detector: 'conformal',
  model: 'boiler@1',
  newId: () => `id${++ids}`,
};
const minute = 60_000;

/** Feeds one p-value per minute; null is a bucket nothing was expected of. */
function feed(ps: readonly (number | null)[], start: Watch = newWatch, from = 0, with_: AlertRules = rules) {
  let watch = start;
  const alerts = [];
  for (const [i, p] of ps.entries()) {
    const verdict =
      p === null ? undefined : surpriseVerdict(70, { lead: 4, expected: 60, halfWidth: 2, score: 5, p }, '°C');
    const judged = judge(watch, { timeMs: (from + i) * minute, value: 70, verdict, ready: true }, with_, subject);
    watch = judged.watch;
    if (judged.alert) alerts.push(judged.alert);
  }
  return { watch, alerts };
}
const normal = feed([0.5]).watch;
const firing = feed([5e-4, 5e-4], normal, 1);

describe('each row of the alert table', () => {
  const reached: Record<string, () => Watch['state']> = {
    'warming ready normal': () => feed([0.5]).watch.state,
    'normal enough firing': () => feed([5e-4], normal, 1, { ...rules, openCount: 1 }).watch.state,
    'normal any pending': () => feed([5e-4], normal, 1).watch.state,
    'pending enough firing': () => feed([5e-4, 0.5, 5e-4], normal, 1).watch.state,
    'pending not any normal': () => feed([5e-4, 0.5, 0.5, 0.5], normal, 1).watch.state,
    'firing cleared normal': () => feed([0.5, 0.5, 0.5], firing.watch, 3).watch.state,
    'firing worse firing': () => feed([1e-5], firing.watch, 3).watch.state,
    'firing due firing': () => feed([5e-4], firing.watch, 30).watch.state,
  };
  test.each(alertTable.map(([state, when, next]) => [state, when, next] as const))(
    '%s, %s -> %s',
    (state, when, next) => {
      expect(reached[`${state} ${when} ${next}`]!()).toBe(next);
    },
  );
});

test('nothing is said while warming, however strange the value', () => {
  const judged = judge(
    newWatch,
    {
      timeMs: 0,
      value: 1,
      verdict: surpriseVerdict(1, { lead: 1, expected: 0, halfWidth: 1, score: 9, p: 1e-9 }, null),
      ready: false,
    },
    rules,
    subject,
  );
  expect(judged).toMatchObject({ watch: { state: 'warming', exceeded: [] }, alert: undefined });
});

test('an alert explains itself and keeps its id from opened to resolved, seq rising', () => {
  const [opened] = firing.alerts;
  expect(opened).toMatchObject({
    event: 'opened',
    state: 'firing',
    seq: 1,
    severity: 'warning',
    started: 2 * minute,
    ended: null,
    value: 70,
    expected: 60,
    lo: 58,
    hi: 62,
  });
  expect(opened!.reason).toBe(
    '70 °C is 10 above the 60 expected 4 steps earlier, 5 times the usual error (p 0.00050); unusual in 2 of the last 2 buckets',
  );
  const { alerts } = feed([1e-5, 0.5, null, 0.5, 0.5, 0.5], firing.watch, 3);
  expect(alerts.map(({ id, event, seq, severity, ended }) => [id, event, seq, severity, ended])).toEqual([
    [opened!.id, 'updated', 2, 'critical', null],
    [opened!.id, 'resolved', 3, 'critical', 8 * minute],
  ]);
});

test('severity only rises while firing, and a long alert is repeated', () => {
  const { alerts } = feed([1e-5, 5e-4, ...Array.from({ length: 10 }, () => 0.005), null], firing.watch, 3);
  expect(alerts.map(({ event, severity }) => [event, severity])).toEqual([
    ['updated', 'critical'],
    ['updated', 'critical'],
  ]);
  expect(alerts[1]!.reason).toMatch(/^still firing: /);
  expect(feed([null], firing.watch, 30).alerts[0]!.reason).toBe('still firing: no verdict on this bucket');
});

test('after an alert has ended nothing opens until the cooldown is over', () => {
  const resolved = feed([0.5, 0.5, 0.5], firing.watch, 3).watch;
  expect(feed([1e-6, 1e-6], resolved, 6).alerts).toEqual([]);
  expect(feed([1e-6, 1e-6], resolved, 8).alerts).toHaveLength(1);
});

test('an alert ends as stale or superseded too; without one there is nothing to end', () => {
  expect(endAlert(firing.watch, 'stale', 9 * minute, 'no reading', rules)).toMatchObject({
    watch: { state: 'normal', alert: undefined },
    alert: { event: 'stale', state: 'normal', ended: 9 * minute, seq: 2 },
  });
  expect(endAlert(normal, 'superseded', 9, 'x', rules)).toEqual({ watch: normal, alert: undefined });
});

describe('an alert that opens too often', () => {
  const flapping = { opens: 2, withinMs: 60 * minute, quietMs: 120 * minute };
  const asked = { ...rules, openCount: 1, openWindow: 1, clearCount: 1, cooldownMs: 2 * minute, flapping };
  /** Opens and ends. */
  const blip = [5e-4, 0.5, 0.5, 0.5];

  test('says so, and asks for twice the buckets and the cooldown until it was quiet', () => {
    const { alerts, watch } = feed([...blip, ...blip, ...blip], normal, 0, asked);
    expect(alerts.map(({ event, flapping: flaps }) => [event, flaps])).toEqual([
      ['opened', undefined],
      ['resolved', undefined],
      ['opened', undefined],
      ['resolved', undefined],
      ['opened', true],
      ['resolved', true],
    ]);
    expect(alerts[4]!.reason).toMatch(/; flapping: it opened often lately, and asks for more than usual$/);
    // It ended in minute 9: nothing until minute 13, and then two buckets are asked for.
    const again = feed([5e-4, 5e-4, 5e-4, 0.5, 0.5, 5e-4], watch, 10, asked);
    expect(again.alerts).toEqual([]);
    expect(feed([5e-4, 5e-4], again.watch, 16, asked).alerts).toMatchObject([{ event: 'opened', flapping: true }]);

    const calm = feed([5e-4], JSON.parse(JSON.stringify(watch)) as Watch, 9 + 120, asked);
    expect(calm.alerts).toMatchObject([{ event: 'opened' }]);
    expect(calm.alerts[0]).not.toHaveProperty('flapping');
  });

  test('is one whose openings lie close together', () => {
    const far = [0, 40, 80, 120].flatMap((from) => feed(blip, normal, from, asked).alerts);
    expect(far.every((alert) => alert.flapping === undefined)).toBe(true);
    let watch = normal;
    for (const from of [0, 40, 80, 120]) ({ watch } = feed(blip, watch, from, asked));
    expect(watch).toMatchObject({ flapping: false, opened: [80 * minute, 120 * minute] });
  });

  test('goes on as it was when the setting is taken away', () => {
    const { watch } = feed([...blip, ...blip, ...blip], normal, 0, asked);
    expect(feed([5e-4], watch, 20, { ...asked, flapping: null }).alerts).toMatchObject([{ event: 'opened' }]);
  });

  test('cools down for longer when it is ended from outside too', () => {
    const { watch } = feed([...blip, ...blip, 5e-4], normal, 0, asked);
    expect(endAlert(watch, 'stale', 20 * minute, 'x', asked).watch.quietUntilMs).toBe(24 * minute);
  });
});

test('the gravest severity whose limit lies above p is taken', () => {
  expect([0.5, 5e-3, 5e-4, 5e-5].map((p) => severityOf(p, rules.severity))).toEqual([
    'info',
    'info',
    'warning',
    'critical',
  ]);
});

test('whatever the p-values, alerts open and end in turn, and every payload keeps its contract', () => {
  const p = fc.oneof(
    fc.double({ min: 1e-9, max: 1, noNaN: true }),
    fc.constantFrom(1e-6, 5e-4, 0.5),
    fc.constant(null),
  );
  fc.assert(
    fc.property(fc.array(p, { maxLength: 80 }), (ps) => {
      let open: string | undefined;
      let seq = 0;
      for (const alert of feed(ps).alerts) {
        expect(fromWire(alertPayload, toWire(alertPayload, alert)).ok).toBe(true);
        if (alert.event === 'opened') {
          expect(open).toBeUndefined();
          [open, seq] = [alert.id, 1];
        } else {
          expect([alert.id, alert.seq]).toEqual([open, ++seq]);
          if (alert.event === 'resolved') open = undefined;
        }
      }
    }),
  );
});
