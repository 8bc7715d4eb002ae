/** The MQTT link of a device (EDGE.md §8): our own reconnect timer, PUBACK after commit, nothing queued while offline. */

export interface MqttMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  /** The broker had kept it: an old value. */
  readonly retain: boolean;
  /** It may have been delivered before. */
  readonly duplicate: boolean;
}

export interface Subscription {
  readonly filter: string;
  /** 1 when not given. */
  readonly qos?: 0 | 1;
  /** With MQTT 5, do not send retained messages on subscribing (sensor inputs). */
  readonly skipRetained?: boolean;
}

export interface PublishOptions {
  /** 1 when not given. */
  readonly qos?: 0 | 1;
  readonly retain?: boolean;
  /** MQTT 5 only. */
  readonly expirySeconds?: number;
  /** Marks a message that waited in the outbox (user property `nd-replay: 1`, MQTT 5 only). */
  readonly replay?: boolean;
}

export type LinkEvent =
  /** Subscriptions are made; publish status, info, … now. */
  | { readonly state: 'online'; readonly protocol: 5 | 4; readonly sessionPresent: boolean }
  | { readonly state: 'offline'; readonly reason: string; readonly retryMs: number }
  /** Another process uses this client id; no further attempt is made. */
  | { readonly state: 'stopped'; readonly reason: 'session_taken_over' };

export interface MqttOptions {
  readonly url: string;
  readonly clientId: string;
  readonly username?: string;
  readonly password?: string;
  /** PEM texts. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly will?: { readonly topic: string; readonly payload: string; readonly qos: 0 | 1; readonly retain: boolean };
  /** Made on each connect, before `online` is told. */
  readonly subscriptions: readonly Subscription[];
  /** Commits the message; PUBACK follows its return (or its promise). When it throws, the link is cut and the broker delivers again. */
  readonly onMessage: (message: MqttMessage) => void | Promise<void>;
  readonly onLink: (event: LinkEvent) => void;
  /** In [0, 1); for tests of the backoff. */
  readonly random?: () => number;
  /** Shortest and longest ceiling of the backoff, 1 s and 60 s when not given. */
  readonly backoffMs?: { readonly first: number; readonly last: number };
}

export interface MqttLink {
  readonly online: boolean;
  /**
   * Resolves true once the broker has taken the message (QoS 1: PUBACK), false when offline or when the link was lost
   * before that: keep the row and send it again. Never rejects, never queues.
   */
  publish(topic: string, payload: string | Uint8Array, options?: PublishOptions): Promise<boolean>;
  /** Adds subscriptions, now and on later connects; false when offline. */
  subscribe(subscriptions: readonly Subscription[]): Promise<boolean>;
  /** Sends DISCONNECT (the will is dropped) and stops. Publish `offline` before. Safe to call twice. */
  close(): Promise<void>;
}
/** Starts connecting in the background and returns at once. Throws only for options that can never work. */
export declare function connectMqtt(options: MqttOptions): MqttLink;

/** The delay before attempt n (from 0): full jitter below an exponential ceiling. Milliseconds. */
export declare function backoffDelay(attempt: number, random: () => number, limits?: { readonly first: number; readonly last: number }): number;
