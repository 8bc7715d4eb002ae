/**
 * The device as an edge node of Sparkplug B (EDGE.md §3), on a connection of its own, since its will is another one. What there is to tell is
 * looked at now and then; what has changed goes out, and what could not go is told later as historical.
 */
import type { DeviceConfig } from '../contracts/config.js';
import type { ForecastPayload } from '../contracts/payload.js';
import type { MqttLink, MqttMessage, Will } from '../transport/mqtt.js';
import { BD_SEQ, datatype, decodeSparkplug, encodeSparkplug, REBIRTH, sparkplugTopic } from '../transport/sparkplug.js';
import type { MessageType, SparkplugMetric } from '../transport/sparkplug.js';
import type { Conditions } from './conditions.js';
import type { Detector } from './detector.js';
import type { Lane } from './lane.js';
import type { Ports } from './ports.js';

/** What is told is read from here. */
export interface Told {
  readonly lanes: ReadonlyMap<string, Pick<Lane, 'settings' | 'watch'>>;
  readonly detectors: ReadonlyMap<string, Pick<Detector, 'watch'>>;
  readonly conditions: Pick<Conditions, 'all'>;
}

export interface EdgeNode {
  /** Begins to connect. */
  open(): Promise<void>;
  /** The newest forecast of a stream. */
  forecast(message: ForecastPayload): void;
  /** Sends what has changed since the last time. */
  readonly sync: () => void;
  /** Says that the node dies, and ends the connection. */
  close(): Promise<void>;
}

/** A value under its name. */
interface Fact {
  readonly name: string;
  readonly value: number | string | null;
  /** When it became so, milliseconds UTC; now when it is new and undefined. */
  readonly sinceMs: number | undefined;
  readonly type: number;
}
type Dated = Fact & { readonly sinceMs: number };

/** In the store: the number of the newest connection. */
const BD_SEQ_KEY = 'sparkplug/bd_seq';
/** In one BIRTH; alerts come first. */
const METRICS = 5000;
/** In one message of data. */
const CHUNK = 500;
/** Values that wait for the connection; the oldest are dropped. */
const WAITING = 10_000;
const CLOSE_WAIT_MS = 2000;

