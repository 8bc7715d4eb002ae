/**
 * Sparkplug B as input (EDGE.md §3): a node says in its BIRTH what its metrics are called, then sends values under their aliases. What is
 * missed of it is asked for again.
 */
import { limits } from '../contracts/limit.js';
import type { RejectionReason } from '../contracts/reason.js';
import type { MqttMessage, Subscription } from '../transport/mqtt.js';
import {
  BD_SEQ,
  decodeSparkplug,
  NAMESPACE,
  parseSparkplugTopic,
  rebirthRequest,
  sparkplugTopic,
  valueOf,
} from '../transport/sparkplug.js';
import type { Integer, SparkplugMetric, SparkplugPayload, SparkplugTopic } from '../transport/sparkplug.js';
import type { Clock } from './clock.js';
import type { Mapper, Route } from './mapper.js';

/** What a message brought. */
export interface Heard {
  /** In the order they came; `decoded` is a message in our own shape. */
  readonly samples: readonly (Route & { readonly decoded: object })[];
  /** Streams whose node or device has died. */
  readonly gone: readonly string[];
  readonly rejected: readonly RejectionReason[];
  /** Publish it: its node shall tell everything again. */
  readonly request?: { readonly topic: string; readonly payload: Uint8Array };
}

export interface SparkplugIn {
  readonly subscriptions: readonly Subscription[];
  /** Undefined for a topic that is none of Sparkplug's. Never throws. */
  receive(message: Pick<MqttMessage, 'topic' | 'payload' | 'retain'>): Heard | undefined;
  /** The broker has kept no session: a BIRTH may have been missed, so none counts any longer. */
  forget(): void;
}

/** What a BIRTH said of a metric, and which streams it feeds. */
interface Named {
  readonly datatype: Integer | undefined;
  readonly routes: readonly Route[];
}

/** By name and by alias. */
type Metrics = ReadonlyMap<string | Integer, Named>;

interface Node {
  readonly bdSeq: Integer | undefined;
  seq: Integer | undefined;
  /** Of the node itself under `''`, of its devices under their names. */
  readonly metrics: Map<string, Metrics>;
}

const REBIRTH_EVERY_MS = 10_000;
const NODES = 500;
/** Names and aliases of all nodes. */
const METRICS = 50_000;

const nothing: Heard = { samples: [], gone: [], rejected: [] };
const rejected = (...reasons: readonly RejectionReason[]): Heard => ({ ...nothing, rejected: reasons });

