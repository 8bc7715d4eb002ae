/** Topics of other makers to streams of ours. Which topics there are is known from the configuration alone. */
import { withPreset } from '../contracts/mapping.js';
import type { Mapping, MappingSettings } from '../contracts/mapping.js';
import { at } from '../contracts/reading.js';
import { parseJson } from '../contracts/wire.js';
import type { Subscription } from '../transport/mqtt.js';

/** A message is readings of this stream. */
export interface Route {
  readonly stream: string;
  readonly mapping: Mapping;
}

export interface Mapper {
  readonly subscriptions: readonly Subscription[];
  /** What `routes` is for the metrics of Sparkplug's nodes, whose topics stand here without the kind of message. */
  readonly sparkplug: { readonly topics: readonly string[]; routes(topic: string, metric: string): readonly Route[] };
  /** Streams that are named without a `$1`: they are known before they speak. */
  readonly streams: readonly string[];
  /** What a message on this topic is readings of. */
  routes(topic: string): readonly Route[];
  /** Streams whose sensor is gone, by what this message says. */
  offline(topic: string, payload: Uint8Array): readonly string[];
  /** Streams whose sensor is there, by what this message says. */
  online(topic: string, payload: Uint8Array): readonly string[];
}

/** A topic that says whether sensors are there. */
interface Leaf {
  readonly path: string | null;
  readonly offline: string;
  /** That it is there says nothing of the sensors. */
  readonly bridge: boolean;
  readonly streams: () => readonly string[];
}

/** Topics are remembered, up to so many. */
const REMEMBERED = 2000;

export function createMapper(settings: readonly MappingSettings[]): Mapper {
  const all = settings.map(withPreset);
  const isSparkplug = ({ format }: Mapping): boolean => format === 'sparkplugb';
  const mappings = all
    .filter((mapping) => !isSparkplug(mapping))
    .map((mapping) => ({
      mapping,
      pattern: patternOf(mapping.topic),
      leaves: mapping.availability.map((one) => ({ ...one, pattern: patternOf(one.topic) })),
      spoke: new Set<string>(),
    }));
  const nodes = all
    .filter(isSparkplug)
    .map((mapping) => ({ mapping, pattern: patternOf(mapping.topic), name: patternOf(mapping.metric!) }));
  const known = new Map<string, { readonly routes: readonly Route[]; readonly leaves: readonly Leaf[] }>();

  function routesOf(topic: string): Route[] {
    return mappings.flatMap(({ mapping, pattern, spoke }) => {
      const found = pattern.exec(topic);
      if (found === null) return [];
      const stream = streamOf(mapping.stream, found);
      if (spoke.size < REMEMBERED) spoke.add(stream);
      return [{ stream, mapping }];
    });
  }

  function leavesOf(topic: string): Leaf[] {
    return mappings.flatMap(({ mapping: { stream }, leaves, spoke }) =>
      leaves.flatMap(({ pattern, path, offline, bridge }) => {
        const found = pattern.exec(topic);
        if (found === null) return [];
        // A topic that names no sensor is about all of them.
        const all = found.length === 1 && stream.includes('$');
        return [
          { path, offline, bridge: bridge || all, streams: () => (all ? [...spoke] : [streamOf(stream, found)]) },
        ];
      }),
    );
  }

  /** A stream's topic comes with every reading of it. */
  function meaningOf(topic: string) {
    const before = known.get(topic);
    if (before !== undefined) return before;
    const meaning = { routes: routesOf(topic), leaves: leavesOf(topic) };
    if (known.size < REMEMBERED) known.set(topic, meaning);
    return meaning;
  }

  return {
    subscriptions: [
      ...new Set(mappings.map(({ mapping }) => mapping.topic)),
      ...new Set(mappings.flatMap(({ leaves }) => leaves.map(({ topic }) => topic))),
    ].map((filter) => ({ filter, qos: 1 })),
    sparkplug: {
      topics: nodes.map(({ mapping }) => mapping.topic),
      routes: (topic, metric) =>
        nodes.flatMap(({ mapping, pattern, name }) => {
          const found = pattern.exec(topic);
          const named = name.exec(metric);
          if (found === null || named === null) return [];
          return [{ stream: streamOf(mapping.stream, [...found, ...named.slice(1)]), mapping }];
        }),
    },
    streams: all.map(({ stream }) => stream).filter((stream) => !stream.includes('$')),
    routes: (topic) => meaningOf(topic).routes,
    offline: (topic, payload) =>
      meaningOf(topic).leaves.flatMap(({ path, offline, streams }) =>
        stateOf(payload, path) === offline ? streams() : [],
      ),
    online: (topic, payload) =>
      meaningOf(topic).leaves.flatMap(({ path, offline, bridge, streams }) =>
        bridge || payload.length === 0 || stateOf(payload, path) === offline ? [] : streams(),
      ),
  };
}

const patternOf = (filter: string): RegExp =>
  new RegExp(`^${filter.replace(/[.*?^${}()|[\]\\]/g, '\\$&').replaceAll('+', '([^/]+)')}$`);

/** `$1` is `found[1]`. Only what a stream's name may hold gets into it. */
const streamOf = (template: string, found: readonly string[]): string =>
  template
    .replace(/\$([1-9])/g, (_, n: string) => (found[Number(n)] ?? '').replace(/[^A-Za-z0-9_-]/g, '_'))
    .slice(0, 64);

/** The state in a message: at the path when it is JSON, else all of it. */
function stateOf(payload: Uint8Array, path: string | null): unknown {
  const json = path === null ? undefined : parseJson(payload);
  return json?.ok === true ? at(json.value, path!) : Buffer.from(payload).toString().trim();
}