export function createEdgeNode(
  { group, node }: DeviceConfig['sparkplug'] & object,
  { clock, store, connect, tell }: Pick<Ports, 'clock' | 'store' | 'connect' | 'tell'>,
  { lanes, detectors, conditions }: Told,
): EdgeNode {
  const forecasts = new Map<string, ForecastPayload>();
  const topic = (type: MessageType): string => sparkplugTopic(group, type, node);
  let bdSeq = Number(store.get(BD_SEQ_KEY)?.toString() ?? 255);
  let seq = 0;
  let facts: ReadonlyMap<string, Dated> = new Map();
  /** By name, as the last BIRTH gave them. */
  let aliases: ReadonlyMap<string, number> | undefined;
  let waiting: Dated[] = [];
  let link: MqttLink | undefined;

  /** Another one with each CONNECT, so that a late will is known to be of an earlier connection. */
  function will(): Will {
    bdSeq = (bdSeq + 1) % 256;
    try {
      store.write(() => store.put(BD_SEQ_KEY, String(bdSeq)), 'full');
    } catch {
      // It goes on in memory. What is wrong with the disk or the file shows with the next reading, which knows what to do.
    }
    return { topic: topic('NDEATH'), payload: death(), qos: 1, retain: false };
  }

  const bdSeqMetric = (): SparkplugMetric => ({ name: BD_SEQ, datatype: datatype.int64, longValue: bdSeq });
  const death = (): Uint8Array => encodeSparkplug({ metrics: [bdSeqMetric()] });

  function* present(): Iterable<Fact> {
    const watches = [
      ...[...lanes, ...detectors].map(([stream, { watch }]) => ({ stream, kind: 'anomaly', watch })),
      ...conditions
        .all()
        .map(({ subject: { stream }, kind, watch }) => ({ stream, kind, watch }))
        .filter(({ stream, kind }) => (stream === 'device') === (kind === 'disk_full')),
    ];
    for (const { stream, kind, watch } of watches)
      yield { name: `alert/${stream}/${kind}/state`, type: datatype.string, value: watch.state, sinceMs: undefined };
    for (const [stream, { settings }] of lanes) {
      const newest = forecasts.get(stream);
      const message = newest?.model === settings.subject.model ? newest : undefined;
      for (let step = 0; step < settings.active.manifest.horizon; step++) {
        const name = `forecast/${stream}/p50/h${String(step + 1).padStart(3, '0')}`;
        yield { name, type: datatype.double, value: message?.p50[step] ?? null, sinceMs: message?.issued };
      }
    }
  }

  function look(): ReadonlyMap<string, Dated> {
    const seen = new Map<string, Dated>();
    for (const fact of present()) {
      if (seen.size >= METRICS) break;
      const before = facts.get(fact.name);
      const unchanged = before?.value === fact.value ? before.sinceMs : clock.now();
      seen.set(fact.name, { ...fact, sinceMs: fact.sinceMs ?? unchanged });
    }
    return seen;
  }

  function send(type: MessageType, metrics: readonly SparkplugMetric[]): Promise<boolean> {
    const payload = encodeSparkplug({ timestamp: clock.now(), metrics, seq });
    seq = (seq + 1) % 256;
    return link!.publish(topic(type), payload, { qos: 0 });
  }

  function birth(): void {
    aliases = new Map([...facts.keys()].map((name, i) => [name, i + 1]));
    seq = 0;
    const timestamp = clock.now();
    void send('NBIRTH', [
      { ...bdSeqMetric(), timestamp },
      { name: REBIRTH, timestamp, datatype: datatype.boolean, booleanValue: false },
      ...[...facts.values()].map((fact) => ({
        name: fact.name,
        alias: aliases!.get(fact.name)!,
        ...valueFields(fact),
      })),
    ]);
    const late = waiting.filter(({ name, sinceMs }) => aliases!.has(name) && facts.get(name)!.sinceMs !== sinceMs);
    waiting = [];
    sendData(late, true);
  }

  function sendData(changed: readonly Dated[], isHistorical: boolean): void {
    for (let at = 0; at < changed.length; at += CHUNK) {
      const chunk = changed.slice(at, at + CHUNK);
      const metrics = chunk.map((fact) => ({
        alias: aliases!.get(fact.name)!,
        ...valueFields(fact),
        ...(isHistorical && { isHistorical }),
      }));
      void send('NDATA', metrics).then((sent) => sent || wait(chunk));
    }
  }

  function wait(changed: readonly Dated[]): void {
    waiting = [...waiting, ...changed.filter(({ value }) => value !== null)].slice(-WAITING);
  }

  function sync(): void {
    const before = facts;
    facts = look();
    const changed = [...facts.values()].filter(({ name, sinceMs }) => before.get(name)?.sinceMs !== sinceMs);
    if (link?.online !== true) {
      aliases = undefined;
      wait(changed);
    } else if (aliases?.size !== facts.size || changed.some(({ name }) => !aliases!.has(name))) birth();
    else sendData(changed, false);
  }

  function receive({ payload, retain }: MqttMessage): void {
    const command = decodeSparkplug(payload);
    const asked = command.ok && command.value.metrics.some((one) => one.name === REBIRTH && one.booleanValue === true);
    if (asked && !retain) aliases = undefined; // no data any more, and a BIRTH when it is looked at next
  }

  return {
    async open() {
      link = await connect(
        {
          will,
          clean: true,
          subscriptions: [{ filter: topic('NCMD'), qos: 1, skipRetained: true }],
          onMessage: receive,
          onLink(event) {
            tell('sparkplug-link', { ...event });
            aliases = undefined;
            if (event.state === 'online') sync();
          },
        },
        'edge-node',
      );
    },
    forecast: (message) => void forecasts.set(message.stream, message),
    sync,
    async close() {
      const timeout = new AbortController();
      const said = link?.publish(topic('NDEATH'), death(), { qos: 1 });
      await Promise.race([said, clock.sleep(CLOSE_WAIT_MS, timeout.signal)]);
      timeout.abort();
      await link?.close();
    },
  };
}

/** Data need no type after a BIRTH, but some hosts read no value without one. */
const valueFields = ({ value, sinceMs: timestamp, type }: Dated): SparkplugMetric => ({
  timestamp,
  datatype: type,
  ...(value === null ? { isNull: true } : typeof value === 'number' ? { doubleValue: value } : { stringValue: value }),
});
