import { expect, test } from 'vitest';
import { parseConfig } from '../../src/contracts/config.js';
import { createPresence } from '../../src/runtime/presence.js';
import { createRules } from '../../src/runtime/reporting.js';
import { fakeClock } from './fakes.js';

const minute = 60_000;
const hour = 60 * minute;

function presenceOf(streams: Record<string, unknown>) {
  const config = { site: 's', device: 'd', state_dir: '.', mqtt: { url: 'mqtt://127.0.0.1' }, streams };
  const clock = fakeClock();
  return { clock, presence: createPresence(clock, createRules(parseConfig(config, 'test'))) };
}

test('a stream at a steady pace is given up after three steps, a minute at least; one that reports on change after its silence', async () => {
  const { clock, presence } = presenceOf({ steady: {}, change: { report: 'on_change', max_silence: '2h' } });
  presence.heard('steady');
  presence.heard('change');
  await clock.advance(2 * minute);
  expect(presence.lost('steady', 1000)).toBe('no reading for 120 s');
  expect(presence.lost('steady', minute)).toBeUndefined();
  expect(presence.lost('change', 1000)).toBeUndefined();
  expect(presence.overdue()).toEqual([]);
  await clock.advance(2 * hour);
  expect(presence.lost('change', 1000)).toBe('no reading for 7320 s');
  expect(presence.overdue()).toEqual([{ stream: 'change', silentMs: 2 * hour + 2 * minute }]);
});

test('an availability is a sign of life; one that says that the sensor is gone stops its value from holding', async () => {
  const { clock, presence } = presenceOf({ a: { report: 'on_change' } });
  expect(presence.present('a')).toBe(false); // nobody waits for it yet
  presence.expect('a');
  expect(presence.holding()).toEqual([{ stream: 'a', presentMs: -Infinity }]);
  await clock.advance(23 * hour);
  expect(presence.present('a')).toBe(true);
  await clock.advance(2 * hour);
  expect(presence.overdue()).toEqual([]);
  expect(presence.holding()).toEqual([{ stream: 'a', presentMs: clock.now() - 2 * hour }]);

  presence.gone('a');
  presence.gone('nobody');
  expect(presence.holding()).toEqual([]);
  expect(presence.lost('a', 1000)).toBe('its availability says that it is gone');
  presence.heard('a');
  expect(presence.lost('a', 1000)).toBeUndefined();
  presence.expect('a');
  expect(presence.holding()).toHaveLength(1);
});
