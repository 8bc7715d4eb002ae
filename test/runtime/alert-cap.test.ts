import { expect, test } from 'vitest';
import { parseConfig } from '../../src/contracts/config.js';
import { alertPayload } from '../../src/contracts/payload.js';
import type { AlertEvent, AlertPayload, Severity } from '../../src/contracts/payload.js';
import { wireText } from '../../src/contracts/wire.js';
import { createAlertCap } from '../../src/runtime/alert-cap.js';
import { fakeClock } from './fakes.js';

const configOf = (rate_cap: number | null) =>
  parseConfig(
    { site: 's', device: 'pi7', state_dir: '.', mqtt: { url: 'mqtt://127.0.0.1' }, alerts: { rate_cap } },
    'test',
  );

function world(rateCap: number | null) {
  const clock = fakeClock();
  const kept = new Map<string, Buffer>();
  const store = { get: (key: string) => kept.get(key), put: (key: string, value: string | Buffer) => void kept.set(key, Buffer.from(value)) }; // prettier-ignore
  return { clock, kept, start: () => createAlertCap(configOf(rateCap), store, clock, () => 'new') };
}

const alert = (id: string, event: AlertEvent = 'opened', severity: Severity = 'warning'): AlertPayload => ({
  v: 1,
  id,
  key: `pi7/${id}/anomaly`,
  detector: 'conformal',
  state: event === 'resolved' ? 'normal' : 'firing',
  event,
  seq: 1,
  severity,
  started: 1000,
  ended: event === 'resolved' ? 2000 : null,
  value: 1,
  expected: 1,
  lo: 1,
  hi: 1,
  score: 1,
  p: 1,
  threshold: 1,
  channel: id,
  reason: 'odd',
  model: '',
  suppressed: 0,
});

test('so many openings a minute are told, critical ones always; the others are one summary when the minute is over', async () => {
  const { clock, start } = world(2);
  const cap = start();
  expect(['a', 'b', 'c', 'd'].map((id) => cap.tells(alert(id)))).toEqual([true, true, false, false]);
  expect(cap.tells(alert('e', 'opened', 'critical'))).toBe(true);
  expect(['f', 'g', 'h', 'i'].map((id) => cap.tells(alert(id)))).toEqual([false, false, false, false]);
  expect(cap.summary()).toBeUndefined();
  await clock.advance(60_000);
  const summary = cap.summary()!;
  expect(summary).toMatchObject({ key: 'pi7/device/suppressed', event: 'suppressed', severity: 'warning', suppressed: 6, started: 1000, ended: clock.now() }); // prettier-ignore
  expect(summary.reason).toBe(
    'more than 2 alerts in a minute; not told one by one: pi7/c/anomaly, pi7/d/anomaly, pi7/f/anomaly, pi7/g/anomaly, pi7/h/anomaly and 1 more',
  );
  expect(() => wireText(alertPayload, summary)).not.toThrow();
  expect(cap.summary()).toBeUndefined();
  expect(cap.tells(alert('j'))).toBe(true);
});

test('an alert whose opening was folded is told when it becomes critical, else never, over a restart too', async () => {
  const { clock, start } = world(1);
  const first = start();
  for (const id of ['a', 'b', 'c']) first.tells(alert(id));
  first.remember();
  const cap = start();
  expect(cap.tells(alert('b', 'updated'))).toBe(false);
  expect(cap.tells(alert('b', 'updated', 'critical'))).toBe(true);
  expect(cap.tells(alert('b', 'resolved'))).toBe(true);
  expect(cap.tells(alert('c', 'resolved'))).toBe(false);
  expect(cap.tells(alert('a', 'resolved'))).toBe(true);
  expect(cap.summary()).toMatchObject({ suppressed: 2 }); // that of the run before
  cap.remember();
  await clock.advance(60_000);
  expect(start().summary()).toBeUndefined();
});

test('without a cap all are told, and nothing is stored', () => {
  const { kept, start } = world(null);
  const cap = start();
  expect(Array.from({ length: 50 }, (_, i) => cap.tells(alert(`${i}`))).every(Boolean)).toBe(true);
  cap.remember();
  expect(kept.size).toBe(0);
});
