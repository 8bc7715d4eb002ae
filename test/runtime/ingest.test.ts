import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../src/contracts/config.js';
import { createIngest, REMEMBERED } from '../../src/runtime/ingest.js';
import type { Recall } from '../../src/runtime/ingest.js';
import { createMetrics } from '../../src/runtime/metrics.js';
import { fakeClock } from './fakes.js';

const clock = fakeClock();
const now = clock.now();
const base = { site: 'plant1', device: 'pi7', state_dir: '.', mqtt: { url: 'mqtt://127.0.0.1' } };

function ingestOf(change: Record<string, unknown> = {}, recall: Recall = () => []) {
  const metrics = createMetrics();
  const ingest = createIngest(
    parseConfig({ ...base, streams: { boiler: { unit: '°C', min: -50, max: 150 } }, ...change }, 'test'),
    clock,
    metrics,
    { recall },
  );
  const send = (payload: unknown, stream = 'boiler', retain = false) =>
    ingest.read(stream, {
      payload: Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload)),
      retain,
    });
  return { metrics, ingest, send };
}

describe('a reading that is refused is counted by its reason', () => {
  test.each([
    ['undecodable', '{"ts":', 'boiler', false],
    ['not_a_number', { ts: now, value: 'warm' }, 'boiler', false],
    ['unit_mismatch', { ts: now, value: 1, unit: 'kPa' }, 'boiler', false],
    ['out_of_range', { ts: now, value: 999 }, 'boiler', false],
    ['out_of_range', { ts: now, value: -60 }, 'boiler', false],
    ['future', { ts: now + 3_600_000, value: 1 }, 'boiler', false],
    ['too_old', { ts: Date.UTC(2010, 0), value: 1 }, 'boiler', false],
    ['too_old', { ts: now - 40 * 86_400_000, value: 1 }, 'boiler', false],
    ['retained', { ts: now, value: 1 }, 'boiler', true],
    ['unknown_stream', { ts: now, value: 1 }, 'other', false],
    ['unknown_stream', { ts: now, values: { temp: 1 } }, 'boiler', false],
  ] as const)('%s: %j', (reason, payload, stream, retain) => {
    const { metrics, send } = ingestOf();
    expect(send(payload, stream, retain)).toEqual([]);
    expect(metrics.rejected).toEqual({ [reason]: 1 });
  });
});

test('a bad row does not hide its neighbours', () => {
  const { metrics, send } = ingestOf();
  expect(
    send({
      samples: [
        [now, 1],
        [now + 1, 'x'],
        [now + 2, 3],
      ],
    }).map(({ value }) => value),
  ).toEqual([1, 3]);
  expect(metrics.rejected).toEqual({ not_a_number: 1 });
});

test('units are converted to the stream’s; a missing value stays missing', () => {
  const { send } = ingestOf();
  expect(send({ ts: now, value: 212, unit: '°F' })[0]!.value).toBeCloseTo(100);
  expect(send({ ts: now + 1, value: 'unavailable' })).toMatchObject([{ value: undefined }]);
});

test('a redelivered reading is a duplicate; another value at the same time is not', () => {
  const { metrics, send } = ingestOf();
  expect(send({ ts: now, value: 1 })).toHaveLength(1);
  expect(send({ ts: now, value: 1 })).toHaveLength(0);
  expect(send({ ts: now, value: 2 })).toHaveLength(1);
  expect(metrics.samples.duplicate).toBe(1);
});

test('only the newest readings are remembered', () => {
  const { ingest, send } = ingestOf();
  for (let i = 0; i <= REMEMBERED; i++) send({ ts: now - i, value: 1 });
  const { seen } = ingest.admit('boiler');
  expect([seen.find(now), seen.find(now - 1), seen.find(now - REMEMBERED)]).toEqual([null, 1, 1]);
});

test('what was stored before a restart is known, on streams with a model and without', () => {
  const { metrics, send, ingest } = ingestOf({ auto_streams: true }, (name, count) =>
    name === 'boiler' && count === REMEMBERED
      ? [
          { timeMs: now, value: 1 },
          { timeMs: now + 1, value: null },
        ]
      : [],
  );
  expect(send({ ts: now, value: 1 })).toHaveLength(0);
  ingest.admit('boiler');
  expect(send({ ts: now + 1, value: 'unavailable' })).toHaveLength(0);
  expect(send({ ts: now, value: 1 }, 'other')).toHaveLength(1);
  expect(metrics.samples.duplicate).toBe(2);
});

test('streams are created on the fly only when allowed, and up to a limit', () => {
  const { metrics, send, ingest } = ingestOf({ auto_streams: true, max_streams: 2 });
  expect(send({ ts: now, values: { temp: 1, rh: 2, ph: 7 } }, 'meter')).toMatchObject([
    { stream: { name: 'meter_temp' } },
    { stream: { name: 'meter_rh' } },
  ]);
  expect(metrics.rejected).toEqual({ stream_limit: 1 });
  expect(ingest.stream('a b')).toBe('unknown_stream');
});

test('a stream named like something every object has is a stream like any other', () => {
  const { send } = ingestOf({ auto_streams: true, streams: {} });
  for (const name of ['constructor', '__proto__', 'toString'])
    expect(send({ ts: now, value: 1 }, name)).toMatchObject([
      { stream: { name, settings: { unit: null, maxGap: 3 } } },
    ]);
});

test('retained values are taken where the stream says so', () => {
  const { send } = ingestOf({ streams: { boiler: { accept_retained: true } } });
  expect(send({ ts: now, value: 1 }, 'boiler', true)).toHaveLength(1);
});

describe('readings without a time', () => {
  test('of one moment are different readings: their times rise', () => {
    const { send, metrics } = ingestOf();
    const times = [20, 20, 21].flatMap((value) => send(String(value)).map(({ timeMs }) => timeMs - clock.now()));
    expect(times).toEqual([0, 1, 2]);
    expect(metrics.samples.duplicate).toBe(0);
  });

  test('are held while the clock is not believed, and get their place afterwards', () => {
    clock.isSynced = false;
    const { send, ingest } = ingestOf();
    const [held] = send('20');
    expect(held).toMatchObject({ timeSource: 'held', timeMs: clock.monotonicMs(), value: 20 });
    expect(send({ ts: now, value: 21 })).toMatchObject([{ timeSource: 'payload', timeMs: now }]);
    clock.isSynced = true;
    expect(ingest.stamp('boiler', now - 5000.4, 20)).toMatchObject({ timeSource: 'arrival', timeMs: now - 5000 });
    expect(send(JSON.stringify({ ts: now - 5000, value: 20 }))).toEqual([]); // known by then
  });
});
