/** The topic tree of EDGE.md §1: `base/site/device/…`, built and parsed in one place. */
import { NeuroDivergentError } from '../errors.js';

/** One segment: site, device, stream, kind. No `+ # /` or NUL can hide in it. */
export const segmentPattern = /^[A-Za-z0-9_-]{1,64}$/;

export const isSegment = (text: string): boolean => segmentPattern.test(text);

export interface DeviceName {
  readonly base: string;
  readonly site: string;
  readonly device: string;
}

/** What a device publishes and listens to; a part in `<…>` is one segment. */
const tails = {
  status: 'status',
  info: 'info',
  health: 'health',
  in: 'in/<stream>',
  forecast: 'forecast/<stream>',
  score: 'score/<stream>',
  alert: 'alert/<stream>/<kind>',
  event: 'event/<stream>',
  desired: 'model/desired',
  reported: 'model/reported',
  progress: 'model/progress',
} as const;
export type TopicKind = keyof typeof tails;

/** What a message is about, by the first segment behind the device's name; `other` for sensors and software with topics of their own. */
const messageClasses = [
  'status',
  'info',
  'health',
  'in',
  'forecast',
  'score',
  'alert',
  'event',
  'cmd',
  'reply',
  'model',
  'other',
] as const;
export type MessageClass = (typeof messageClasses)[number];
const knownClasses = new Set<string>(messageClasses);

/** All topics of one device. Throws `ND_CONFIG_OUT_OF_RANGE` for a name that is no segment. */
export function createTopics(name: DeviceName) {
  for (const part of ['base', 'site', 'device'] as const) checkSegment(part, name[part]);
  const prefix = `${name.base}/${name.site}/${name.device}`;
  const inputs = `${prefix}/in/`;
  const under = (tail: string, what: string) => (segment: string) => `${prefix}/${tail}/${checkSegment(what, segment)}`;
  return {
    prefix,
    status: `${prefix}/status`,
    info: `${prefix}/info`,
    health: `${prefix}/health`,
    desired: `${prefix}/model/desired`,
    reported: `${prefix}/model/reported`,
    progress: `${prefix}/model/progress`,
    /** Subscription that receives the samples of every stream. */
    allInputs: `${prefix}/in/+`,
    in: under('in', 'stream'),
    /** The stream that samples on this topic are of; undefined for any other topic. */
    streamOf: (topic: string): string | undefined =>
      topic.startsWith(inputs) ? topic.slice(inputs.length) : undefined,
    classOf(topic: string): MessageClass {
      if (!topic.startsWith(`${prefix}/`)) return 'other';
      const from = prefix.length + 1;
      const until = topic.indexOf('/', from);
      const first = topic.slice(from, until < 0 ? undefined : until);
      return knownClasses.has(first) ? (first as MessageClass) : 'other';
    },
    forecast: under('forecast', 'stream'),
    score: under('score', 'stream'),
    event: under('event', 'stream'),
    alert: (stream: string, kind: string) => `${under('alert', 'stream')(stream)}/${checkSegment('kind', kind)}`,
  };
}

export interface ParsedTopic extends DeviceName {
  readonly kind: TopicKind;
  readonly stream?: string;
  /** Kind of the alert: `anomaly`, `level`, … */
  readonly alertKind?: string;
}

const patterns = (Object.entries(tails) as [TopicKind, string][]).map(([kind, tail]): [TopicKind, RegExp] => [
  kind,
  new RegExp(
    `^${tail.replace('<stream>', '(?<stream>[A-Za-z0-9_-]{1,64})').replace('<kind>', '(?<alertKind>[A-Za-z0-9_-]{1,64})')}$`,
  ),
]);

/** Takes a topic apart; undefined when it is none of ours. */
export function parseTopic(topic: string): ParsedTopic | undefined {
  const [base = '', site = '', device = '', ...rest] = topic.split('/');
  if (![base, site, device].every(isSegment)) return undefined;
  const tail = rest.join('/');
  for (const [kind, pattern] of patterns) {
    const match = pattern.exec(tail);
    if (match) return { base, site, device, kind, ...match.groups };
  }
  return undefined;
}

/** The MQTT client id of a device, also the common name of its certificate. */
export const clientId = ({ site, device }: Pick<DeviceName, 'site' | 'device'>): string => `nd-${site}-${device}`;

function checkSegment(what: string, segment: string): string {
  if (isSegment(segment)) return segment;
  throw new NeuroDivergentError('ND_CONFIG_OUT_OF_RANGE', {
    where: `topic.${what}`,
    what: `${JSON.stringify(segment)} is not a topic segment.`,
    mend: 'Use 1 to 64 letters, digits, "_" or "-".',
  });
}
