import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../src/contracts/config.js';
import { presets, withPreset } from '../../src/contracts/mapping.js';
import { parseReading } from '../../src/contracts/reading.js';
import { isSegment } from '../../src/contracts/topic.js';
import { createMapper } from '../../src/runtime/mapper.js';

const nowMs = 1_763_823_600_123;
const bytes = (message: unknown): Uint8Array =>
  Buffer.from(typeof message === 'string' ? message : JSON.stringify(message));
const configOf = (...mappings: Record<string, unknown>[]) =>
  parseConfig({ site: 's', device: 'd', state_dir: '.', mqtt: { url: 'mqtt://127.0.0.1' }, mappings }, 'test').mappings;
const mapperOf = (...mappings: Record<string, unknown>[]) => createMapper(configOf(...mappings));

/** What a message on a topic comes to. */
function heard(mapper: ReturnType<typeof mapperOf>, topic: string, message: unknown) {
  return mapper.routes(topic).map(({ stream, mapping: shape }) => {
    const { readings, rejected } = parseReading(bytes(message), { nowMs, shape });
    return { stream, ...readings[0], ...(rejected[0] && { reason: rejected[0].reason }) };
  });
}

/** Payloads as the makers' documentation shows them. */
const tasmota = { Time: '2026-01-02T03:04:05', DS18B20: { Id: '0114550EB2AA', Temperature: 20.6 }, TempUnit: 'C' };
const zigbee = { battery: 88, humidity: 41.2, temperature: 21.7, last_seen: '2025-11-22T15:00:00+01:00' };

describe('presets', () => {
  test.each([
    [
      'tasmota',
      { name: 'cellar', path: '/DS18B20/Temperature' },
      'tele/cellar/SENSOR',
      tasmota,
      { value: 20.6, timeSource: 'arrival' },
    ],
    [
      'zigbee2mqtt',
      { name: 'kitchen', path: '/temperature' },
      'zigbee2mqtt/kitchen',
      zigbee,
      { value: 21.7, timeSource: 'payload', timeMs: Date.UTC(2025, 10, 22, 14) },
    ],
    [
      'zigbee2mqtt',
      { name: 'kitchen', path: '/humidity' },
      'zigbee2mqtt/kitchen',
      { humidity: 40 },
      { value: 40, timeSource: 'arrival' },
    ],
    [
      'zigbee2mqtt',
      { name: 'upstairs/bath', path: '/temperature' },
      'zigbee2mqtt/upstairs/bath',
      { temperature: null },
      { value: undefined },
    ],
    [
      'zigbee2mqtt',
      { name: 'door', path: '/contact', on_off: true },
      'zigbee2mqtt/door',
      { contact: false },
      { value: 0 },
    ],
    ['esphome', { name: 'livingroom', id: 'co2' }, 'livingroom/sensor/co2/state', '612.5', { value: 612.5 }],
    ['esphome', { name: 'livingroom', id: 'co2' }, 'livingroom/sensor/co2/state', 'nan', { value: undefined }],
    ['homeassistant', { name: 'ha', id: 'outside' }, 'ha/sensor/outside/state', 'unavailable', { value: undefined }],
  ] as const)('%s %j', (preset, settings, topic, message, reading) => {
    expect(heard(mapperOf({ preset, stream: 'x', ...settings }), topic, message)).toMatchObject([
      { stream: 'x', ...reading },
    ]);
  });

  test('say when a sensor is gone', () => {
    const zigbee2mqtt = mapperOf({ preset: 'zigbee2mqtt', name: 'kitchen', path: '/temperature', stream: 'x' });
    expect(zigbee2mqtt.offline('zigbee2mqtt/kitchen/availability', bytes({ state: 'offline' }))).toEqual(['x']);
    expect(zigbee2mqtt.offline('zigbee2mqtt/kitchen/availability', bytes('offline'))).toEqual(['x']); // its older form
    expect(zigbee2mqtt.offline('zigbee2mqtt/kitchen/availability', bytes({ state: 'online' }))).toEqual([]);
    expect(zigbee2mqtt.offline('zigbee2mqtt/bridge/state', bytes({ state: 'offline' }))).toEqual(['x']);
    expect(mapperOf({ preset: 'tasmota', name: 'a', path: '/b', stream: 'x' }).offline('tele/a/LWT', bytes('Offline'))).toEqual(['x']); // prettier-ignore
    expect(mapperOf({ preset: 'esphome', name: 'a', id: 'b', stream: 'x' }).offline('a/status', bytes('offline'))).toEqual(['x']); // prettier-ignore
  });

  test('say when a sensor is there; that a bridge is says nothing of its sensors', () => {
    const zigbee2mqtt = mapperOf({ preset: 'zigbee2mqtt', name: 'kitchen', path: '/temperature', stream: 'x' });
    const there = bytes({ state: 'online' });
    expect(zigbee2mqtt.online('zigbee2mqtt/kitchen/availability', there)).toEqual(['x']);
    expect(zigbee2mqtt.online('zigbee2mqtt/kitchen/availability', bytes({ state: 'offline' }))).toEqual([]);
    expect(zigbee2mqtt.online('zigbee2mqtt/kitchen/availability', bytes(''))).toEqual([]); // it is taken from the broker
    expect(zigbee2mqtt.online('zigbee2mqtt/bridge/state', there)).toEqual([]);
    expect(zigbee2mqtt.online('zigbee2mqtt/kitchen', there)).toEqual([]);
    const all = mapperOf({ topic: 'a/+', stream: 's_$1', availability: [{ topic: 'a' }, { topic: 'on/+' }] });
    all.routes('a/1');
    expect(all.online('a', bytes('online'))).toEqual([]);
    expect(all.online('on/1', bytes('online'))).toEqual(['s_1']);
  });

  test('a setting of one’s own wins over the preset’s', () => {
    const [mine] = configOf({ preset: 'zigbee2mqtt', topic: 'z/+', path: '/t', ts_path: '/at', availability: [], stream: '$1' }); // prettier-ignore
    expect(withPreset(mine!)).toMatchObject({ topic: 'z/+', tsPath: '/at', format: 'json', availability: [] });
    expect(Object.keys(presets)).toEqual(['tasmota', 'zigbee2mqtt', 'esphome', 'homeassistant']);
  });
});

