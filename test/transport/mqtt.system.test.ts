import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import mqtt from 'mqtt';
import type { MqttClient } from 'mqtt';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { startBroker } from '../../src/transport/broker.js';
import type { Broker } from '../../src/transport/broker.js';
import { connectMqtt } from '../../src/transport/mqtt.js';
import type { LinkEvent, MqttLink, MqttMessage, MqttOptions } from '../../src/transport/mqtt.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function broker(port = 0): Promise<Broker> {
  const started = await startBroker({ port });
  cleanups.push(() => started.close());
  return started;
}

interface Tracked {
  readonly link: MqttLink;
  readonly events: LinkEvent[];
  readonly messages: (MqttMessage & { text: string })[];
}

function connect(url: string, options: Partial<MqttOptions> = {}): Tracked {
  const events: LinkEvent[] = [];
  const messages: Tracked['messages'] = [];
  const link = connectMqtt({
    url,
    clientId: 'nd-plant1-pi7',
    subscriptions: [{ filter: 'in/+', skipRetained: true }],
    onMessage: (message) => void messages.push({ ...message, text: Buffer.from(message.payload).toString() }),
    onLink: (event) => events.push(event),
    backoffMs: { first: 5, last: 50 },
    ...options,
  });
  cleanups.push(() => link.close());
  return { link, events, messages };
}

async function other(url: string, subscribe?: string): Promise<{ client: MqttClient; seen: string[] }> {
  const client = await mqtt.connectAsync(url, { protocolVersion: 4, reconnectPeriod: 0 });
  const seen: string[] = [];
  client.on('message', (topic, payload) => seen.push(`${topic} ${payload.toString()}`));
  if (subscribe !== undefined) await client.subscribeAsync(subscribe, { qos: 1 });
  cleanups.push(() => client.endAsync(true));
  return { client, seen };
}

const online = ({ link }: Tracked) => vi.waitFor(() => expect(link.online).toBe(true), 5000);

describe('with a real broker', () => {
  test('the link comes up, falls back to the protocol the broker speaks, and carries messages both ways', async () => {
    const { url } = await broker();
    const device = connect(url);
    await online(device);
    expect(device.events).toEqual([{ state: 'online', protocol: 4, sessionPresent: false }]);

    const fleet = await other(url, 'out/#');
    expect(await device.link.publish('out/a', '1')).toBe(true);
    expect(await device.link.publish('out/b', Buffer.from('2'), { qos: 0, expirySeconds: 5, replay: true })).toBe(true);
    await fleet.client.publishAsync('in/boiler', '21.4', { qos: 1 });
    await vi.waitFor(() => expect(fleet.seen).toEqual(['out/a 1', 'out/b 2']));
    await vi.waitFor(() =>
      expect(device.messages).toMatchObject([{ topic: 'in/boiler', text: '21.4', retain: false, duplicate: false }]),
    );
  });

  test('subscriptions added later are made now and after each reconnect', async () => {
    const first = await broker();
    const device = connect(first.url);
    await online(device);
    expect(await device.link.subscribe([{ filter: 'cmd/#', qos: 0 }])).toBe(true);
    await first.close();
    await vi.waitFor(() => expect(device.link.online).toBe(false));
    expect(await device.link.subscribe([{ filter: 'more' }])).toBe(false);

    await broker(first.port);
    await online(device);
    const fleet = await other(first.url);
    await fleet.client.publishAsync('cmd/ping', 'a', { qos: 1 });
    await fleet.client.publishAsync('more', 'b', { qos: 1 });
    await vi.waitFor(() => expect(device.messages.map(({ text }) => text)).toEqual(['a', 'b']));
  });

  test('a message is acknowledged after its commit: one that failed is delivered again', async () => {
    const { url } = await broker();
    const seen: string[] = [];
    const device = connect(url, {
      onMessage: async ({ topic }) => {
        seen.push(topic);
        await Promise.resolve();
        if (seen.length === 1) throw new Error('disk full');
      },
    });
    await online(device);
    const fleet = await other(url);
    await fleet.client.publishAsync('in/boiler', '1', { qos: 1 });
    await vi.waitFor(() => expect(seen).toEqual(['in/boiler', 'in/boiler']), 5000);
    await online(device);
    expect(device.events.map((event) => (event.state === 'offline' ? event.reason : event.state))).toEqual([
      'online',
      'a message was not stored: disk full',
      'online',
    ]);
  });

  test('a synchronous failure to commit is treated the same', async () => {
    const { url } = await broker();
    let calls = 0;
    const device = connect(url, {
      onMessage: () => {
        if (++calls === 1) throw new Error('locked');
      },
    });
    await online(device);
    const fleet = await other(url);
    await fleet.client.publishAsync('in/boiler', '1', { qos: 1 });
    await vi.waitFor(() => expect(calls).toBe(2), 5000);
  });

  test('when the commit fails, all that came with it is delivered again', async () => {
    const { url } = await broker();
    const taken: string[] = [];
    let commits = 0;
    const device = connect(url, {
      onMessage: ({ payload }) => void taken.push(Buffer.from(payload).toString()),
      commit: () => {
        if (++commits === 1) throw new Error('disk full');
      },
    });
    await online(device);
    const fleet = await other(url);
    await fleet.client.publishAsync('in/boiler', '1', { qos: 1 });
    await vi.waitFor(() => expect(taken).toEqual(['1', '1']), 5000);
    await online(device);
    expect(device.events).toContainEqual(
      expect.objectContaining({ state: 'offline', reason: 'a message was not stored: disk full' }),
    );
  });

  test('messages that came while the device was away wait for it', async () => {
    const { url } = await broker();
    const before = connect(url);
    await online(before);
    await before.link.close();
    const fleet = await other(url);
    await fleet.client.publishAsync('in/boiler', 'late', { qos: 1 });
    const after = connect(url);
    await vi.waitFor(() => expect(after.messages.map(({ text }) => text)).toEqual(['late']), 5000);
    await online(after);
    expect(after.events).toMatchObject([{ state: 'online', sessionPresent: true }]);
  });

  test('the will is published when the device dies, not when it leaves', async () => {
    const { url } = await broker();
    const fleet = await other(url, 'status');
    const will = { topic: 'status', payload: 'offline', qos: 1, retain: true } as const;
    const leaving = connect(url, { will });
    await online(leaving);
    await leaving.link.close();
    await leaving.link.close();
    expect(fleet.seen).toEqual([]);

    const dying = connect(url, { will });
    await online(dying);
    await other(url).then(({ client }) => client.endAsync());
    await mqtt
      .connectAsync(url, { protocolVersion: 4, clientId: 'nd-plant1-pi7', reconnectPeriod: 0 })
      .then((thief) => {
        cleanups.push(() => thief.endAsync(true));
      });
    await vi.waitFor(() => expect(fleet.seen).toEqual(['status offline']), 5000);
  });
});

