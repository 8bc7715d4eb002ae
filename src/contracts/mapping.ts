/**
 * Messages of other makers: which topic and which field of it is which stream (EDGE.md §3). Presets are settings like a
 * user's own, which win over them.
 */
import * as z from 'zod/mini';
import { heartbeatBelongs, reportingNames, reportingShape } from './reporting.js';
import type { ReportMode } from './reporting.js';
import { wireObject } from './wire.js';

const strict = { strict: true };
export const timeFormats = ['auto', 'iso', 's', 'ms', 'us', 'ns'] as const;
export type TimeFormat = (typeof timeFormats)[number];

/** `+` stands for one level; `#` would take more than a mapping can name. */
const topicFilter = z
  .string()
  .check(z.regex(/^(?:\+|[^+#/\0]*)(?:\/(?:\+|[^+#/\0]*))*$/, 'expected a topic, with + for any one level'));
const pointer = z.string().check(z.regex(/^(?:\/(?:[^~/]|~[01])*)+$/, 'expected a JSON pointer such as /temperature'));

const availabilitySettings = wireObject(
  {
    topic: topicFilter,
    /** Of the state in a JSON message; the whole message is the state when null. */
    path: z._default(z.nullable(pointer), null),
    offline: z._default(z.string(), 'offline'),
    /** It speaks for something between: when that is gone its sensors are too, when it is there they need not be. */
    bridge: z._default(z.boolean(), false),
  },
  strict,
);

interface Preset {
  readonly topic: string;
  readonly format: 'json' | 'text';
  readonly tsPath?: string;
  readonly report?: ReportMode;
  readonly availability: readonly {
    readonly topic: string;
    readonly path?: string;
    readonly offline?: string;
    readonly bridge?: boolean;
  }[];
}

/** `<name>` and `<id>` are the settings of these names. */
export const presets = {
  // Its times have no zone, so those of arrival are taken.
  tasmota: {
    topic: 'tele/<name>/SENSOR',
    format: 'json',
    availability: [{ topic: 'tele/<name>/LWT', offline: 'Offline' }],
  },
  zigbee2mqtt: {
    topic: 'zigbee2mqtt/<name>',
    format: 'json',
    tsPath: '/last_seen',
    report: 'on_change',
    availability: [
      { topic: 'zigbee2mqtt/<name>/availability', path: '/state' },
      { topic: 'zigbee2mqtt/bridge/state', path: '/state', bridge: true },
    ],
  },
  // It sends every `update_interval`, changed or not.
  esphome: { topic: '<name>/sensor/<id>/state', format: 'text', availability: [{ topic: '<name>/status' }] },
  /** Home Assistant's integration `mqtt_statestream`; `name` is its `base_topic`. */
  homeassistant: { topic: '<name>/sensor/<id>/state', format: 'text', report: 'on_change', availability: [] },
} as const satisfies Record<string, Preset>;
const presetNames = Object.keys(presets) as (keyof typeof presets)[];

export const mappingSettings = wireObject(
  {
    preset: z._default(z.nullable(z.enum(presetNames)), null),
    /** What a preset's `<name>` and `<id>` stand for; `+` for all. */
    name: z._default(z.nullable(topicFilter), null),
    id: z._default(z.nullable(topicFilter), null),
    topic: z._default(z.nullable(topicFilter), null),
    /** `$1` is what the first `+` of the topic stood for. */
    stream: z.string().check(z.regex(/^(?:[A-Za-z0-9_-]|\$[1-9]){1,64}$/, 'expected a name of a stream, with $1 … $9')),
    format: z._default(z.nullable(z.enum(['json', 'text', 'cbor', 'sparkplugb'])), null),
    /** Of Sparkplug B, whose topic is given without the kind of message: `+` for any one level, which `$n` counts on. */
    metric: z._default(z.nullable(topicFilter), null),
    /** Where the value is; a message in the shapes of `in/<stream>` needs none. */
    path: z._default(z.nullable(pointer), null),
    /** Where the time is; that of arrival where there is none. */
    tsPath: z._default(z.nullable(pointer), null),
    tsFormat: z._default(z.enum(timeFormats), 'auto'),
    /** Of the values in the message, after `scale` and `offset`. */
    unit: z._default(z.nullable(z.string()), null),
    scale: z._default(z.number(), 1),
    offset: z._default(z.number(), 0),
    /** `true`, `ON` and `open` are 1; `false`, `OFF` and `closed` 0. */
    onOff: z._default(z.boolean(), false),
    /** Of its streams, unless they have settings of their own. */
    ...reportingShape,
    /** Says that the sensor is gone, which is an alert `sensor_dropout` until it speaks again. */
    availability: z._default(z.nullable(z.array(availabilitySettings)), null),
  },
  { ...strict, names: reportingNames },
).check(
  heartbeatBelongs,
  z.refine(
    ({ preset, topic, name, id }) =>
      topic !== null || (preset !== null && [...presets[preset].topic.matchAll(/<(\w+)>/g)].every(([, part]) => (part === 'name' ? name : id) !== null)), // prettier-ignore
    'needs a topic, or a preset and the name (and id) that it asks for',
  ),
  z.refine(
    ({ format, topic, metric, path }) =>
      format === 'sparkplugb'
        ? /^spBv1\.0(?:\/[^/]+){2,3}$/.test(topic ?? '') && metric !== null && path === null
        : metric === null,
    'Sparkplug B needs format: sparkplugb, a topic spBv1.0/group/node or spBv1.0/group/node/device, a metric and no path',
  ),
);
export type MappingSettings = z.output<typeof mappingSettings>;

/** A mapping with its preset filled in. */
export interface Mapping extends Omit<MappingSettings, 'topic' | 'availability'> {
  readonly topic: string;
  readonly availability: readonly z.output<typeof availabilitySettings>[];
}

export function withPreset(settings: MappingSettings): Mapping {
  const preset: Preset | undefined = settings.preset === null ? undefined : presets[settings.preset];
  const fill = (text: string): string => text.replace('<name>', settings.name ?? '').replace('<id>', settings.id ?? '');
  return {
    ...settings,
    topic: settings.topic ?? fill(preset!.topic),
    format: settings.format ?? preset?.format ?? null,
    tsPath: settings.tsPath ?? preset?.tsPath ?? null,
    report: settings.report ?? preset?.report ?? null,
    availability:
      settings.availability ??
      (preset?.availability ?? []).map(({ topic, path = null, offline = 'offline', bridge = false }) => ({
        topic: fill(topic),
        path,
        offline,
        bridge,
      })),
  };
}
