/** The link against Debian's mosquitto: a second broker, and one that speaks MQTT 5 and keeps what it knows on disk. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer, type AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import mqtt, { type IPublishPacket, type MqttClient } from 'mqtt';
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  connectMqtt,
  type LinkEvent,
  type MqttLink,
  type MqttMessage,
  type MqttOptions,
} from '../../src/transport/mqtt.js';
import { findProgram } from '../program.js';

const mosquitto = findProgram('mosquitto');
const soon = { timeout: 20_000, interval: 20 };

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Mosquitto {
  readonly url: string;
  readonly start: () => Promise<void>;
  readonly stop: (signal: 'SIGTERM' | 'SIGKILL') => Promise<void>;
}

/** A broker of its own on a free port, with its database in a folder of its own. */
async function broker(): Promise<Mosquitto> {
  const folder = mkdtempSync(join(tmpdir(), 'nd-mosquitto-'));
  const port = await freePort();
  const config = [`listener ${port} 127.0.0.1`, 'allow_anonymous true', 'persistence true', `persistence_location ${folder}/`, `user ${userInfo().username}`]; // prettier-ignore
  writeFileSync(join(folder, 'mosquitto.conf'), `${config.join('\n')}\n`);

  let child: ChildProcess | undefined;
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null) return;
    const gone = new Promise((resolve) => running.once('exit', resolve));
    running.kill(signal);
    await gone;
  };
  const start = async (): Promise<void> => {
    child = spawn(mosquitto!, ['-c', join(folder, 'mosquitto.conf')], { stdio: 'ignore' });
    await vi.waitFor(() => reach(port), soon);
  };
  cleanups.push(async () => {
    await stop('SIGKILL');
    rmSync(folder, { recursive: true });
  });
  await start();
  return { url: `mqtt://127.0.0.1:${port}`, start, stop };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const reach = (port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = createConnection(port, '127.0.0.1', () => {
      socket.destroy();
      resolve();
    }).once('error', reject);
  });

interface Device {
  readonly link: MqttLink;
  readonly events: LinkEvent[];
  readonly messages: { readonly text: string; readonly retain: boolean }[];
}

function connect(url: string, options: Partial<MqttOptions> = {}): Device {
  const events: LinkEvent[] = [];
  const messages: Device['messages'] = [];
  const link = connectMqtt({
    url,
    clientId: 'nd-plant1-pi7',
    subscriptions: [{ filter: 'in/+', skipRetained: true }, { filter: 'desired' }],
    onMessage: ({ payload, retain }: MqttMessage) =>
      void messages.push({ text: Buffer.from(payload).toString(), retain }),
    onLink: (event) => events.push(event),
    backoffMs: { first: 5, last: 50 },
    ...options,
  });
  cleanups.push(() => link.close());
  return { link, events, messages };
}

async function other(url: string): Promise<{ client: MqttClient; seen: IPublishPacket[] }> {
  const client = await mqtt.connectAsync(url, { protocolVersion: 5, reconnectPeriod: 0 });
  client.on('error', () => undefined); // the broker is killed under it
  const seen: IPublishPacket[] = [];
  client.on('message', (_topic, _payload, packet) => seen.push(packet));
  cleanups.push(() => client.endAsync(true));
  return { client, seen };
}

const online = ({ link }: Device) => vi.waitFor(() => expect(link.online).toBe(true), soon);
const text = ({ payload }: IPublishPacket): string => payload.toString();