/** `own` is a node that is not listened to: ours. */
export function createSparkplugIn(
  mapper: Mapper['sparkplug'],
  clock: Pick<Clock, 'now' | 'monotonicMs'>,
  own: { readonly group: string; readonly node: string } | null = null,
): SparkplugIn {
  const nodes = new Map<string, Node>();
  const askedMs = new Map<string, number>();
  let known = 0;

  const routesOf = ({ group, node, device }: SparkplugTopic, name: string): readonly Route[] =>
    mapper.routes([NAMESPACE, group, node, ...(device === undefined ? [] : [device])].join('/'), name);

  /** A BIRTH of a node or a device. */
  function learn(node: Node, topic: SparkplugTopic, payload: SparkplugPayload): Heard {
    forgetMetrics(node, topic.device);
    const metrics = new Map<string | Integer, Named>();
    for (const { name, alias, datatype } of payload.metrics) {
      if (name === undefined || name.length > limits.topicBytes) continue;
      const named = { datatype, routes: routesOf(topic, name) };
      for (const key of [name, alias]) if (key !== undefined) metrics.set(key, named);
    }
    if (metrics.size === 0) return take(metrics, payload);
    if (known + metrics.size > METRICS) return rejected('stream_limit');
    node.metrics.set(topic.device ?? '', metrics);
    known += metrics.size;
    return take(metrics, payload);
  }

  /** The values in a message. */
  function take(metrics: Metrics | undefined, payload: SparkplugPayload): Heard {
    const unknown: RejectionReason[] = [];
    const samples = payload.metrics.flatMap((metric) => {
      const { alias, name, timestamp = payload.timestamp } = metric;
      const named = metrics?.get(alias ?? '') ?? metrics?.get(name ?? '');
      if (named === undefined) unknown.push('unknown_metric');
      const decoded = { ts: timeOf(timestamp), value: valueOf(metric, named?.datatype) };
      return (named?.routes ?? []).map((route) => ({ ...route, decoded }));
    });
    if (samples.length > limits.batchRows) return rejected('too_large');
    return { ...nothing, samples, rejected: unknown };
  }

  /** The streams of a node, or of one of its devices, which are told no more. */
  function forgetMetrics(node: Node, device: string | undefined): string[] {
    const metrics = node.metrics.get(device ?? '') ?? new Map<string, Named>();
    node.metrics.delete(device ?? '');
    known -= metrics.size;
    return [...new Set([...metrics.values()].flatMap(({ routes }) => routes.map(({ stream }) => stream)))];
  }

  function forgetNode(id: string): string[] {
    const node = nodes.get(id);
    nodes.delete(id);
    return node === undefined ? [] : [...node.metrics.keys()].flatMap((device) => forgetMetrics(node, device));
  }

  /** Asks a node for its BIRTH, now and then. */
  function ask({ group, node }: SparkplugTopic): Pick<Heard, 'request'> {
    const nowMs = clock.monotonicMs();
    for (const [id, atMs] of askedMs) if (nowMs - atMs >= REBIRTH_EVERY_MS) askedMs.delete(id);
    const id = idOf(group, node);
    if (askedMs.has(id) || askedMs.size >= NODES) return {};
    askedMs.set(id, nowMs);
    return { request: { topic: sparkplugTopic(group, 'NCMD', node), payload: rebirthRequest(clock.now()) } };
  }

  function nodeBorn(topic: SparkplugTopic, payload: SparkplugPayload): Heard {
    const id = idOf(topic.group, topic.node);
    if (!nodes.has(id) && nodes.size >= NODES) return rejected('stream_limit');
    forgetNode(id);
    const node: Node = { bdSeq: bdSeqOf(payload), seq: payload.seq, metrics: new Map() };
    nodes.set(id, node);
    return learn(node, topic, payload);
  }

  /** A will may come after the next BIRTH: it is of the connection that it names. */
  function nodeDied({ group, node }: SparkplugTopic, payload: SparkplugPayload): Heard {
    const id = idOf(group, node);
    return nodes.get(id)?.bdSeq === bdSeqOf(payload) ? { ...nothing, gone: forgetNode(id) } : nothing;
  }

  /** Data, and births and deaths of devices: they count on. */
  function follow(topic: SparkplugTopic, payload: SparkplugPayload): Heard {
    const node = nodes.get(idOf(topic.group, topic.node));
    if (node === undefined) return { ...take(undefined, payload), ...ask(topic) };
    const missed = isGap(node.seq, payload.seq);
    node.seq = payload.seq;
    const heard =
      topic.type === 'DBIRTH'
        ? learn(node, topic, payload)
        : topic.type === 'DDEATH'
          ? { ...nothing, gone: forgetMetrics(node, topic.device) }
          : take(node.metrics.get(topic.device ?? ''), payload);
    return missed || heard.rejected.includes('unknown_metric') ? { ...heard, ...ask(topic) } : heard;
  }

  return {
    subscriptions: [...new Set(mapper.topics.flatMap(filtersOf))].map((filter) => ({
      filter,
      qos: 1,
    })),
    receive({ topic: text, payload: bytes, retain }) {
      const topic = parseSparkplugTopic(text);
      if (topic === undefined) return undefined;
      if (topic.type.endsWith('CMD')) return nothing;
      if (topic.group === own?.group && topic.node === own.node) return nothing;
      if (retain) return rejected('retained');
      if (bytes.length > limits.messageBytes || text.length > limits.topicBytes) return rejected('too_large');
      const payload = decodeSparkplug(bytes);
      if (!payload.ok) return rejected(payload.reason);
      if (topic.type === 'NBIRTH') return nodeBorn(topic, payload.value);
      if (topic.type === 'NDEATH') return nodeDied(topic, payload.value);
      return follow(topic, payload.value);
    },
    forget() {
      nodes.clear();
      known = 0;
    },
  };
}

/** No part of a topic holds a slash. */
const idOf = (group: string, node: string): string => `${group}/${node}`;

/** Everything a node says counts on in `seq`, so all of it is heard, whatever a mapping wants. */
function filtersOf(topic: string): string[] {
  const [, group = '', node = ''] = topic.split('/');
  const types = (of: string): string[] => ['BIRTH', 'DATA', 'DEATH'].map((what) => `${NAMESPACE}/${group}/${of}${what}/${node}`); // prettier-ignore
  return [...types('N'), ...types('D').map((filter) => `${filter}/+`)];
}

const bdSeqOf = ({ metrics }: SparkplugPayload): Integer | undefined => {
  const metric: SparkplugMetric | undefined = metrics.find(({ name }) => name === BD_SEQ);
  return metric?.longValue ?? metric?.intValue;
};

/** The same number again is the same message, delivered for two subscriptions. */
function isGap(before: Integer | undefined, seq: Integer | undefined): boolean {
  if (before === undefined || seq === undefined || seq === before) return false;
  return Number(seq) !== (Number(before) + 1) % 256;
}

/** NaN is no time. */
const timeOf = (timestamp: Integer | undefined): number | undefined =>
  typeof timestamp === 'bigint' ? NaN : timestamp;
