import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { convertUnit, parseReading } from '../../src/contracts/reading.js';
import { rejectionReasons } from '../../src/contracts/reason.js';

const nowMs = 1_763_823_600_123;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const read = (message: unknown, options = {}) =>
  parseReading(bytes(typeof message === 'string' ? message : JSON.stringify(message)), { nowMs, ...options });

describe('the shapes of a payload', () => {
  test('one value with its time, unit and sequence number', () => {
    expect(read({ ts: nowMs - 1000, value: 21.4, unit: '°C', seq: 17, q: 'good' }).readings).toEqual([
      { timeMs: nowMs - 1000, timeSource: 'payload', value: 21.4, unit: '°C', seq: 17 },
    ]);
  });

  test('a value without a time gets that of its arrival', () => {
    expect(read({ value: 3 }).readings).toEqual([{ timeMs: nowMs, timeSource: 'arrival', value: 3 }]);
  });

  test('several values, one reading for each channel', () => {
    expect(read({ ts: nowMs, values: { temp: 21.4, rh: 40 } }).readings).toMatchObject([
      { channel: 'temp', value: 21.4 },
      { channel: 'rh', value: 40 },
    ]);
  });

  test('a bad row of a batch does not hide its neighbours', () => {
    const { readings, rejected } = read({ samples: [[nowMs, 1], [nowMs, 'warm'], ['yesterday', 2], 7, [nowMs, null]] });
    expect(readings.map(({ value }) => value)).toEqual([1, undefined]);
    expect(rejected.map(({ reason }) => reason)).toEqual(['not_a_number', 'bad_time', 'bad_time']);
  });

  test.each([
    ['21.4', 21.4],
    [' -3e2 \n', -300],
    ['"7"', 7],
    ['.5', 0.5],
  ])('plain text %j is the number %d', (text, value) => {
    expect(read(text).readings).toMatchObject([{ value }]);
  });

  test.each(['null', 'nan', 'NaN', '', 'unknown', '"unavailable"', '{"value":null}', '{"value":"None"}'])(
    '%j is a missing value, not an error',
    (text) => {
      expect(read(text)).toMatchObject({ readings: [{ value: undefined }], rejected: [] });
    },
  );
});

test.each([
  ['not_a_number', '21,4'],
  ['not_a_number', 'true'],
  ['not_a_number', '0x10'],
  ['not_a_number', '1e999'],
  ['not_a_number', '{"value":{"deep":1}}'],
  ['undecodable', '{"value":'],
  ['undecodable', '[1,2]'],
  ['undecodable', '{"temperature":3}'],
  ['unsupported_version', '{"v":2,"value":3}'],
  ['too_old', `{"ts":${Date.UTC(2019, 11, 31)},"value":3}`],
  ['future', `{"ts":${nowMs + 301_000},"value":3}`],
  ['bad_time', '{"ts":"2025-11-22T15:00:00","value":3}'],
  ['bad_time', '{"ts":-5,"value":3}'],
  ['too_large', `{"value":${'['.repeat(17)}${']'.repeat(17)}}`],
  ['too_large', JSON.stringify({ samples: Array(5001).fill([nowMs, 1]) })],
  ['too_large', ' '.repeat(256 * 1024 + 1)],
] as const)('%s is what %.60s gets', (reason, text) => {
  expect(read(text)).toMatchObject({ readings: [], rejected: [{ reason }] });
});

test('bytes that are no UTF-8 are undecodable', () => {
  expect(parseReading(Uint8Array.of(0xff, 0xfe, 0x31), { nowMs }).rejected).toMatchObject([{ reason: 'undecodable' }]);
});

test('a retained message is an old value, unless the stream takes it', () => {
  expect(read('3', { retained: true }).rejected).toMatchObject([{ reason: 'retained' }]);
  expect(read('3', { retained: true, acceptRetained: true }).readings).toHaveLength(1);
});

test('the future is not judged before the clock is synced', () => {
  expect(read({ ts: nowMs + 1e9, value: 3 }, { clockSynced: false }).readings).toHaveLength(1);
});

test.each([nowMs / 1000, nowMs, nowMs * 1e3, nowMs * 1e6, '2025-11-22T15:00:00.123Z', '2025-11-22T16:00:00.123+01:00'])(
  'time %s is the same instant',
  (ts) => {
    expect(read({ ts, value: 1 }).readings).toMatchObject([{ timeMs: nowMs }]);
  },
);

describe('whatever arrives', () => {
  const check = (payload: Uint8Array): void => {
    const { readings, rejected } = parseReading(payload, { nowMs });
    for (const { reason } of rejected) expect(rejectionReasons).toContain(reason);
    for (const { value, timeMs } of readings) {
      expect(value === undefined || Number.isFinite(value)).toBe(true);
      expect(Number.isSafeInteger(timeMs)).toBe(true);
    }
  };

  test('random bytes never throw', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), check));
  });

  test('random JSON never throws', () => {
    fc.assert(fc.property(fc.json({ maxDepth: 6 }), (text) => check(bytes(text))));
  });

  test('random members of the right shapes never throw', () => {
    const message = fc.record(
      {
        v: fc.constantFrom(1, 2, 'x'),
        ts: fc.anything(),
        value: fc.anything(),
        samples: fc.anything(),
        values: fc.anything(),
      },
      { requiredKeys: [] },
    );
    const text = (value: unknown): string =>
      JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? Number(each) : each)) ?? '';
    fc.assert(fc.property(message, (value) => check(bytes(text(value)))));
  });
});

test('units are converted from a closed table only', () => {
  expect(convertUnit(212, '°F', '°C')).toBeCloseTo(100, 10);
  expect(convertUnit(1, 'kWh', 'Wh')).toBe(1000);
  expect(convertUnit(5, 'bananas', 'bananas')).toBe(5);
  expect(convertUnit(5, 'toString', '°C')).toBeUndefined();
  expect(convertUnit(5, '°C', 'constructor')).toBeUndefined();
});
