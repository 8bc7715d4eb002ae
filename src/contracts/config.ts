/** The device configuration (EDGE.md §16): one schema gives types, defaults, checks and errors. */
import * as z from 'zod/mini';
import { NeuroDivergentError } from '../errors.js';
import { duration } from './duration.js';
import { limits } from './limit.js';
import { mappingSettings } from './mapping.js';
import { providers } from './provider.js';
import { heartbeatBelongs, reportingNames, reportingShape } from './reporting.js';
import { segmentPattern } from './topic.js';
import { readWire, wireObject } from './wire.js';

const strict = { strict: true };
const segment = z.string().check(z.regex(segmentPattern, 'expected 1 to 64 letters, digits, "_" or "-"'));
const sparkplugId = z.string().check(z.regex(/^[^+/#\0]{1,100}$/, 'expected a name without "+", "/" and "#"'));
const positive = z.number().check(z.positive());
const count = z.int().check(z.positive());
const url = (schemes: RegExp, example: string) =>
  z.string().check(z.refine((text) => schemes.test(text) && URL.canParse(text), `expected a URL such as ${example}`));
const probability = z.number().check(z.gt(0), z.lt(1));

/** Addresses that only this machine reaches. */
const loopback = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/;

/** Each also says what those before it say. */
export const logLevels = ['error', 'warning', 'info', 'debug'] as const;
export type LogLevel = (typeof logLevels)[number];

/** When a verdict becomes an alert and when it ends (EDGE.md §6). */
const alertRules = ({
  clearThreshold = 0.01,
  openCount = 2,
  openWindow = 3,
  clearCount = 5,
  cooldownMs = 600_000,
} = {}) => ({
  /** Opens below this p-value; the bundle's `anomaly_p`, or the detector's own, when null. */
  threshold: z._default(z.nullable(probability), null),
  clearThreshold: z._default(probability, clearThreshold),
  /** Opens when `openCount` of the last `openWindow` buckets exceed. */
  openCount: z._default(count, openCount),
  openWindow: z._default(count, openWindow),
  /** Clears after so many buckets in a row below the clear level. */
  clearCount: z._default(count, clearCount),
  cooldownMs: z._default(duration, cooldownMs),
  repeatMs: z._default(duration, 21_600_000),
  /** More than so many openings asks for twice the buckets and the cooldown, until none was open for `quiet`; null: never. */
  flapping: z.prefault(
    z.nullable(
      wireObject(
        {
          opens: z._default(count, 5),
          withinMs: z._default(duration, 3_600_000),
          quietMs: z._default(duration, 7_200_000),
        },
        { strict: true, names: { withinMs: 'within', quietMs: 'quiet' } },
      ),
    ),
    {},
  ),
  severity: z.prefault(
    wireObject(
      {
        info: z._default(probability, 1e-2),
        warning: z._default(probability, 1e-3),
        critical: z._default(probability, 1e-4),
      },
      strict,
    ),
    {},
  ),
});
const alertNames = { cooldownMs: 'cooldown', repeatMs: 'repeat' };

export const alertSettings = wireObject(
  {
    ...alertRules(),
    /** `conformal` ranks among past scores; `pot` fits peaks over threshold and learns nothing from anomalies. */
    method: z._default(z.enum(['conformal', 'pot']), 'conformal'),
    /** Scores kept for the rank of a new one. */
    ringSize: z._default(count, 2000),
    /** Scores needed before the first verdict; `warming` until then. */
    ringMinimum: z._default(count, 300),
    /** Step of the adaptive interval. */
    gamma: z._default(probability, 0.01),
    /** So many openings a minute are told one by one, over all streams; the others in one summary. Null: all of them. */
    rateCap: z._default(z.nullable(count), 6),
  },
  { strict: true, names: alertNames },
);

/** Anomalies without a model: one stream against its baseline, several as a group (docs/anomalies.md). */
const detectorSettings = wireObject(
  {
    streams: z.array(segment).check(z.minLength(1), z.maxLength(64)),
    cadenceMs: duration.check(z.positive()),
    /** How a group expects its sensors: each by its own forecast, or as they were in training. */
    mode: z._default(z.enum(['forecast', 'reconstruction']), 'forecast'),
    /** Buckets that a group takes as quiet times; fewer say too little. */
    training: z._default(z.int().check(z.gte(200), z.lte(100_000)), 400),
    /** Two cadences when null. */
    latenessMs: z._default(z.nullable(duration), null),
    /** An alert opens at once and ends after 200 calm buckets. */
    alerts: z.prefault(
      wireObject(alertRules({ clearThreshold: 0.001, openCount: 1, openWindow: 1, clearCount: 200, cooldownMs: 0 }), {
        strict: true,
        names: alertNames,
      }),
      {},
    ),
  },
  { strict: true, names: { cadenceMs: 'cadence', latenessMs: 'lateness' } },
);
export type DetectorSettings = z.output<typeof detectorSettings>;

export const streamSettings = wireObject(
  {
    unit: z._default(z.nullable(z.string()), null),
    min: z._default(z.nullable(z.number()), null),
    max: z._default(z.nullable(z.number()), null),
    /** Largest change in the stream's unit per second; faster is an alert. */
    maxRate: z._default(z.nullable(positive), null),
    /** So many equal readings in a row are an alert. */
    stuckCount: z._default(z.nullable(z.int().check(z.gte(2))), null),
    ...reportingShape,
    /** No sign of life for so long is an alert; a day for `on_change` and two heartbeats for `heartbeat` when null. */
    maxSilenceMs: z._default(z.nullable(duration), null),
    /** A forecast that crosses one of these is an alert. */
    levels: z.prefault(
      wireObject(
        { above: z._default(z.nullable(z.number()), null), below: z._default(z.nullable(z.number()), null) },
        strict,
      ),
      {},
    ),
    acceptRetained: z._default(z.boolean(), false),
    /** Two cadences of the model when null. */
    latenessMs: z._default(z.nullable(duration), null),
    /** Longest gap that is imputed, in steps. */
    maxGap: z._default(count, 3),
  },
  { strict: true, names: { ...reportingNames, latenessMs: 'lateness', maxSilenceMs: 'max_silence' } },
).check(heartbeatBelongs);
export type StreamSettings = z.output<typeof streamSettings>;

const mqttSettings = wireObject(
  {
    url: url(/^(?:mqtt|mqtts|ws|wss):\/\//, 'mqtt://127.0.0.1:1883'),
    username: z.optional(z.string()),
    passwordFile: z.optional(z.string()),
    caFile: z.optional(z.string()),
    certFile: z.optional(z.string()),
    keyFile: z.optional(z.string()),
    /** `private` allows a password over plain TCP to a private address; never to a public one. */
    allowInsecure: z._default(z.enum(['none', 'private']), 'none'),
  },
  strict,
);
export type MqttSettings = z.output<typeof mqttSettings>;

/** Training a model further on the device's own readings, in a process that gives way to all others. */
export const tuningSettings = wireObject(
  {
    everyMs: z._default(duration.check(z.gte(60_000)), 604_800_000),
    steps: z._default(z.int().check(z.gte(1), z.lte(100_000)), 500),
    /** It ends without a result after so many. */
    minutes: z._default(positive, 15),
    /** The same for the memory of its process, its own 90 MB included. */
    memoryMb: z._default(z.int().check(z.gte(128)), 256),
  },
  { strict: true, names: { everyMs: 'every' } },
);
export type TuningSettings = z.output<typeof tuningSettings>;

export const deviceConfigSchema = wireObject(
  {
    base: z._default(segment, 'neuro-divergent'),
    site: segment,
    device: segment,
    /** Everything the device keeps: database, slots, trust. */
    stateDir: z.string().check(z.minLength(1)),
    mqtt: mqttSettings,
    /** Metrics and health; `port: null` switches it off. */
    http: z.prefault(
      wireObject(
        {
          host: z._default(z.string(), '127.0.0.1'),
          port: z._default(z.nullable(z.int().check(z.gte(0), z.lte(65_535))), 9464),
          /** Holds what every request must bring as `Authorization: Bearer …`. */
          tokenFile: z.optional(z.string()),
          /** `/readyz` asks for no model: the device has none, or is of use without. */
          degradedOk: z._default(z.boolean(), false),
        },
        strict,
      ).check(
        z.refine(
          ({ host, port, tokenFile }) => port === null || tokenFile !== undefined || loopback.test(host),
          'an address that others can reach asks for a token: set http.token_file, or leave http.host at 127.0.0.1',
        ),
      ),
      {},
    ),
    /** What computes, in order of preference: a bundle runs on the first that is here and that it has a file for. */
    engine: z.prefault(
      wireObject(
        {
          providers: z._default(z.array(z.enum(providers)).check(z.minLength(1)), ['cpu']),
          /** Without a graphics card that works, do not start. */
          requireGpu: z._default(z.boolean(), false),
        },
        strict,
      ),
      {},
    ),
    /** Where models come from, and what vouches for them; null for a device that only runs what is already in its slots. */
    repository: z._default(
      z.nullable(
        wireObject(
          {
            /** Null for a device that takes update files alone. */
            url: z._default(z.nullable(url(/^https?:\/\//, 'https://models.example.org')), null),
            rootFile: z.string(),
            /** `asked` waits for the command `model-install` before it fetches what is desired. */
            install: z._default(z.enum(['at_once', 'asked']), 'at_once'),
          },
          strict,
        ),
      ),
      null,
    ),
    /** Where update files (`.ndb`) are looked for, such as a USB stick, beside `offline` in `stateDir`. */
    offlineDir: z._default(z.nullable(z.string().check(z.minLength(1))), null),
    /** `{}` makes entities in Home Assistant of what the device says; null for none. */
    homeAssistant: z._default(
      z.nullable(
        wireObject(
          {
            /** Home Assistant's own setting of that name. */
            prefix: z._default(segment, 'homeassistant'),
            /** What it calls the device; its MQTT name when null. */
            name: z._default(z.nullable(z.string().check(z.minLength(1), z.maxLength(100))), null),
          },
          strict,
        ),
      ),
      null,
    ),
    /** Forecasts and alerts as an edge node of Sparkplug B (docs/guides/sparkplug.md); null for none. */
    sparkplug: z._default(
      z.nullable(
        wireObject(
          {
            group: sparkplugId,
            node: sparkplugId,
            /** The device's own broker and account when null. */
            mqtt: z._default(z.nullable(mqttSettings), null),
          },
          strict,
        ),
      ),
      null,
    ),
    streams: z._default(z.record(segment, streamSettings), {}),
    /** Sensors that speak on topics of their own (docs/guides/home-assistant.md, docs/guides/sparkplug.md). */
    mappings: z._default(z.array(mappingSettings).check(z.maxLength(500)), []),
    /** Create streams that are not listed, up to `maxStreams`. */
    autoStreams: z._default(z.boolean(), false),
    maxStreams: z._default(count, limits.streams),
    /** Messages a second that a stream may go on sending; of more the newest are kept. */
    maxMessageRate: z._default(count, 1000),
    alerts: z.prefault(alertSettings, {}),
    /** By name, which their alerts carry; no name of a stream, whose model has alerts of its own. */
    detectors: z._default(
      z.record(segment, detectorSettings).check(
        z.refine((detectors) => {
          const streams = Object.values(detectors).flatMap((one) => one.streams);
          return !streams.some((stream) => Object.hasOwn(detectors, stream));
        }, 'a detector needs a name that no stream has'),
      ),
      {},
    ),
    /** `system` waits for time synchronisation, `trusted` believes the wall clock at once. */
    clock: z._default(z.enum(['system', 'trusted']), 'system'),
    /** `{}` tunes every model that was packed for it, once a week; null for none. */
    tuning: z._default(z.nullable(tuningSettings), null),
    retentionDays: z._default(positive, 30),
    databaseBytes: z._default(count, 256 * 1024 * 1024),
    healthMs: z._default(duration, 60_000),
    logLevel: z._default(z.enum(logLevels), 'info'),
  },
  { strict: true, names: { healthMs: 'health' } },
);

export type DeviceConfig = z.output<typeof deviceConfigSchema>;

/**
 * Checks a configuration that has been read from YAML or JSON and fills in the defaults.
 * Throws `ND_CONFIG_UNKNOWN_KEY` (naming the nearest key) or `ND_CONFIG_OUT_OF_RANGE` (naming every finding).
 */
export function parseConfig(value: unknown, where: string): DeviceConfig {
  const result = readWire(deviceConfigSchema, value);
  if (result.ok) return result.value;
  const unknownKey = result.findings.some((finding) => finding.code === 'unrecognized_keys');
  throw new NeuroDivergentError(unknownKey ? 'ND_CONFIG_UNKNOWN_KEY' : 'ND_CONFIG_OUT_OF_RANGE', {
    where,
    what: `${result.findings.map(({ path, message }) => `${path}: ${message}`).join('; ')}.`,
    mend: 'Correct the settings named here.',
  });
}
