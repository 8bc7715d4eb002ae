/**
 * S3: who may read and write what, at a mosquitto with the configuration and the access list that deploy/ ships. What a client says where it
 * may not must reach nobody, and what it listens to without right must not reach it; what it may must pass.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import mqtt from 'mqtt';
import type { IClientOptions, MqttClient } from 'mqtt';
import { findProgram } from '../test/program.js';
import { inFolder } from './device.js';
import { createMosquitto, until } from './process.js';
import { eachTrial } from './row.js';
import type { FaultRow, Failures, Random } from './row.js';

const PASSWORD = 'correct horse';
const pi7 = 'nd-plant1-pi7';
const pi8 = 'nd-plant1-pi8'; // not in the list that ships: its block is copied, as that list says
const sensors = 'sensors-plant1';
const fleet = 'fleet';
/** These see and say everything; only in this test. */
const spy = 'spy';
const witness = 'witness';
const users = [pi7, pi8, sensors, fleet, spy, witness];

type Deed = 'write' | 'read' | 'will' | 'connect' | 'replace';
/** Topics below `neuro-divergent/` unless they begin with `/`; `S` is any stream. */
type Attempt = readonly [who: string, deed: Deed, topic: string, allowed: boolean];

const table = (who: string, deed: Deed, allowed: boolean, topics: string): Attempt[] =>
  topics.split(/\s+/).map((topic) => [who, deed, topic, allowed]);

const own = 'plant1/pi7/status plant1/pi7/info plant1/pi7/health plant1/pi7/forecast/S plant1/pi7/score/S plant1/pi7/alert/S/anomaly plant1/pi7/event/S plant1/pi7/model/reported plant1/pi7/model/progress plant1/pi7/reply/ping'; // prettier-ignore
const heard = 'plant1/pi7/in/S plant1/pi7/model/desired plant1/pi7/cmd/ping';
const others = own.replaceAll('pi7', 'pi8');
const elsewhere = 'plant2/pi7/status plant1/pi70/status plant1/pi7 plant1 /neuro-divergent /other/plant1/pi7/status /$SYS/broker/version /homeassistant/device/nd/config'; // prettier-ignore

const attempts: readonly Attempt[] = [
  ...table(pi7, 'write', true, own),
  ...table(pi7, 'read', true, heard),
  ...table(sensors, 'write', true, 'plant1/pi7/in/S plant1/pi8/in/S'),
  ...table(fleet, 'write', true, 'plant1/pi7/model/desired plant2/pi9/model/desired plant1/pi7/cmd/ping'),
  ...table(fleet, 'read', true, own),
  ...table(pi7, 'will', true, 'plant1/pi7/status'),

  // A device speaks only for itself, and does not command itself either.
  ...table(pi7, 'write', false, `${others} ${elsewhere} ${heard} plant1/pi8/model/desired plant1/pi8/cmd/ping plant1/pi8/in/S`),
  ...table(pi7, 'write', false, 'plant1/pi7/status/x plant1/pi7/forecast plant1/pi7/forecast/S/x plant1/pi7/alert/S plant1/pi7/model plant1/pi7/model/desired/x plant1/pi7/model/other plant1/pi7/cmd'),
  ...table(pi7, 'read', false, `${others} plant1/pi8/model/desired plant1/pi8/in/S plant2/pi7/status /other/x`),
  ...table(pi7, 'will', false, 'plant1/pi8/status plant1/pi7/model/desired plant1/pi7/cmd/ping'),
  ...table(pi8, 'write', false, `${own} ${heard}`),
  ...table(pi8, 'read', false, `${own} ${heard}`),

  // What sends readings sends nothing else, and hears nothing.
  ...table(sensors, 'write', false, `${own} plant1/pi7/model/desired plant1/pi7/cmd/ping plant2/pi7/in/S plant1/pi7/in plant1/pi7/in/S/x plant1/in/S /in/S`),
  ...table(sensors, 'read', false, `${own} ${heard}`),
  ...table(sensors, 'will', false, 'plant1/pi7/status plant1/pi7/model/desired'),

  // The fleet assigns and commands, and puts no words into the mouth of a device.
  ...table(fleet, 'write', false, `${own} plant1/pi7/in/S plant1/pi7/model plant1/pi7/cmd plant1/pi7/cmd/ping/x ${elsewhere}`),
  ...table(fleet, 'read', false, '/other/x /homeassistant/status'),

  // Who is nobody gets no connection; who is somebody takes nobody else's place.
  ...['', 'root', 'nd-plant1-pi9', 'nd-plant1-PI7', `${pi7} `, '#', '+'].map((who): Attempt => [who, 'connect', '', false]),
  ...users.map((who): Attempt => [who, 'connect', 'wrong', false]),
  ...[pi8, sensors, fleet].map((who): Attempt => [who, 'replace', '', false]),
]; // prettier-ignore

