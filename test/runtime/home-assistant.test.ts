import { beforeEach, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { parseConfig } from '../../src/contracts/config.js';
import type { ReportedPayload } from '../../src/contracts/payload.js';
import { createHome } from '../../src/runtime/home-assistant.js';
import type { Store } from '../../src/runtime/store.js';
import type { MqttLink } from '../../src/transport/mqtt.js';

/** What https://www.home-assistant.io/integrations/mqtt and its pages sensor.mqtt, binary_sensor.mqtt, event.mqtt and update.mqtt take. */
const text = z.string().min(1).max(255);
const template = z.string().regex(/^\{\{ .+ \}\}$/s);
const common = {
  name: text,
  unique_id: z.string().regex(/^[A-Za-z0-9_-]+$/),
  state_topic: z.string().regex(/^[^+#]+$/),
  value_template: template.optional(),
  json_attributes_topic: text.optional(),
  json_attributes_template: template.optional(),
  entity_category: z.enum(['config', 'diagnostic']).optional(),
  expire_after: z.int().positive().optional(),
};
const unitsOf: Record<string, string[]> = {
  temperature: ['°C', '°F', 'K'],
  pressure: ['mPa', 'Pa', 'hPa', 'kPa', 'bar', 'cbar', 'mbar', 'mmHg', 'inHg', 'inH₂O', 'psi'],
};
const sensor = z
  .strictObject({
    ...common,
    p: z.literal('sensor'),
    unit_of_measurement: text.optional(),
    device_class: z.enum(['temperature', 'pressure']).optional(),
    state_class: z.enum(['measurement', 'total', 'total_increasing']).optional(),
  })
  .refine(
    ({ device_class: kind, unit_of_measurement: unit }) => kind === undefined || unitsOf[kind]!.includes(unit ?? ''),
    'a unit that is none of the device class',
  );
const component = z.union([
  sensor,
  z.strictObject({ ...common, p: z.literal('binary_sensor'), device_class: z.literal('problem') }),
  z.strictObject({ ...common, p: z.literal('event'), event_types: z.array(text).min(1) }),
  z.strictObject({ ...common, p: z.literal('update') }),
  z.strictObject({ p: z.enum(['sensor', 'binary_sensor', 'event', 'update']) }), // takes it away
]);
const discovery = z.strictObject({
  dev: z.strictObject({ ids: z.array(text).min(1), name: text, mf: text, mdl: text, sw: text }),
  o: z.strictObject({ name: text, sw: text }),
  qos: z.literal([0, 1, 2]),
  availability: z.array(z.strictObject({ topic: text, value_template: template })),
  cmps: z.record(z.string().regex(/^[A-Za-z0-9_-]+$/), component),
});

const topic = 'homeassistant/device/nd_plant1_pi7/config';
const configOf = (change: Record<string, unknown> = {}) =>
  parseConfig(
    {
      site: 'plant1',
      device: 'pi7',
      state_dir: '.',
      mqtt: { url: 'mqtt://127.0.0.1' },
      home_assistant: {},
      streams: { 'boiler-in_2': { unit: '°C', max: 99, stuck_count: 5, max_silence: '10m', levels: { above: 80 } } },
      ...change,
    },
    'test',
  );
const shown = {
  forecasts: [{ stream: 'boiler-in_2', unit: '°C', cadenceMs: 60_000, horizon: 60 }],
  detectors: [{ name: 'pump', cadenceMs: 300_000 }],
};

let kept: Map<string, string>;
let sent: { topic: string; payload: string; retain: boolean | undefined }[];
let arrives: boolean;
let store: Store;
let link: MqttLink;
beforeEach(() => {
  kept = new Map();
  sent = [];
  arrives = true;
  store = {
    get: (key: string) => (kept.has(key) ? Buffer.from(kept.get(key)!) : undefined),
    put: (key: string, value: string) => void kept.set(key, value),
  } as unknown as Store;
  link = {
    online: true,
    publish: async (to: string, payload: string, { retain }: { retain?: boolean } = {}) => {
      sent.push({ topic: to, payload, retain });
      return arrives;
    },
  } as unknown as MqttLink;
});
const last = () => discovery.parse(JSON.parse(sent.at(-1)!.payload));

describe('what Home Assistant is told of a device', () => {
  test('is a message it takes, retained: forecasts, scores, alerts of every kind that is watched for, versions', async () => {
    await createHome(configOf(), store).announce(link, shown);
    expect(sent).toMatchObject([{ topic, retain: true }]);
    const { dev, cmps } = last();
    expect(dev).toMatchObject({ ids: ['nd_plant1_pi7'], name: 'pi7' });
    expect(Object.fromEntries(Object.entries(cmps).map(([id, one]) => [id, 'name' in one ? one.name : null]))).toEqual({
      'boiler-in_2_fc': 'Boiler in 2 forecast +1 h',
      'boiler-in_2_sc': 'Boiler in 2 anomaly score',
      'boiler-in_2_an': 'Boiler in 2 anomaly',
      'boiler-in_2_ev': 'Boiler in 2 alert',
      pump_sc: 'Pump anomaly score',
      pump_an: 'Pump anomaly',
      pump_ev: 'Pump alert',
      'boiler-in_2_sensor_range': 'Boiler in 2 out of range',
      'boiler-in_2_sensor_stuck': 'Boiler in 2 stuck',
      'boiler-in_2_sensor_dropout': 'Boiler in 2 silent',
      'boiler-in_2_level': 'Boiler in 2 level ahead',
      disk_full: 'Disk full',
      overload: 'Overload',
      model: 'Model',
    });
    const forecast = cmps['boiler-in_2_fc']!;
    expect(forecast).toMatchObject({
      unit_of_measurement: '°C',
      device_class: 'temperature',
      state_topic: 'neuro-divergent/plant1/pi7/forecast/boiler-in_2',
      expire_after: 1800,
    });
    expect(forecast).not.toHaveProperty('state_class'); // a prediction is no statistic
    expect(cmps['pump_sc']).toMatchObject({ expire_after: 1500 });
  });

  test('a unit it has no class for is shown without one', async () => {
    await createHome(configOf(), store).announce(link, {
      ...shown,
      forecasts: [{ ...shown.forecasts[0]!, unit: 'people', horizon: 90, cadenceMs: 1000 }],
    });
    expect(last().cmps['boiler-in_2_fc']).toEqual(
      expect.not.objectContaining({ device_class: expect.anything() as unknown }),
    );
    expect(last().cmps['boiler-in_2_fc']).toMatchObject({
      unit_of_measurement: 'people',
      name: 'Boiler in 2 forecast +90 s',
    });
  });

  test('a name and a prefix of one’s own', async () => {
    const home = createHome(configOf({ home_assistant: { prefix: 'ha', name: 'Cellar' } }), store);
    expect(home.statusTopic).toBe('ha/status');
    await home.announce(link, shown);
    expect(sent[0]!.topic).toBe('ha/device/nd_plant1_pi7/config');
    expect(last().dev.name).toBe('Cellar');
  });

  test('what is gone is taken away, once, and not before the broker has the message', async () => {
    const home = createHome(configOf(), store);
    await home.announce(link, shown);
    const less = { forecasts: [], detectors: shown.detectors };
    arrives = false;
    await home.announce(link, less);
    arrives = true;
    await home.announce(link, less);
    expect(last().cmps).toMatchObject({ 'boiler-in_2_fc': { p: 'sensor' }, 'boiler-in_2_an': { p: 'binary_sensor' } });
    expect(last().cmps['boiler-in_2_fc']).toEqual({ p: 'sensor' });
    await createHome(configOf(), store).announce(link, less);
    expect(last().cmps).not.toHaveProperty('boiler-in_2_fc');
  });

  test('switched off, or moved: the message of before is emptied', async () => {
    await createHome(configOf(), store).announce(link, shown);
    await createHome(configOf({ home_assistant: { prefix: 'ha' } }), store).announce(link, shown);
    expect(sent.slice(1).map(({ topic: to, payload }) => [to, payload === ''])).toEqual([
      [topic, true],
      ['ha/device/nd_plant1_pi7/config', false],
    ]);
    const off = createHome(configOf({ home_assistant: null }), store);
    expect(off.statusTopic).toBeUndefined();
    await off.announce(link, shown);
    expect(sent.at(-1)).toEqual({ topic: 'ha/device/nd_plant1_pi7/config', payload: '', retain: true });
    await off.announce(link, shown);
    off.report(link, { v: 1, seqSeen: 0, models: [] });
    expect(sent).toHaveLength(4);
  });

  test('nothing is said while there is no broker', async () => {
    await createHome(configOf(), store).announce(undefined, shown);
    await createHome(configOf(), store).announce({ ...link, online: false }, shown);
    expect(sent).toEqual([]);
  });
});

test.each([
  ['nothing', [], { installed_version: 'none', latest_version: 'none', in_progress: false }],
  ['a proven model', [{ state: 'committed', slot: 'a', release: 2, previous: 1 }], { installed_version: 'boiler@2', latest_version: 'boiler@2', in_progress: false }], // prettier-ignore
  ['a download beside it', [{ state: 'downloading', slot: 'a', release: 3, previous: 2 }], { installed_version: 'boiler@2', latest_version: 'boiler@3', in_progress: true }], // prettier-ignore
  ['the first download', [{ state: 'downloading', slot: null, release: 1, previous: null }], { installed_version: 'boiler@none', latest_version: 'boiler@1', in_progress: true }], // prettier-ignore
  ['a model on probation', [{ state: 'probation', slot: 'b', release: 3, previous: 2 }], { installed_version: 'boiler@3', latest_version: 'boiler@3', in_progress: false }], // prettier-ignore
  ['a model that was refused', [{ state: 'failed', slot: 'a', release: 3, previous: 2 }], { installed_version: 'boiler@2', latest_version: 'boiler@2', in_progress: false }], // prettier-ignore
  ['a first model that was refused', [{ state: 'failed', slot: null, release: 1, previous: null }], { installed_version: 'boiler@none', latest_version: 'boiler@none', in_progress: false }], // prettier-ignore
] as const)('the versions of %s', (_, models, said) => {
  createHome(configOf(), store).report(link, {
    v: 1,
    seqSeen: 1,
    models: models.map((one) => ({
      line: 'boiler',
      arm: null,
      since: 0,
      code: null,
      detail: null,
      metrics: {},
      ...one,
    })),
  } satisfies ReportedPayload);
  expect(sent.map(({ topic: to, payload }) => [to, JSON.parse(payload) as unknown])).toEqual([
    ['neuro-divergent/plant1/pi7/model/ha', said],
  ]);
});
