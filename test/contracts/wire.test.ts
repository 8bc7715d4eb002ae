import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson } from '../../src/contracts/canonical.js';
import { parseConfig } from '../../src/contracts/config.js';
import { desiredSchema } from '../../src/contracts/desired.js';
import { manifestSchema, bundlePath } from '../../src/contracts/manifest.js';
import { alertPayload, forecastPayload, statusPayload } from '../../src/contracts/payload.js';
import { fromWire, parseWire, toWire, wireText } from '../../src/contracts/wire.js';
import type { WireSchema } from '../../src/contracts/wire.js';
import { wireAlert, wireDesired, wireForecast, wireManifest } from './example.js';

test.each<[string, WireSchema<unknown>, unknown]>([
  ['manifest', manifestSchema, wireManifest],
  ['desired state', desiredSchema, wireDesired],
  ['forecast', forecastPayload, wireForecast],
  ['alert', alertPayload, wireAlert],
])('the %s of the conventions reads in, and writes out as it was', (_, schema, wire) => {
  const read = fromWire(schema, wire);
  expect(read).toMatchObject({ ok: true });
  expect(toWire(schema, (read as { value: unknown }).value)).toEqual(wire);
});

test('names are snake_case outside and camelCase inside, keys of maps stay', () => {
  const read = fromWire(manifestSchema, wireManifest);
  expect(read).toMatchObject({
    value: {
      inputLength: 96,
      inputs: [{ cadenceMs: 60_000 }],
      golden: { tolerance: { fp32: 1e-5 } },
      thresholds: { anomalyP: 0.001 },
    },
  });
});

test('unknown fields of a payload are ignored, a camelCase spelling is unknown', () => {
  expect(fromWire(statusPayload, { v: 1, state: 'offline', boot: 'b', extra: 1 })).toEqual({
    ok: true,
    value: { v: 1, state: 'offline', boot: 'b' },
  });
  expect(fromWire(manifestSchema, { ...wireManifest, min_runtime: undefined, minRuntime: '0.1.0' })).toMatchObject({
    ok: false,
    reason: 'malformed',
  });
});

test('a finding is named by its path on the wire', () => {
  const broken = { ...wireManifest, inputs: [{ ...wireManifest.inputs[0], cadence_ms: -1 }] };
  expect(fromWire(manifestSchema, broken)).toMatchObject({
    reason: 'malformed',
    detail: expect.stringMatching(/^inputs\.0\.cadence_ms: /) as string,
  });
});

test('NaN never leaves', () => {
  const forecast = fromWire(forecastPayload, wireForecast);
  if (!forecast.ok) throw new Error(forecast.detail);
  expect(() => wireText(forecastPayload, { ...forecast.value, p50: [Number.NaN] })).toThrow();
});

test('text that is too large is not parsed; text that is no JSON is malformed', () => {
  expect(parseWire(statusPayload, Buffer.alloc(11), 10)).toMatchObject({ reason: 'too_large' });
  expect(parseWire(statusPayload, Buffer.from('{'), 10)).toMatchObject({ reason: 'malformed' });
  expect(parseWire(statusPayload, Buffer.from([0xff]), 10)).toMatchObject({ reason: 'malformed' });
});

test('random JSON is never taken for a manifest or a desired state, and never throws', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      for (const schema of [manifestSchema, desiredSchema] as WireSchema<unknown>[])
        expect(fromWire(schema, value)).toMatchObject({ ok: false });
    }),
  );
});

test.each(['/etc/passwd', '../x', 'a/../b', 'a//b', './a', 'a/', 'a\\b', 'C:x', '', '..', 'a/..', 'a\0b'])(
  '%j is no path of a bundle',
  (path) => {
    expect(bundlePath.safeParse(path).success).toBe(false);
  },
);

test.each(['model.int8.onnx', 'a/b.c', '..a', 'a..b/c'])('%j is a path of a bundle', (path) => {
  expect(bundlePath.safeParse(path).success).toBe(true);
});

