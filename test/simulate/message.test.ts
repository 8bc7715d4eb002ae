import { expect, test } from 'vitest';
import { parseConfig } from '../../src/contracts/config.js';
import { parseReading } from '../../src/contracts/reading.js';
import { createMapper } from '../../src/runtime/mapper.js';
import { shapes } from '../../src/simulate/message.js';

const name = { base: 'nd', site: 'home', device: 'cellar', stream: 'boiler' };
const reading = { timeMs: Date.UTC(2026, 0, 1, 12), value: -21.375, seq: 4 };
const nowMs = reading.timeMs + 1000;

test('a native message is one that a device reads', () => {
  const { topic, payload } = shapes['native']!(name);
  expect(topic).toBe('nd/home/cellar/in/boiler');
  expect(parseReading(Buffer.from(payload(reading)), { nowMs }).readings).toEqual([{ ...reading, timeSource: 'payload' }]); // prettier-ignore
});

const presets: [preset: string, mapping: object, timeMs: number][] = [
  ['tasmota', { name: '+', path: '/DS18B20/Temperature' }, nowMs],
  ['zigbee2mqtt', { name: '+', path: '/temperature' }, reading.timeMs],
  ['esphome', { name: 'cellar', id: '+' }, nowMs],
];
test.each(presets)('a message of %s is one that a device with this preset reads', (preset, mapping, timeMs) => {
  const { topic, payload } = shapes[preset]!(name);
  const { mappings } = parseConfig({ site: 's', device: 'd', state_dir: '.', mqtt: { url: 'mqtt://h' }, mappings: [{ preset, stream: 'boiler', ...mapping }] }, 'test'); // prettier-ignore
  const [route] = createMapper(mappings).routes(topic);
  const { readings } = parseReading(Buffer.from(payload(reading)), { nowMs, shape: route!.mapping });
  expect(readings).toMatchObject([{ timeMs, value: -21.375 }]);
});

test('a name that no topic may have is refused', () => {
  expect(() => shapes['native']!({ ...name, stream: 'a/b' })).toThrow(/ND_CONFIG_OUT_OF_RANGE/);
});
