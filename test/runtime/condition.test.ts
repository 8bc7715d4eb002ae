import { expect, test } from 'vitest';
import { parseConfig } from '../../src/contracts/config.js';
import { createCondition, crossing, inspectReading } from '../../src/runtime/condition.js';
import type { LastReading } from '../../src/runtime/condition.js';

const subject = { key: 'd/boiler/level', stream: 'boiler', detector: 'level', model: '', newId: () => 'id' };
const settings = parseConfig(
  {
    site: 's',
    device: 'd',
    state_dir: '/tmp/x',
    mqtt: { url: 'mqtt://127.0.0.1' },
    streams: { boiler: { max_rate: 2, stuck_count: 3, max_silence: '5m', levels: { above: 80 } } },
  },
  'test',
).streams['boiler']!;

test('a condition opens with the first fact, keeps one alert while it holds, and ends with the first without', () => {
  const condition = createCondition('level', subject, undefined);
  expect(condition.observe(0, 70, undefined)).toBeUndefined();
  expect(condition.observe(1, 75, 'will rise')).toMatchObject({
    event: 'opened',
    severity: 'warning',
    reason: 'will rise',
    p: 0,
    expected: null,
  });
  expect(condition.observe(2, 76, 'will rise')).toBeUndefined();
  const continued = createCondition('level', subject, condition.watch);
  expect(continued.observe(3, 70, undefined)).toMatchObject({
    event: 'resolved',
    reason: 'as expected again',
    id: 'id',
  });
  expect(continued.observe(4, 75, 'will rise')).toMatchObject({ event: 'opened' });
});

test('a sensor sticks after so many equal readings, and jumps when it changes too fast for its time', () => {
  let last: LastReading | undefined;
  const faults = [20, 20, 20, 25, 45].map((value, i) => {
    const found = inspectReading(last, i * 5000, value, settings);
    ({ last } = found);
    return [found.sensor_stuck, found.sensor_rate];
  });
  expect(faults).toEqual([
    [undefined, undefined],
    [undefined, undefined],
    ['20 in 3 readings one after the other', undefined],
    [undefined, undefined],
    [undefined, 'changed by 4 a second, more than 2'],
  ]);
  const free = { ...settings, maxRate: null, stuckCount: null };
  expect(inspectReading({ timeMs: 0, value: 1, same: 99 }, 0, 1, free)).toEqual({
    last: { timeMs: 0, value: 1, same: 100 },
    sensor_rate: undefined,
    sensor_stuck: undefined,
  });
});

test('a forecast says when it first leaves the levels', () => {
  const p50 = Float32Array.of(70, 75, 81, 60);
  expect(crossing({ p50 }, 600_000, { above: 80, below: 65 }, '°C')).toBe('will rise above 80 °C in 30 min');
  expect(crossing({ p50 }, 10_000, { above: null, below: 65 }, null)).toBe('will fall below 65 in 40 s');
  expect(crossing({ p50 }, 3_600_000, { above: 80, below: null }, null)).toBe('will rise above 80 in 3 h');
  expect(crossing({ p50 }, 1000, { above: 90, below: null }, null)).toBeUndefined();
});

test('a fact that flaps is asked for twice in a row, and one that has gone in between does not count', () => {
  const flapping = { opens: 2, withinMs: 60_000, quietMs: 600_000 };
  const condition = createCondition('sensor_rate', subject, undefined, flapping);
  const events = (facts: readonly boolean[], from: number) =>
    facts.flatMap((fact, i) => condition.observe(from + i, 1, fact ? 'jumps' : undefined)?.event ?? []);
  expect(events([true, false, true, false, true, false], 0)).toEqual(['opened', 'resolved', 'opened', 'resolved', 'opened', 'resolved']); // prettier-ignore
  expect(events([true, false, false, true, false], 10)).toEqual([]);
  expect(condition.watch.state).not.toBe('firing');
  expect(events([false, true, true, false], 20)).toEqual(['opened', 'resolved']);
  expect(events([true], 700_000)).toEqual(['opened']);
});
