/**
 * Home Assistant's discovery (EDGE.md §7): one retained message that makes entities of what a device says, and a topic
 * with the versions of its models. Fields: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload.
 */
import type { DeviceConfig, StreamSettings } from '../contracts/config.js';
import type { ReportedPayload, UpdateState } from '../contracts/payload.js';
import { createTopics } from '../contracts/topic.js';
import { version } from '../version.js';
import type { MqttLink } from '../transport/mqtt.js';
import type { ConditionKind } from './condition.js';
import { createRules } from './reporting.js';
import type { Store } from './store.js';

/** What there is to show, besides the streams that are configured. */
export interface Shown {
  readonly forecasts: readonly {
    readonly stream: string;
    readonly unit: string | null;
    readonly cadenceMs: number;
    readonly horizon: number;
  }[];
  readonly detectors: readonly { readonly name: string; readonly cadenceMs: number }[];
}

/** Names as Home Assistant has them; `p` is the platform. */
type Component = Readonly<Record<string, unknown>> & { readonly p: string };
type Components = Readonly<Record<string, Component>>;

/** What was announced last: where, and the platform of each component. */
interface Announced {
  readonly topic: string;
  readonly platforms: Readonly<Record<string, string>>;
}

const REMEMBERED = 'home-assistant';
/** A value that is older shows as unavailable. */
const FORECAST_EXPIRES_S = 1800;
const SCORE_EXPIRES_S = 300;

const deviceClasses = new Map([
  ...['°C', '°F', 'K'].map((unit) => [unit, 'temperature'] as const),
  ...['Pa', 'hPa', 'kPa', 'mbar', 'bar'].map((unit) => [unit, 'pressure'] as const),
  ...['W', 'kW'].map((unit) => [unit, 'power'] as const),
  ...['V', 'mV'].map((unit) => [unit, 'voltage'] as const),
  ...['A', 'mA'].map((unit) => [unit, 'current'] as const),
  ...['Hz', 'kHz'].map((unit) => [unit, 'frequency'] as const),
  ['lx', 'illuminance'] as const,
]);

/** Faults of a sensor and levels: the name shown, and whether a stream is watched for it. */
const problems: Readonly<
  Record<
    Exclude<ConditionKind, 'disk_full' | 'overload'>,
    readonly [name: string, watched: (of: StreamSettings) => boolean]
  >
> = {
  sensor_range: ['out of range', ({ min, max }) => min !== null || max !== null],
  sensor_rate: ['changes too fast', ({ maxRate }) => maxRate !== null],
  sensor_stuck: ['stuck', ({ stuckCount }) => stuckCount !== null],
  sensor_dropout: ['silent', ({ maxSilenceMs }) => maxSilenceMs !== null],
  level: ['level ahead', ({ levels }) => levels.above !== null || levels.below !== null],
};

export interface Home {
  /** Where Home Assistant says that it has started; undefined when it is not configured. */
  readonly statusTopic: string | undefined;
  /** Says what there is; what is there no longer is taken away. Call it again whenever it changes, and after each connect. */
  announce(link: MqttLink | undefined, shown: Shown): Promise<void>;
  /** The versions of the models. */
  report(link: MqttLink | undefined, reported: ReportedPayload): void;
}

export function createHome(config: DeviceConfig, store: Store): Home {
  const { homeAssistant, site, device } = config;
  const node = `nd_${site}_${device}`;
  const topics = createTopics(config);
  const topic = homeAssistant === null ? undefined : `${homeAssistant.prefix}/device/${node}/config`;
  return {
    statusTopic: homeAssistant === null ? undefined : `${homeAssistant.prefix}/status`,
    async announce(link, shown) {
      if (link?.online !== true) return;
      const before = JSON.parse(store.get(REMEMBERED)?.toString() ?? 'null') as Announced | null;
      const retained = { qos: 1, retain: true } as const;
      if (before !== null && before.topic !== topic) await link.publish(before.topic, '', retained);
      if (topic === undefined) {
        if (before !== null) store.put(REMEMBERED, 'null');
        return;
      }
      const components = componentsOf(config, topics, shown);
      const gone = Object.entries(before?.topic === topic ? before.platforms : {}).filter(
        ([id]) => !Object.hasOwn(components, id),
      );
      const message = {
        dev: {
          ids: [node],
          name: homeAssistant?.name ?? device,
          mf: 'neuro-divergent',
          mdl: 'edge runtime',
          sw: version,
        },
        o: { name: 'neuro-divergent', sw: version },
        qos: 1,
        availability: [{ topic: topics.status, value_template: '{{ value_json.state }}' }],
        cmps: { ...components, ...Object.fromEntries(gone.map(([id, p]) => [id, { p }])) },
      };
      const platforms = Object.fromEntries(Object.entries(components).map(([id, { p }]) => [id, p]));
      if (await link.publish(topic, JSON.stringify(message), retained))
        store.put(REMEMBERED, JSON.stringify({ topic, platforms } satisfies Announced));
    },
    report(link, { models }) {
      if (topic === undefined || link?.online !== true) return;
      const lines = models.map(({ line, state, slot, release, previous }) => {
        const unheard = state === 'failed' || state === 'rolled_back' || state === 'shadow';
        const running = slot === null ? null : runs(state) ? release : previous;
        const busy = !unheard && !runs(state) && state !== 'offered'; // that may wait to be asked for
        return { line, running, latest: unheard ? running : release, busy };
      });
      const versions = (of: 'running' | 'latest'): string =>
        lines.map((one) => `${one.line}@${one[of] ?? 'none'}`).join(', ') || 'none';
      const body = {
        installed_version: versions('running'),
        latest_version: versions('latest'),
        in_progress: lines.some(({ busy }) => busy),
      };
      void link.publish(`${topics.prefix}/model/ha`, JSON.stringify(body), { qos: 1, retain: true });
    },
  };
}