export const accessControl: FaultRow = {
  id: 'S3',
  what: `${attempts.length} attempts at a mosquitto with deploy/mosquitto: to write, read, be heard by a last will, connect, take a place`,
  counts: 'allowed without right, or refused with it',
  trials: { C: attempts.length, N: 20 * attempts.length },
  run: (trials, seed) => inFolder((dir) => attemptInTurn(dir, trials, seed)),
};

const shipped = (name: string): string => readFileSync(join('deploy/mosquitto', name), 'utf8');

async function attemptInTurn(dir: string, trials: number, seed: number): Promise<Failures> {
  const [passwords, acl] = ['passwd', 'acl'].map((name) => join(dir, name)) as [string, string];
  writeFileSync(passwords, users.map((user) => `${user}:${PASSWORD}\n`).join(''), { mode: 0o600 });
  spawnSync(findProgram('mosquitto_passwd')!, ['-U', passwords]);
  const block = /^user nd-plant1-pi7\n(?:topic .*\n)+/m.exec(shipped('acl'))![0];
  writeFileSync(
    acl,
    `${shipped('acl')}\n${block.replaceAll('pi7', 'pi8')}\n${[spy, witness].map((user) => `user ${user}\ntopic readwrite #\n`).join('\n')}`,
    {
      mode: 0o600,
    },
  );
  // As it ships, but for the files of this machine, and without TLS.
  const lines = shipped('mosquitto.conf')
    .split('\n')
    .filter((line) => !/^(#|cafile|certfile|keyfile|tls|persistence|password_file|acl_file|$)/.test(line));
  const broker = await createMosquitto(join(dir, 'broker'), [
    ...lines,
    `password_file ${passwords}`,
    `acl_file ${acl}`,
  ]);
  await broker.start();
  const connect = (username: string, options: IClientOptions = {}): Promise<MqttClient> =>
    mqtt.connectAsync(broker.url, {
      protocolVersion: 5,
      reconnectPeriod: 0,
      username,
      password: PASSWORD,
      clientId: username,
      ...options,
    });
  const ear = await connect(spy);
  const heardBySpy = new Map<string, string>();
  ear.on('message', (topic, payload) => heardBySpy.set(payload.toString(), topic));
  await ear.subscribeAsync('#', { qos: 1 });
  /** Whatever the broker has sent to a client before is there. */
  const settled = (client: MqttClient) => client.unsubscribeAsync('nothing').catch(() => undefined);

  const passes = async (who: string, deed: Deed, topic: string, random: Random): Promise<boolean> => {
    const word = `${who} ${random()}`;
    if (deed === 'connect')
      return connect(who, topic === '' ? {} : { password: topic }).then(
        (client) => client.endAsync(true).then(() => true),
        () => false,
      );
    if (deed === 'replace') {
      const owner = await connect(pi7);
      const lost = new Promise<boolean>((resolve) => owner.once('close', () => resolve(true)));
      const thief = await connect(who, { clientId: pi7, clean: false });
      const replaced = await Promise.race([lost, settled(owner).then(() => false)]);
      await Promise.all([owner.endAsync(true), thief.endAsync(true)]);
      return replaced;
    }
    if (deed === 'will') {
      // The will of one who may comes after that of the one who may not.
      for (const [user, about] of [
        [who, topic],
        [witness, '/end'],
      ] as const) {
        const client = await connect(user, {
          will: { topic: about, payload: Buffer.from(`${word} ${about}`), qos: 1 },
        }).catch(() => undefined);
        client?.on('error', () => undefined);
        client?.stream.destroy();
      }
      await until('the last will comes', () => heardBySpy.has(`${word} /end`));
      return heardBySpy.has(`${word} ${topic}`);
    }
    const client = await connect(who);
    try {
      if (deed === 'write') {
        await client.publishAsync(topic, word, { qos: 1, retain: random.chance(0.5) }).catch(() => undefined);
        await settled(ear);
        return heardBySpy.has(word);
      }
      let read = false;
      client.on('message', (_, payload) => (read ||= payload.toString() === word));
      const [filter, ...more] = [
        topic,
        '#',
        topic.replace(/[^/]+/, '+'),
        topic.replace(/[^/]+$/, '+'),
        `$share/x/${topic}`,
      ];
      await client.subscribeAsync(random.chance(0.3) ? filter : random.pick(more), { qos: 1 }).catch(() => undefined);
      await ear.publishAsync(topic, word, { qos: 1 });
      await settled(client);
      return read;
    } finally {
      await client.endAsync(true);
    }
  };

  const failures = await eachTrial('S3', async (random, index) => {
    const [who, deed, topic, allowed] = attempts[index % attempts.length]!;
    const stream = random.pick(['boiler', 'pump-2', 'A', '_', 'model', 'desired']);
    const full = deed === 'connect' ? topic : topic.startsWith('/') ? topic.slice(1) : `neuro-divergent/${topic}`;
    const passed = await passes(who, deed, full.replaceAll('S', full.startsWith('$') ? 'S' : stream), random);
    return passed === allowed ? undefined : `${who} ${deed} ${topic}: ${passed ? 'allowed' : 'refused'}`;
  })(trials, seed);
  await ear.endAsync(true);
  await broker.kill();
  return failures;
}