describe.skipIf(mosquitto === undefined)('with mosquitto', () => {
  test('the link speaks MQTT 5, and marks and expiry of a message arrive', async () => {
    const { url } = await broker();
    const device = connect(url);
    await online(device);
    expect(device.events).toEqual([{ state: 'online', protocol: 5, sessionPresent: false }]);

    const fleet = await other(url);
    await fleet.client.subscribeAsync('out/#', { qos: 1 });
    expect(await device.link.publish('out/a', '1', { expirySeconds: 60, replay: true })).toBe(true);
    await vi.waitFor(() => expect(fleet.seen.map(text)).toEqual(['1']), soon);
    expect(fleet.seen[0]!.properties).toMatchObject({
      messageExpiryInterval: 60,
      userProperties: { 'nd-replay': '1' },
    });
  });

  test('a message that has expired is not kept for a reader who comes later', async () => {
    const { url } = await broker();
    const device = connect(url);
    await online(device);
    await device.link.publish('out/short', 'old', { retain: true, expirySeconds: 1 });
    await device.link.publish('out/long', 'still true', { retain: true, expirySeconds: 600 });

    const found = async (): Promise<string[]> => {
      const { client, seen } = await other(url);
      await client.subscribeAsync('out/#', { qos: 1 });
      await client.subscribeAsync('end', { qos: 1 });
      await client.publishAsync('end', 'end', { qos: 1 }); // comes after what was retained
      await vi.waitFor(() => expect(seen.map(text)).toContain('end'), soon);
      return seen.map(text);
    };
    await vi.waitFor(async () => expect(await found()).toEqual(['still true', 'end']), soon);
  });

  test('old values of sensors are left out, the desired state is not', async () => {
    const { url } = await broker();
    const fleet = await other(url);
    await fleet.client.publishAsync('in/boiler', 'yesterday', { qos: 1, retain: true });
    await fleet.client.publishAsync('desired', 'model 1', { qos: 1, retain: true });
    const device = connect(url);
    await online(device);
    await fleet.client.publishAsync('in/boiler', 'now', { qos: 1, retain: true });
    await vi.waitFor(() => expect(device.messages).toHaveLength(2), soon);
    expect(device.messages).toEqual([
      { text: 'model 1', retain: true },
      { text: 'now', retain: false },
    ]);
  });

  test('what comes while the device is away waits for it, for as long as the session lives', async () => {
    const { url } = await broker();
    const before = connect(url);
    await online(before);
    await before.link.close();
    const fleet = await other(url);
    await fleet.client.publishAsync('in/boiler', 'late', { qos: 1 });
    const after = connect(url);
    await vi.waitFor(() => expect(after.messages).toMatchObject([{ text: 'late' }]), soon);
    await online(after);
    expect(after.events).toMatchObject([{ state: 'online', protocol: 5, sessionPresent: true }]);
  });

  test('without a session the will is told at once, and is another one for each connection', async () => {
    const { url } = await broker();
    const fleet = await other(url);
    await fleet.client.subscribeAsync('dead', { qos: 1 });
    let connections = 0;
    const will = () => ({ topic: 'dead', payload: Buffer.from([++connections]), qos: 1, retain: false }) as const;
    const device = connect(url, { clean: true, will });
    for (const number of [1, 2]) {
      await online(device);
      const intruder = await mqtt.connectAsync(url, { clientId: 'nd-plant1-pi7', reconnectPeriod: 0 });
      await vi.waitFor(() => expect(fleet.seen.at(-1)?.payload).toEqual(Buffer.from([number])), soon); // not after 15 s
      await intruder.endAsync(true);
    }
    await online(device);
    expect(device.events.filter(({ state }) => state === 'online').at(-1)).toMatchObject({ sessionPresent: false });
    await device.link.close();
    expect(fleet.seen).toHaveLength(2);
  });

  test('a long backlog does not keep the link from speaking', async () => {
    const { url } = await broker();
    const before = connect(url);
    await online(before);
    await before.link.close();
    const fleet = await other(url);
    for (let i = 0; i < 300; i++) await fleet.client.publishAsync('in/boiler', String(i), { qos: 1 });
    const could: boolean[] = [];
    const after = connect(url, {
      onMessage: async () => {
        await setTimeout(2);
        could.push(after.link.online);
      },
    });
    await vi.waitFor(() => expect(could).toHaveLength(300), soon);
    expect(could.indexOf(true)).toBeLessThan(10);
  });

  test('messages that come together are committed once, and then acknowledged', async () => {
    const { url } = await broker();
    const before = connect(url);
    await online(before);
    await before.link.close();
    const fleet = await other(url);
    const wanted = Array.from({ length: 300 }, (_, i) => String(i));
    for (const value of wanted) await fleet.client.publishAsync('in/boiler', value, { qos: 1 });
    let commits = 0;
    const after = connect(url, { commit: () => void commits++ });
    await vi.waitFor(() => expect(after.messages).toHaveLength(300), soon);
    expect(after.messages.map(({ text }) => text)).toEqual(wanted);
    expect(commits).toBeLessThan(150);
    await after.link.publish('out/end', ''); // whose PUBACK comes after the broker has read ours
    await after.link.close();

    const last = connect(url);
    await online(last);
    await fleet.client.publishAsync('in/boiler', 'new', { qos: 1 });
    await vi.waitFor(() => expect(last.messages.map(({ text }) => text)).toEqual(['new']), soon);
  });

  test('a session that the broker has forgotten is made anew, with its subscriptions', async () => {
    const { url } = await broker();
    const before = connect(url);
    await online(before);
    await before.link.close();
    // Another takes the client id with a clean start and no expiry: the broker forgets the session.
    const thief = await mqtt.connectAsync(url, { protocolVersion: 5, clientId: 'nd-plant1-pi7', clean: true });
    await thief.endAsync();

    const after = connect(url);
    await online(after);
    expect(after.events).toEqual([{ state: 'online', protocol: 5, sessionPresent: false }]);
    const fleet = await other(url);
    await fleet.client.publishAsync('in/boiler', '1', { qos: 1 });
    await vi.waitFor(() => expect(after.messages).toMatchObject([{ text: '1' }]), soon);
  });

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'after %s and a restart of the broker the link is back and carries on',
    async (signal) => {
      const { url, start, stop } = await broker();
      const device = connect(url);
      await online(device);
      await stop(signal);
      await vi.waitFor(() => expect(device.link.online).toBe(false), soon);
      expect(await device.link.publish('out', 'lost')).toBe(false);
      await vi.waitFor(
        () => expect(device.events.filter(({ state }) => state === 'offline').length).toBeGreaterThan(2),
        soon,
      );

      await start();
      await online(device);
      // A broker that was told to stop has written its sessions down; one that was killed has not.
      expect(device.events.at(-1)).toEqual({ state: 'online', protocol: 5, sessionPresent: signal === 'SIGTERM' });
      const fleet = await other(url);
      await fleet.client.subscribeAsync('out', { qos: 1 });
      await fleet.client.publishAsync('in/boiler', 'again', { qos: 1 });
      await vi.waitFor(() => expect(device.messages).toMatchObject([{ text: 'again' }]), soon);
      expect(await device.link.publish('out', 'again')).toBe(true);
      await vi.waitFor(() => expect(fleet.seen.map(text)).toEqual(['again']), soon);
    },
  );
});