describe('canonical JSON', () => {
  test('sorts keys, keeps numbers as ECMAScript prints them', () => {
    expect(canonicalJson({ b: [1e21, -0, 0.1, null], a: { z: 'é"\n', y: true }, skipped: undefined })).toBe(
      '{"a":{"y":true,"z":"é\\"\\n"},"b":[1e+21,0,0.1,null]}',
    );
  });

  test('says what JSON.stringify says, whatever the order of keys', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test('has no form for NaN or a function', () => {
    expect(() => canonicalJson({ a: Number.NaN })).toThrow(TypeError);
    expect(() => canonicalJson([() => 1])).toThrow(TypeError);
  });
});

describe('the configuration of a device', () => {
  const minimal = { site: 'plant1', device: 'pi7', state_dir: '/var/lib/nd', mqtt: { url: 'mqtt://127.0.0.1' } };

  test('has defaults for all but the names, the state folder and the broker', () => {
    expect(parseConfig(minimal, 'config.yaml')).toEqual({
      base: 'neuro-divergent',
      site: 'plant1',
      device: 'pi7',
      stateDir: '/var/lib/nd',
      mqtt: { url: 'mqtt://127.0.0.1', allowInsecure: 'none' },
      http: { host: '127.0.0.1', port: 9464, degradedOk: false },
      engine: { providers: ['cpu'], requireGpu: false },
      repository: null,
      offlineDir: null,
      homeAssistant: null,
      sparkplug: null,
      tuning: null,
      streams: {},
      mappings: [],
      autoStreams: false,
      maxStreams: 500,
      maxMessageRate: 1000,
      clock: 'system',
      alerts: {
        threshold: null,
        clearThreshold: 0.01,
        openCount: 2,
        openWindow: 3,
        clearCount: 5,
        cooldownMs: 600_000,
        repeatMs: 21_600_000,
        flapping: { opens: 5, withinMs: 3_600_000, quietMs: 7_200_000 },
        rateCap: 6,
        severity: { info: 0.01, warning: 0.001, critical: 0.0001 },
        ringSize: 2000,
        ringMinimum: 300,
        gamma: 0.01,
        method: 'conformal',
      },
      detectors: {},
      retentionDays: 30,
      databaseBytes: 268_435_456,
      logLevel: 'info',
      healthMs: 60_000,
    });
  });

  test.each(['0.0.0.0', '::', '192.168.1.5', 'pi7.local', '127.evil.example'])(
    'offers pages on %s to others only with a token',
    (host) => {
      const at = (http: object) => () => parseConfig({ ...minimal, http: { host, ...http } }, 'x');
      expect(at({})).toThrow(
        /^x: http: .*set http\.token_file, or leave http\.host at 127\.0\.0\.1.*ND_CONFIG_OUT_OF_RANGE/,
      );
      expect(at({ token_file: 'token' })().http).toMatchObject({ host, tokenFile: 'token' });
      expect(at({ port: null })().http.port).toBe(null);
    },
  );

  test.each(['localhost', '127.0.0.1', '127.8.8.8', '::1'])('asks for no token on %s', (host) => {
    expect(parseConfig({ ...minimal, http: { host } }, 'x').http.host).toBe(host);
  });

  test('takes durations as people write them', () => {
    expect(parseConfig({ ...minimal, health: '500ms', alerts: { cooldown: '2h' } }, 'x')).toMatchObject({
      healthMs: 500,
      alerts: { cooldownMs: 7_200_000 },
    });
  });

  test('names the nearest key for one that is unknown', () => {
    expect(() => parseConfig({ ...minimal, mqtt: { ulr: 'mqtt://x' } }, 'config.yaml')).toThrow(
      expect.objectContaining({
        code: 'ND_CONFIG_UNKNOWN_KEY',
        message: expect.stringMatching(/config\.yaml: mqtt\.ulr: "ulr" is unknown, did you mean "url"\?/) as string,
      }),
    );
  });

  test('names the value that is out of range', () => {
    expect(() => parseConfig({ ...minimal, site: 'a/b', streams: { boiler: { max_gap: 0 } } }, 'config.yaml')).toThrow(
      expect.objectContaining({
        code: 'ND_CONFIG_OUT_OF_RANGE',
        message: expect.stringMatching(/site: .*streams\.boiler\.max_gap: /) as string,
      }),
    );
  });
});