describe('mappings of one’s own', () => {
  test('one message feeds several streams, named by the topic, in units of their own', () => {
    const mapper = mapperOf(
      { topic: 'plant/+/+/data', path: '/v/0', stream: '$2_$1', scale: 0.1, offset: -4, unit: 'kPa' },
      { topic: 'plant/+/pump/data', path: '/v/1', stream: '$1-flow', ts_path: '/t', ts_format: 's' },
    );
    expect(heard(mapper, 'plant/hall 3/pump/data', { v: [250, '7.5'], t: 1_763_823_000.5 })).toMatchObject([
      { stream: 'pump_hall_3', value: 21, unit: 'kPa', timeSource: 'arrival' },
      { stream: 'hall_3-flow', value: 7.5, timeMs: 1_763_823_000_500, timeSource: 'payload' },
    ]);
    expect(heard(mapper, 'plant/pump/data', {})).toEqual([]);
    expect(mapper.streams).toEqual([]);
    expect(mapper.subscriptions.map(({ filter }) => filter)).toEqual(['plant/+/+/data', 'plant/+/pump/data']);
  });

  test('a topic that is about all sensors is about those that spoke', () => {
    const mapper = mapperOf({ preset: 'zigbee2mqtt', name: '+', path: '/temperature', stream: 'z_$1' });
    const gone = bytes({ state: 'offline' });
    expect(mapper.offline('zigbee2mqtt/bridge/state', gone)).toEqual([]);
    mapper.routes('zigbee2mqtt/kitchen');
    mapper.routes('zigbee2mqtt/bath');
    expect(mapper.offline('zigbee2mqtt/bridge/state', gone)).toEqual(['z_kitchen', 'z_bath']);
    expect(mapper.offline('zigbee2mqtt/bath/availability', gone)).toEqual(['z_bath']);
  });

  test('without a path the message is in one of our shapes', () => {
    const mapper = mapperOf({ topic: 'a', stream: 'x', unit: '°F' });
    expect(heard(mapper, 'a', { ts: nowMs, value: 3 })).toMatchObject([{ value: 3, timeMs: nowMs, unit: '°F' }]);
    expect(heard(mapper, 'a', '4')).toMatchObject([{ value: 4, unit: '°F' }]);
  });

  test.each([
    [{ path: '/b' }, { a: 1 }, 'undecodable'],
    [{ path: '/a' }, '{"a"', 'undecodable'],
    [{ path: '/a' }, { a: 'warm' }, 'not_a_number'],
    [{ path: '/a' }, { a: true }, 'not_a_number'],
    [{ path: '/a/b' }, { a: 3 }, 'undecodable'],
    [{ path: '/__proto__/a' }, { a: 3 }, 'undecodable'],
    [{ path: '/a', ts_path: '/t', ts_format: 'iso' }, { a: 3, t: nowMs }, 'bad_time'],
    [{ path: '/a', ts_path: '/t', ts_format: 'ms' }, { a: 3, t: '2025-01-01T00:00:00Z' }, 'bad_time'],
    [{ format: 'json' }, 'warm', 'undecodable'],
    [{ format: 'text' }, '{"value":3}', 'undecodable'],
    [{ format: 'cbor' }, '3', 'undecodable'], // no decoder was handed in
  ])('%j refuses %j as %s', (settings, message, reason) => {
    expect(heard(mapperOf({ topic: 'a', stream: 'x', ...settings }), 'a', message)).toMatchObject([{ reason }]);
  });

  test('whatever a topic is, the stream is one that a topic of ours can name', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (level) => {
        const routes = mapperOf({ topic: 'a/+', stream: 'x$1' }).routes(`a/${level}`);
        expect(routes.every(({ stream }) => isSegment(stream))).toBe(true);
        expect(routes).toHaveLength(/[/\n\r\u2028\u2029]/.test(level) ? routes.length : 1);
      }),
    );
  });
});

test.each([
  [{ stream: 'x' }, /needs a topic/],
  [{ preset: 'esphome', name: 'a', stream: 'x' }, /needs a topic/],
  [{ topic: 'a/#', stream: 'x' }, /expected a topic/],
  [{ topic: 'a', stream: 'x/y' }, /expected a name of a stream/],
  [{ topic: 'a', stream: 'x', path: 'temperature' }, /expected a JSON pointer/],
  [{ topic: 'a', stream: 'x', pathh: '/a' }, /did you mean "path"/],
])('%j is no mapping', (mapping, message) => {
  expect(() => configOf(mapping)).toThrow(message);
});