/** The release that is reported is the one in the slot. */
const runs = (state: UpdateState): boolean => state === 'idle' || state === 'committed' || state === 'probation';

function componentsOf(
  config: DeviceConfig,
  topics: ReturnType<typeof createTopics>,
  { forecasts, detectors }: Shown,
): Components {
  const prefix = `nd_${config.site}_${config.device}`;
  const components: Record<string, Component> = {};
  const add = (id: string, component: Component): void => {
    components[id] = { unique_id: `${prefix}_${id}`, ...component };
  };
  const problem = (id: string, stream: string, kind: string, name: string): void =>
    add(id, {
      p: 'binary_sensor',
      name,
      device_class: 'problem',
      state_topic: topics.alert(stream, kind),
      value_template: "{{ 'ON' if value_json.state == 'firing' else 'OFF' }}",
      json_attributes_topic: topics.alert(stream, kind),
      json_attributes_template:
        "{{ {'reason': value_json.reason, 'severity': value_json.severity, 'value': value_json.value, 'expected': value_json.expected} | tojson }}",
    });
  const score = (name: string, cadenceMs: number): void => {
    add(`${name}_sc`, {
      p: 'sensor',
      name: `${titleOf(name)} anomaly score`,
      state_topic: topics.score(name),
      value_template: '{{ value_json.score }}',
      state_class: 'measurement',
      entity_category: 'diagnostic',
      expire_after: Math.max(SCORE_EXPIRES_S, (5 * cadenceMs) / 1000),
    });
    problem(`${name}_an`, name, 'anomaly', `${titleOf(name)} anomaly`);
  };
  const events = (name: string): void =>
    add(`${name}_ev`, {
      p: 'event',
      name: `${titleOf(name)} alert`,
      state_topic: topics.event(name),
      value_template: "{{ {'event_type': value_json.event, 'severity': value_json.severity} | tojson }}",
      event_types: ['opened', 'updated', 'resolved', 'superseded', 'stale', 'suppressed'],
    });

  for (const { stream, unit, cadenceMs, horizon } of forecasts) {
    add(`${stream}_fc`, {
      p: 'sensor',
      name: `${titleOf(stream)} forecast +${durationOf(horizon * cadenceMs)}`,
      state_topic: topics.forecast(stream),
      value_template: '{{ value_json.ha.v }}',
      ...(unit !== null && { unit_of_measurement: unit }),
      ...(deviceClasses.has(unit ?? '') && { device_class: deviceClasses.get(unit!) }),
      json_attributes_topic: topics.forecast(stream),
      json_attributes_template: '{{ value_json.ha | tojson }}',
      expire_after: Math.max(FORECAST_EXPIRES_S, (5 * cadenceMs) / 1000),
    });
    score(stream, cadenceMs);
    events(stream);
  }
  for (const { name, cadenceMs } of detectors) {
    score(name, cadenceMs);
    events(name);
  }
  const rulesOf = createRules(config);
  for (const stream of Object.keys(config.streams))
    for (const [kind, [name, watched]] of Object.entries(problems))
      if (watched(rulesOf(stream))) {
        problem(`${stream}_${kind}`, stream, kind, `${titleOf(stream)} ${name}`);
        if (!Object.hasOwn(components, `${stream}_ev`)) events(stream);
      }
  problem('disk_full', 'device', 'disk_full', 'Disk full');
  problem('overload', 'device', 'overload', 'Overload');
  add('model', {
    p: 'update',
    name: 'Model',
    state_topic: `${topics.prefix}/model/ha`,
    entity_category: 'diagnostic',
    ...(config.repository?.install === 'asked' && {
      command_topic: `${topics.prefix}/cmd/model-install`,
      payload_install: '{}',
    }),
  });
  return components;
}

/** `boiler_2-in` -> `Boiler 2 in`. */
const titleOf = (name: string): string => {
  const words = name.replace(/[_-]+/g, ' ').trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
};

const durationOf = (ms: number): string => {
  for (const [unit, size] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
  ] as const)
    if (ms % size === 0) return `${ms / size} ${unit}`;
  return `${ms / 1000} s`;
};
