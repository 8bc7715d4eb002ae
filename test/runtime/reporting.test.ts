import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../src/contracts/config.js';
import { createRules } from '../../src/runtime/reporting.js';

const hour = 3_600_000;
const configOf = (change: Record<string, unknown>) =>
  parseConfig({ site: 's', device: 'd', state_dir: '.', mqtt: { url: 'mqtt://127.0.0.1' }, ...change }, 'test');
const rulesOf = (change: Record<string, unknown>) => createRules(configOf(change));

describe('how a stream reports', () => {
  test('is at a steady pace unless something says otherwise', () => {
    expect(rulesOf({})('any')).toMatchObject({ holdMs: null, maxSilenceMs: null });
    const rules = rulesOf({ streams: { a: { stuck_count: 3, max_silence: '5m' } } });
    expect(rules('a')).toMatchObject({ holdMs: null, maxSilenceMs: 300_000, stuckCount: 3 });
  });

  test.each([
    [{ report: 'on_change' }, 24 * hour],
    [{ report: 'on_change', max_silence: '6h' }, 6 * hour],
    [{ report: 'heartbeat', heartbeat: '1h' }, 2 * hour],
    [{ report: 'heartbeat', heartbeat: '1h', max_silence: '5h' }, 5 * hour],
  ])('%j: a value holds for so long, and equal readings are no fault', (settings, holdMs) => {
    const rules = rulesOf({ streams: { a: { ...settings, stuck_count: 3 } } });
    expect(rules('a')).toMatchObject({ holdMs, maxSilenceMs: holdMs, stuckCount: null });
  });

  test('is that of the mapping’s preset, for streams named by a topic too, unless the stream has its own', () => {
    const rules = rulesOf({
      mappings: [
        { preset: 'zigbee2mqtt', name: '+', path: '/temperature', stream: '$1_temp' },
        { preset: 'homeassistant', name: 'ha', id: 'x', stream: 'ha' },
        { preset: 'tasmota', name: 'x', path: '/a', stream: 'tasmota' },
        { preset: 'esphome', name: 'x', id: 'y', stream: 'esp' },
        { topic: 'own/+', stream: 'own_$1', report: 'heartbeat', heartbeat: '10m' },
      ],
      streams: { hall_temp: { report: 'periodic' }, bath_temp: { unit: '°C' }, ha: { max_silence: '1h' } },
    });
    const holds = ['kitchen_temp', 'hall_temp', 'bath_temp', 'ha', 'tasmota', 'esp', 'own_1'].map((name) => rules(name).holdMs); // prettier-ignore
    expect(holds).toEqual([24 * hour, null, 24 * hour, hour, null, null, hour / 3]);
    expect(rules('bath_temp').unit).toBe('°C');
    expect(rules('constructor')).toMatchObject({ unit: null, holdMs: null });
  });

  test.each([
    { streams: { a: { report: 'heartbeat' } } },
    { streams: { a: { heartbeat: '1h' } } },
    { mappings: [{ topic: 'a', stream: 'b', report: 'heartbeat' }] },
  ])('%j is refused: a heartbeat has its time', (change) => {
    expect(() => configOf(change)).toThrow(/heartbeat/);
  });
});
