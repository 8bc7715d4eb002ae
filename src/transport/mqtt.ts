/** The MQTT link of a device (EDGE.md §8): our own reconnect timer, PUBACK after commit, nothing queued while offline. */
import { BlockList, isIP, isIPv6 } from 'node:net';
import type { IClientOptions, IConnackPacket, IDisconnectPacket, IPublishPacket, MqttClient } from 'mqtt';
import { limits } from '../contracts/limit.js';
import { NeuroDivergentError } from '../errors.js';

export interface MqttMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  /** The broker had kept it: an old value. */
  readonly retain: boolean;
  /** It may have been delivered before. */
  readonly duplicate: boolean;
  /** As the sender declared it (MQTT 5). */
  readonly contentType?: string | undefined;
  /** Where an answer is expected, and what it must bring back (MQTT 5). */
  readonly responseTopic?: string | undefined;
  readonly correlationData?: Uint8Array | undefined;
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
  /** Of the command that this answers (MQTT 5 only). */
  readonly correlationData?: Uint8Array | undefined;
}

/** Why a link was lost or could not be made: a closed list, since it is counted. The first pattern that fits `code message`. */
const faultPatterns = {
  bad_credentials: /^(?:4|5|134|135) /,
  session_taken_over: /^142 /,
  refused: /^\d/, // CONNACK or DISCONNECT with another code
  not_stored: /^not_stored /,
  unreachable: /ECONNREFUSED|EHOST|ENET|ENOTFOUND|EAI_/,
  timed_out: /ETIMEDOUT|timeout/i,
  tls: /CERT|TLS|SSL|PEM|SELF_SIGNED|UNABLE_TO/,
  closed: /closed|ECONNRESET|EPIPE/,
  other: /(?:)/,
} as const;
export type LinkFault = keyof typeof faultPatterns;
export const linkFaults = Object.keys(faultPatterns) as readonly LinkFault[];

interface Failure {
  readonly message: string;
  readonly code?: unknown;
}

export const faultOf = ({ code = '', message }: Failure): LinkFault =>
  linkFaults.find((fault) => faultPatterns[fault].test(`${String(code)} ${message}`))!;

const closedByPeer: Failure = { message: 'the connection was closed' };

export type LinkEvent =
  /** Subscriptions are made; publish status, info, … now. */
  | { readonly state: 'online'; readonly protocol: 5 | 4; readonly sessionPresent: boolean }
  | { readonly state: 'offline'; readonly reason: string; readonly fault: LinkFault; readonly retryMs: number }
  /** Another process uses this client id; no further attempt is made. */
  | { readonly state: 'stopped'; readonly reason: 'session_taken_over' };

export interface Will {
  readonly topic: string;
  readonly payload: string | Uint8Array;
  readonly qos: 0 | 1;
  readonly retain: boolean;
}

/** Ceilings of the backoff, milliseconds. */
export interface Backoff {
  readonly first: number;
  readonly last: number;
}