describe('without a broker', () => {
  test('nothing is queued and nothing throws; the link comes up when the broker does', async () => {
    const gone = await startBroker();
    await gone.close();
    const device = connect(gone.url);
    await vi.waitFor(() => expect(device.events.length).toBeGreaterThan(2), 5000);
    expect(device.events[0]).toMatchObject({
      state: 'offline',
      reason: expect.stringMatching(/ECONNREFUSED/) as string,
      fault: 'unreachable',
      retryMs: expect.any(Number) as number,
    });
    expect(await device.link.publish('out', 'x')).toBe(false);
    await broker(gone.port);
    await online(device);
  });

  test('a key that is none is told like a broker that is away', async () => {
    const device = connect('mqtts://127.0.0.1:1', { ca: '', cert: 'none', key: 'none' });
    await vi.waitFor(() => expect(device.events.length).toBeGreaterThan(1), 5000);
    expect(device.events[0]).toMatchObject({ state: 'offline', reason: expect.stringMatching(/PEM/) as string });
  });

  test('a link closed before it ever came up makes no further attempt', async () => {
    const device = connect('mqtt://127.0.0.1:1');
    await device.link.close();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(device.events.length).toBeLessThan(2);
  });
});

/** A server that answers CONNECT with these bytes, then does as told. */
async function answering(bytes: number[] | undefined, then?: number[]): Promise<{ url: string; connects: number[] }> {
  const connects: number[] = [];
  const server: Server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (data) => {
      connects.push(data[8]!); // protocol level
      if (bytes === undefined) return void socket.destroy();
      socket.write(Uint8Array.from(bytes));
      if (then) socket.once('data', () => socket.end(Uint8Array.from(then)));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => server.close());
  return { url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`, connects };
}

describe('with a broker that says no', () => {
  test('bad credentials wait the longest time', async () => {
    const { url } = await answering([0x20, 3, 0, 134, 0]);
    const device = connect(url, { backoffMs: { first: 1, last: 4000 } });
    await vi.waitFor(() => expect(device.events).toMatchObject([{ state: 'offline', retryMs: 4000 }]), 5000);
  });

  test('one that hangs up without a word is offered the older protocol once, then both in turn', async () => {
    const { url, connects } = await answering(undefined);
    connect(url);
    await vi.waitFor(() => expect(connects.length).toBeGreaterThan(3), 5000);
    expect(connects.slice(0, 4)).toEqual([5, 4, 5, 4]);
  });

  test('the third time another process takes the session over, the link stops for good', async () => {
    const { url, connects } = await answering([0x20, 3, 0, 0, 0], [0xe0, 2, 142, 0]);
    const device = connect(url);
    await vi.waitFor(
      () => expect(device.events.at(-1)).toEqual({ state: 'stopped', reason: 'session_taken_over' }),
      5000,
    );
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(connects).toEqual([5, 5, 5]);
  });

  test('publishing resolves false when the link is lost before PUBACK', async () => {
    const connack = [0x20, 3, 0, 0, 0];
    const { url } = await answering(connack, [0xe0, 2, 0, 0]);
    const device = connect(url, { subscriptions: [] });
    await online(device);
    expect(await device.link.publish('out', 'x')).toBe(false);
  });
});
