/** What a device says of itself while the link is up (EDGE.md §1 and §2). What must arrive goes through the outbox instead. */
import type { DeviceConfig } from '../contracts/config.js';
import {
  alertPayload,
  healthPayload,
  infoPayload,
  reportedPayload,
  scorePayload,
  statusPayload,
} from '../contracts/payload.js';
import type { HealthPayload, ReportedPayload } from '../contracts/payload.js';
import { createTopics } from '../contracts/topic.js';
import { wireText } from '../contracts/wire.js';
import type { MqttLink } from '../transport/mqtt.js';
import type { Conditions } from './conditions.js';
import type { Detector } from './detector.js';
import type { Home } from './home-assistant.js';
import type { Lane } from './lane.js';
import { healthMessage, infoMessage } from './messages.js';
import type { Metrics } from './metrics.js';
import type { Outbox } from './outbox.js';
import type { Ports } from './ports.js';
import type { Active } from './update.js';

export interface VoiceOptions extends Pick<Ports, 'clock' | 'machine'> {
  readonly config: DeviceConfig;
  readonly boot: string;
  readonly metrics: Metrics;
  readonly outbox: Outbox;
  readonly home: Home;
  readonly lanes: ReadonlyMap<string, Lane>;
  readonly detectors: ReadonlyMap<string, Detector>;
  readonly conditions: Conditions;
  readonly models: ReadonlyMap<string, Active>;
  readonly reported: () => ReportedPayload;
  /** Undefined until it is there. */
  readonly link: () => MqttLink | undefined;
  /** Hears of what could not be noted. */
  readonly complain: (error: unknown) => void;
}

export interface Score {
  readonly stream: string;
  readonly model: string;
  readonly cadenceMs: number;
  readonly timeMs: number;
  readonly score: number;
  readonly p: number;
}

export interface Voice {
  status(state: 'online' | 'offline'): string;
  health(): HealthPayload;
  /** After each connect, in this order, since brokers lose retained messages when they are killed. */
  introduce(): void;
  /** Streams or models have changed. */
  tellInfo(): void;
  /** To Home Assistant. */
  announce(): void;
  readonly tellHealth: () => void;
  tellScore(score: Score): void;
}

export function createVoice(options: VoiceOptions): Voice {
  const { config, boot, clock, machine, metrics, outbox, home, lanes, detectors, conditions, models, reported, link, complain } = options; // prettier-ignore
  const topics = createTopics(config);
  const say = (topic: string, payload: string): void => void link()?.publish(topic, payload, { qos: 1, retain: true });

  function status(state: 'online' | 'offline'): string {
    const clockState = clock.synced() ? 'synced' : 'unsynced';
    const known = { v: 1, state, boot } as const;
    return wireText(statusPayload, state === 'offline' ? { ...known, state } : { ...known, state, since: clock.now(), clock: clockState }); // prettier-ignore
  }

  const health = (): HealthPayload => healthMessage(clock.now(), metrics, outbox, machine);

  function announce(): void {
    const forecasts = [...lanes].map(([stream, { settings }]) => ({
      stream,
      unit: settings.unit,
      cadenceMs: settings.series.cadenceMs,
      horizon: settings.active.manifest.horizon,
    }));
    const watched = [...detectors].map(([name, { settings }]) => ({ name, cadenceMs: settings.cadenceMs }));
    home.announce(link(), { forecasts, detectors: watched }).catch(complain);
  }

  function tellInfo(): void {
    say(topics.info, wireText(infoPayload, infoMessage(config, machine, [...lanes.keys()], [...models.values()])));
    announce();
  }

  return {
    status,
    health,
    announce,
    tellInfo,
    introduce() {
      say(topics.status, status('online'));
      tellInfo();
      say(topics.reported, wireText(reportedPayload, reported()));
      home.report(link(), reported());
      for (const [name, { watch }] of [...lanes, ...detectors])
        if (watch.alert !== undefined) say(topics.alert(name, 'anomaly'), wireText(alertPayload, watch.alert));
      for (const { subject, kind, watch } of conditions.all())
        if (watch.alert !== undefined) say(topics.alert(subject.stream, kind), wireText(alertPayload, watch.alert));
    },
    tellHealth: () =>
      void link()?.publish(topics.health, wireText(healthPayload, health()), { qos: 0, expirySeconds: 120 }),
    tellScore({ stream, model, cadenceMs, timeMs, score, p }) {
      if (link()?.online !== true) return;
      void link()!.publish(topics.score(stream), wireText(scorePayload, { v: 1, ts: timeMs, score, p, model }), {
        qos: 0,
        expirySeconds: Math.ceil((2 * cadenceMs) / 1000),
      });
    },
  };
}
