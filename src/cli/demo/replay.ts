/** The world around the demo's device: a publisher that plays the sensor, and a listener that writes down what the device says. */
import { createTopics, parseTopic, type DeviceName } from '../../contracts/topic.js';
import {
  alertPayload,
  forecastPayload,
  healthPayload,
  reportedPayload,
  type AlertPayload,
  type ForecastPayload,
  type HealthPayload,
  type ReportedPayload,
} from '../../contracts/payload.js';
import { limits } from '../../contracts/limit.js';
import { parseWire } from '../../contracts/wire.js';
import { shapes } from '../../simulate/message.js';
import { play } from '../../simulate/play.js';
import { createRecording } from '../../simulate/recording.js';
import { simulate } from '../../simulate/sensors.js';
import { connectMqtt, type MqttLink, type MqttMessage } from '../../transport/mqtt.js';

export interface Heard {
  readonly forecasts: ForecastPayload[];
  readonly events: AlertPayload[];
  readonly reported: ReportedPayload[];
  health: HealthPayload | undefined;
}

export interface World {
  readonly heard: Heard;
  readonly link: MqttLink;
  /** Resolves once `holds` is true of what was heard; rejects when the signal aborts or after `timeoutMs`. */
  until(holds: (heard: Heard) => boolean, what: string, timeoutMs: number): Promise<void>;
  close(): Promise<void>;
}

const pollMs = 20;

export async function joinWorld(url: string, device: DeviceName, signal: AbortSignal): Promise<World> {
  const topics = createTopics(device);
  const heard: Heard = { forecasts: [], events: [], reported: [], health: undefined };
  const listeners: Record<string, (payload: Uint8Array) => void> = {
    forecast: (payload) =>
      keep(parseWire(forecastPayload, payload, limits.messageBytes), (value) => heard.forecasts.push(value)),
    event: (payload) =>
      keep(parseWire(alertPayload, payload, limits.messageBytes), (value) => heard.events.push(value)),
    reported: (payload) =>
      keep(parseWire(reportedPayload, payload, limits.messageBytes), (value) => heard.reported.push(value)),
    health: (payload) =>
      keep(parseWire(healthPayload, payload, limits.messageBytes), (value) => (heard.health = value)),
  };
  const onMessage = ({ topic, payload }: MqttMessage): void => listeners[parseTopic(topic)?.kind ?? '']?.(payload);

  let online: () => void;
  const connected = new Promise<void>((resolve) => (online = resolve));
  const link = connectMqtt({
    url,
    clientId: 'nd-demo-world',
    subscriptions: ['forecast/+', 'event/+', 'model/reported', 'health'].map((tail) => ({
      filter: `${topics.prefix}/${tail}`,
    })),
    onMessage,
    onLink: (event) => {
      if (event.state === 'online') online();
    },
  });
  await connected;

  return {
    heard,
    link,
    until: async (holds, what, timeoutMs) => {
      const deadline = performance.now() + timeoutMs;
      while (!holds(heard)) {
        signal.throwIfAborted();
        if (performance.now() > deadline)
          throw new Error(`Waited ${Math.round(timeoutMs / 1000)} s in vain for ${what}.`);
        await new Promise((resolve) => setTimeout(resolve, pollMs));
      }
    },
    close: () => link.close(),
  };
}

/** A message of an unknown kind or shape is none of the demo's business. */
function keep<T>(result: { ok: true; value: T } | { ok: false }, store: (value: T) => unknown): void {
  if (result.ok) store(result.value);
}

export interface Series {
  /** Milliseconds UTC, as the device is to see them. */
  readonly time: ArrayLike<number>;
  readonly value: ArrayLike<number>;
}

/** The device keeps what it has to say until it is heard, but not without limit: the publisher waits for one that lags. */
const mostAhead = 2000;
const longestWaitMs = 2000;

/** Publishes every reading in order, as fast as broker and device take them. */
export async function replay(
  { link, heard }: World,
  device: DeviceName,
  stream: string,
  { time, value }: Series,
  { signal, onProgress }: { signal: AbortSignal; onProgress: (sent: number) => void },
): Promise<number> {
  const { topic, payload } = shapes['native']!({ ...device, stream });
  const recordings = [createRecording(time, value)];
  await play(simulate({ recordings, devices: 1, sensors: 1, rates: {}, seed: 0 }), {
    speed: Infinity,
    signal,
    send: (reading) => link.publish(topic, payload(reading)),
    onSent: ({ seq }) => onProgress(seq + 1),
    async ready({ seq }) {
      const before = time[seq - mostAhead] ?? Number.NEGATIVE_INFINITY;
      const lags = (): boolean => (heard.forecasts.at(-1)?.start ?? Number.NEGATIVE_INFINITY) < before;
      for (const since = performance.now(); lags() && performance.now() - since < longestWaitMs;)
        await new Promise((resolve) => setTimeout(resolve, pollMs));
    },
  });
  signal.throwIfAborted();
  return time.length;
}