export interface MqttOptions {
  readonly url: string;
  readonly clientId: string;
  readonly username?: string;
  readonly password?: string;
  /** A password may travel unencrypted to a private address; to loopback it always may, to a public one never. */
  readonly allowInsecure?: 'none' | 'private';
  /** PEM texts. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** A function is asked anew before each CONNECT. */
  readonly will?: Will | (() => Will);
  /** The broker keeps no session, and tells the will as soon as the connection is lost. */
  readonly clean?: boolean;
  /** Made on each connect, before `online` is told. */
  readonly subscriptions: readonly Subscription[];
  /**
   * Takes the message; PUBACK follows its return (or its promise), and `commit`, if there is one. When either throws, the
   * link is cut and the broker delivers again.
   */
  readonly onMessage: (message: MqttMessage) => void | Promise<void>;
  /** Makes durable what `onMessage` took since the last time: once for all messages that came together. */
  readonly commit?: () => void;
  readonly onLink: (event: LinkEvent) => void;
  /** In [0, 1); for tests of the backoff. */
  readonly random?: () => number;
  /** 1 s to 60 s when not given. */
  readonly backoffMs?: Backoff;
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

const defaultBackoffMs: Backoff = { first: 1000, last: 60_000 };
/** A link that held this long starts the next backoff from its beginning. */
const stableMs = 60_000;
const sessionSeconds = 86_400;
const willDelaySeconds = 15;
const takeoversMax = 3;
/** CONNACK: unacceptable protocol version, in MQTT 3.1.1 and in MQTT 5. */
const wrongProtocol = new Set<unknown>([1, 132]);
/** CONNACK: bad user name or password, not authorised, in MQTT 3.1.1 and in MQTT 5. */
const badCredentials = new Set<unknown>([4, 5, 134, 135]);
const sessionTakenOver = 142;

/** The delay before attempt n (from 0): full jitter below an exponential ceiling. Milliseconds. */
export const backoffDelay = (
  attempt: number,
  random: () => number,
  { first, last }: Backoff = defaultBackoffMs,
): number => Math.round(random() * Math.min(last, first * 2 ** attempt));

/** Starts connecting in the background and returns at once. Throws `ND_CONFIG_CONFLICT` for options that must not be used. */
export function connectMqtt(options: MqttOptions): MqttLink {
  checkSecurity(options);
  const { onLink, random = Math.random, backoffMs = defaultBackoffMs } = options;
  const subscriptions = [...options.subscriptions];
  const inFlight = new Set<(sent: boolean) => void>();
  let client: MqttClient | undefined;
  let online = false;
  let closed = false;
  let protocol: 5 | 4 = 5;
  let attempt = 0;
  let takeovers = 0;
  let retryTimer: NodeJS.Timeout | undefined;
  let stableTimer: NodeJS.Timeout | undefined;

  const subscribeNow = async (current: MqttClient, wanted: readonly Subscription[]): Promise<void> => {
    if (wanted.length === 0) return;
    const filters = wanted.map(({ filter, qos = 1, skipRetained = false }): [string, { qos: 0 | 1; rh?: 2 }] => [
      filter,
      { qos, ...(skipRetained && protocol === 5 && { rh: 2 }) },
    ]);
    await current.subscribeAsync(Object.fromEntries(filters));
  };

  /** One connection from CONNECT to its end. A new client each time: it starts with no state that could be sent twice. */
  const open = async (): Promise<void> => {
    const { default: mqtt } = await import('mqtt'); // costs 90 ms, which the first forecast need not wait for
    if (closed) return;
    let current: MqttClient;
    try {
      current = mqtt.connect(options.url, clientOptions(options, protocol));
    } catch (error) {
      lost(error as Error, true); // a key that is none, say
      return;
    }
    client = current;
    let failure: Failure | undefined;
    let answered = false;
    const giveUp = (error: unknown): void => {
      failure = { message: `a message was not stored: ${(error as Error).message}`, code: 'not_stored' };
      current.end(true); // no PUBACK: the broker delivers it again
    };

    let committing = false;
    /** Whatever is written from now on, PUBACKs above all, leaves after the commit at the end of this turn of the loop. */
    const commitSoon = (commit: () => void): void => {
      if (committing) return;
      committing = true;
      current.stream.cork();
      setImmediate(() => {
        committing = false;
        try {
          commit();
          current.stream.uncork();
        } catch (error) {
          giveUp(error);
        }
      });
    };

    current.handleMessage = ({ topic, payload, retain, dup, properties }: IPublishPacket, acknowledge) => {
      const { contentType, responseTopic, correlationData } = properties ?? {};
      const facts = { topic, retain, duplicate: dup, contentType, responseTopic, correlationData };
      const message = { ...facts, payload: payload as Uint8Array };
      try {
        const taken = options.onMessage(message);
        if (options.commit !== undefined) commitSoon(options.commit);
        if (taken === undefined) acknowledge();
        else taken.then(() => acknowledge(), giveUp);
      } catch (error) {
        giveUp(error);
      }
    };
    current.on('error', (error: Error & { code?: unknown }) => {
      failure ??= error;
      current.end(true);
    });
    current.on('disconnect', ({ reasonCode }: IDisconnectPacket) => {
      failure = { message: `the broker disconnected with code ${reasonCode}`, code: reasonCode };
    });
    current.on('connect', ({ sessionPresent }: IConnackPacket) => {
      answered = true;
      const ready = (): void => {
        if (client !== current || closed || online) return;
        online = true;
        stableTimer = setTimeout(() => (attempt = takeovers = 0), stableMs).unref();
        onLink({ state: 'online', protocol, sessionPresent });
      };
      const subscribed = subscribeNow(current, subscriptions);
      // A broker that kept the session knows the subscriptions, and may send its whole backlog before the SUBACK.
      if (sessionPresent) ready();
      subscribed.then(ready, (error: unknown) => {
        failure = { message: `subscribing failed: ${(error as Error).message}` };
        current.end(true);
      });
    });
    current.once('close', () => {
      if (client !== current) return;
      client = undefined;
      lost(failure, answered);
    });
  };

  const lost = (failure: Failure | undefined, answered: boolean): void => {
    online = false;
    clearTimeout(stableTimer);
    for (const settle of inFlight) settle(false);
    inFlight.clear();
    if (closed) return;

    // An older broker refuses MQTT 5, or hangs up without a word: offer the other version at once, one time.
    const refused = wrongProtocol.has(failure?.code);
    const hungUp = !answered && failure === undefined;
    if ((refused || hungUp) && protocol === 5) {
      protocol = 4;
      void open();
      return;
    }
    if (!answered && !refused) protocol = 5; // the next one to answer may speak it
    if (failure?.code === sessionTakenOver && ++takeovers >= takeoversMax) {
      closed = true;
      onLink({ state: 'stopped', reason: 'session_taken_over' });
      return;
    }
    const retryMs = badCredentials.has(failure?.code) ? backoffMs.last : backoffDelay(attempt++, random, backoffMs);
    const { message: reason } = failure ?? closedByPeer;
    onLink({ state: 'offline', reason, fault: faultOf(failure ?? closedByPeer), retryMs });
    retryTimer = setTimeout(() => void open(), retryMs);
  };

  void open();
  return {
    get online() {
      return online;
    },
    publish(topic, payload, { qos = 1, retain = false, expirySeconds, replay = false, correlationData } = {}) {
      const current = client;
      if (!online || current === undefined) return Promise.resolve(false);
      const properties = protocol === 5 && {
        properties: {
          ...(expirySeconds !== undefined && { messageExpiryInterval: expirySeconds }),
          ...(replay && { userProperties: { 'nd-replay': '1' } }),
          ...(correlationData !== undefined && { correlationData: Buffer.from(correlationData) }),
        },
      };
      return new Promise<boolean>((resolve) => {
        inFlight.add(resolve);
        current.publish(topic, payload as string | Buffer, { qos, retain, ...properties }, (error) => {
          inFlight.delete(resolve);
          resolve(!error);
        });
      });
    },
    async subscribe(added) {
      subscriptions.push(...added);
      if (!online || client === undefined) return false;
      return subscribeNow(client, added).then(
        () => true,
        () => false, // lost meanwhile: the next connect makes them all
      );
    },
    async close() {
      closed = true;
      clearTimeout(retryTimer);
      const current = client;
      client = undefined;
      const graceful = online;
      lost(undefined, true);
      if (current !== undefined) await current.endAsync(!graceful).catch(() => undefined); // already gone
    },
  };
}

function clientOptions(
  { clientId, username, password, ca, cert, key, will: told, clean = false }: MqttOptions,
  protocol: 5 | 4,
): IClientOptions {
  const v5 = protocol === 5;
  const will = typeof told === 'function' ? told() : told;
  return {
    clientId,
    protocolVersion: protocol,
    clean,
    keepalive: 30,
    connectTimeout: 15_000,
    reconnectPeriod: 0, // our timer
    resubscribe: false, // our list
    queueQoSZero: false, // our outbox
    rejectUnauthorized: true,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    ...(will && {
      will: {
        ...will,
        payload: Buffer.from(will.payload),
        ...(v5 && !clean && { properties: { willDelayInterval: willDelaySeconds } }),
      },
    }),
    ...(v5 && {
      autoUseTopicAlias: true,
      autoAssignTopicAlias: true,
      properties: {
        sessionExpiryInterval: clean ? 0 : sessionSeconds,
        receiveMaximum: 64,
        maximumPacketSize: limits.messageBytes + 1024,
      },
    }),
  };
}

/** A password crosses no open network (EDGE.md §8). */
function checkSecurity({ url, password, ca, allowInsecure = 'none' }: MqttOptions): void {
  const { protocol, hostname: bracketed, password: passwordInUrl } = new URL(url);
  const hostname = bracketed.replace(/^\[|\]$/g, '');
  const conflict = (what: string, mend: string): never => {
    throw new NeuroDivergentError('ND_CONFIG_CONFLICT', { where: 'mqtt', what, mend });
  };
  const encrypted = protocol === 'mqtts:' || protocol === 'wss:';
  if (encrypted && ca === undefined)
    conflict(`${hostname} is encrypted, but no CA is given to check the broker with.`, 'Set mqtt.ca_file.');
  if (encrypted || (password === undefined && passwordInUrl === '') || isLoopback(hostname)) return;
  if (!isPrivate(hostname))
    conflict(`A password would travel unencrypted to ${hostname}.`, 'Use mqtts:// with a CA file.');
  if (allowInsecure !== 'private')
    conflict(
      `A password would travel unencrypted to ${hostname}.`,
      'Use mqtts://, or set mqtt.allow_insecure to "private" if you trust that network.',
    );
}

const networks = {
  loopback: blockList(['127.0.0.0', 8], ['::1', 128]),
  // RFC 1918, RFC 4193 and link-local.
  private: blockList(
    ['10.0.0.0', 8],
    ['172.16.0.0', 12],
    ['192.168.0.0', 16],
    ['169.254.0.0', 16],
    ['fc00::', 7],
    ['fe80::', 10],
  ),
};

function blockList(...subnets: readonly (readonly [address: string, bits: number])[]): BlockList {
  const list = new BlockList();
  for (const [address, bits] of subnets) list.addSubnet(address, bits, isIPv6(address) ? 'ipv6' : 'ipv4');
  return list;
}

const isIn = (list: BlockList, host: string): boolean =>
  isIP(host) > 0 && list.check(host, isIPv6(host) ? 'ipv6' : 'ipv4');

const isLoopback = (host: string): boolean => host === 'localhost' || isIn(networks.loopback, host);

/** A private address, or a name that only a local network knows. */
const isPrivate = (host: string): boolean =>
  isIn(networks.private, host) || /^[^.:]+$/.test(host) || /\.(?:local|lan|internal|home\.arpa)$/i.test(host);
