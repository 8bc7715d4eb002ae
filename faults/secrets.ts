/**
 * S2: secrets of a device, and errors of every kind. Nothing it prints, tells, publishes, serves or keeps may hold any of them: not the
 * passwords, not the key, not what stands in URLs to be let in.
 */
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { startBroker } from '../src/transport/broker.js';
import { inFolder, installModel, memoryFolder, prefix, settings } from './device.js';
import { createFleet } from './fleet.js';
import { deviceProgram, until } from './process.js';
import { eachTrial } from './row.js';
import type { FaultRow, Random } from './row.js';

/** What must not be found anywhere. */
type Secrets = Readonly<Record<'password' | 'key' | 'user' | 'token' | 'scraper', string>>;

interface Scene {
  /** URLs with secrets in them, of servers that run. */
  readonly broker: string;
  readonly repository: string;
  /** Without secrets. */
  readonly host: string;
}

interface Case {
  readonly name: string;
  /** Regular expression of the line that says that the error has happened, or the exit code. */
  readonly until: RegExp | number;
  readonly mqtt?: (scene: Scene, secrets: Secrets) => object;
  readonly change?: (scene: Scene, secrets: Secrets) => object;
  /** How the broker greets, when it is none. */
  readonly greeting?: Buffer;
  /** How the repository answers a path; undefined for the file that is there. */
  readonly answer?: (path: string, response: ServerResponse) => boolean;
  readonly text?: (yaml: string) => string;
}

const status =
  (code: number, on = /./, headers = {}) =>
  (path: string, response: ServerResponse): boolean =>
    on.test(path) && response.writeHead(code, headers).end() !== undefined;
const body =
  (content: string | Buffer, on = /./) =>
  (path: string, response: ServerResponse): boolean =>
    on.test(path) && response.end(content) !== undefined;

const refused = /"event":"update-refused".*\n/;
const offline = /"state":"offline".*\n/;
const connack = (code: number): Buffer => Buffer.from([0x20, 3, 0, code, 0]);
const repositoryAt = (url: (scene: Scene, secrets: Secrets) => string) => (scene: Scene, secrets: Secrets) => ({
  repository: { url: url(scene, secrets), root_file: 'root.json' },
});

const cases: readonly Case[] = [
  { name: 'all is well', until: /"state":"online".*\n/ },
  { name: 'the broker refuses the password', until: offline, greeting: connack(0x86) },
  { name: 'the broker refuses the client', until: offline, greeting: connack(0x87) },
  { name: 'the broker bans the client', until: offline, greeting: connack(0x8a) },
  { name: 'the broker speaks rubbish', until: offline, greeting: Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n') },
  { name: 'the broker is not there', until: offline, mqtt: () => ({ url: 'mqtt://127.0.0.1:1' }) },
  { name: 'the broker has no address', until: offline, mqtt: () => ({ url: 'mqtt://no-such-broker', allow_insecure: 'private' }) },
  { name: 'the broker does not speak TLS', until: offline, mqtt: ({ host }) => ({ url: `mqtts://${host}`, ca_file: 'ca.pem' }), greeting: connack(0) },
  { name: 'a key that is none', until: offline, mqtt: ({ host }) => ({ url: `mqtts://${host}`, ca_file: 'ca.pem', cert_file: 'ca.pem', key_file: 'key.pem' }) },
  { name: 'a password to a private network', until: 70, mqtt: () => ({ url: 'mqtt://10.0.0.1' }) },
  { name: 'a password to a public network', until: 70, mqtt: () => ({ url: 'mqtt://192.0.2.1' }) },
  { name: 'a password in the URL to a public network', until: 70, mqtt: (_, { user, token }) => ({ url: `mqtt://${user}:${token}@192.0.2.1`, username: undefined, password_file: undefined }) },
  { name: 'TLS without a CA', until: 70, mqtt: (_, { user, token }) => ({ url: `wss://${user}:${token}@192.0.2.1/mqtt?token=${token}` }) },
  { name: 'a password file that is not there', until: 70, mqtt: () => ({ password_file: 'nowhere' }) },
  { name: 'a password in the URL that the broker refuses', until: offline, mqtt: ({ host }, { user, token }) => ({ url: `mqtt://${user}:${token}@${host}`, username: undefined, password_file: undefined }), greeting: connack(0x86) },
  { name: 'a URL of no known kind', until: 78, mqtt: (_, { user, token }) => ({ url: `http://${user}:${token}@127.0.0.1` }) },
  { name: 'a URL that is none', until: 78, mqtt: (_, { user, token }) => ({ url: `mqtt://${user}:${token}@:::` }) },
  { name: 'a setting nobody knows', until: 78, mqtt: (_, { password }) => ({ password }) },
  { name: 'a setting of another kind', until: 78, change: (_, { password }) => ({ mqtt: password }) },
  { name: 'a repository of no known kind', until: 78, change: repositoryAt((_, { user, token }) => `ftp://${user}:${token}@127.0.0.1`) },
  { name: 'YAML that is none', until: 78, text: (yaml) => yaml.replace('url:', 'url: : [') },
  { name: 'YAML that breaks off', until: 78, text: (yaml) => `${yaml.slice(0, yaml.lastIndexOf('@') + 3)}` },
  { name: 'YAML with a tab', until: 78, text: (yaml) => yaml.replace('  url', '\turl') },
  { name: 'YAML with a line too many', until: 78, text: (yaml) => yaml.replace('repository:', '"x" y\nrepository:') },
  { name: 'a state folder that is a file', until: 70, change: () => ({ state_dir: 'ca.pem' }) },
  { name: 'a root that is not there', until: refused, change: ({ repository }) => ({ repository: { url: repository, root_file: 'nowhere' } }) },
  { name: 'a root that is none', until: refused, change: ({ repository }) => ({ repository: { url: repository, root_file: 'ca.pem' } }) },
  { name: 'a repository that lets nobody in', until: refused, answer: status(401) },
  { name: 'a repository that fails', until: refused, answer: status(500) },
  { name: 'a repository that sends elsewhere', until: refused, answer: status(302, /./, { location: '/x' }) },
  { name: 'a repository of rubbish', until: refused, answer: body('{') },
  { name: 'a repository that sends too much', until: refused, answer: body(Buffer.alloc(1e6)) },
  { name: 'a repository that hangs up', until: refused, answer: (_, response) => response.destroy() !== undefined },
  { name: 'a repository that is not there', until: refused, change: repositoryAt((_, { user, token }) => `http://${user}:${token}@127.0.0.1:1/${token}`) },
  { name: 'a repository without address', until: refused, change: repositoryAt((_, { user, token }) => `http://${user}:${token}@no-such-host.invalid/${token}`) },
  { name: 'a repository whose URL is none', until: 78, change: repositoryAt((_, { user, token }) => `http://${user}:${token}@:::/`) },
  { name: 'a repository that does not speak TLS', until: refused, change: repositoryAt(({ repository }) => repository.replace('http:', 'https:')) },
  { name: 'a repository without a snapshot', until: refused, answer: status(404, /snapshot/) },
  { name: 'a repository without the keys of the fleet', until: refused, answer: status(404, /fleet/) },
  { name: 'keys of the fleet that were changed', until: refused, answer: body('{}', /fleet/) },
  { name: 'keys of the fleet that are too long', until: refused, answer: body(Buffer.alloc(1e5), /fleet/) },
  { name: 'a model that was changed', until: refused, answer: body('x', /onnx/) },
  { name: 'a model that is too long', until: refused, answer: body(Buffer.alloc(1e5), /onnx/) },
]; // prettier-ignore

export const plantedSecrets: FaultRow = {
  id: 'S2',
  what: `planted passwords, keys and tokens in ${cases.length} kinds of errors, looked for in output, events, messages, pages and files`,
  counts: 'secrets found, or errors that did not happen',
  trials: { C: cases.length, N: 5 * cases.length },
  run: eachTrial('S2', (random, index) =>
    inFolder((dir) => provoke(dir, cases[index % cases.length]!, random), memoryFolder),
  ),
};

const secret = (random: Random, name: string): string =>
  name + Array.from({ length: 20 }, () => random.pick([...'abcdefghijkmnpqrstuvwxyz'])).join('');

/** As they stand, and as they are written into headers and files. */
const spellings = (text: string): string[] => [
  text,
  ...(['base64', 'hex'] as const).map((encoding) => Buffer.from(text).toString(encoding)),
];

async function provoke(dir: string, one: Case, random: Random): Promise<string | undefined> {
  const secrets: Secrets = { password: '', key: '', user: '', token: '', scraper: '' };
  for (const name of Object.keys(secrets)) Object.assign(secrets, { [name]: secret(random, name) });
  const { password, key, user, token, scraper } = secrets;
  const stateDir = join(dir, 'state');
  await installModel(stateDir);
  writeFileSync(join(dir, 'password'), password);
  writeFileSync(join(dir, 'scraper'), scraper);
  writeFileSync(join(dir, 'key.pem'), pem('PRIVATE KEY', key));
  writeFileSync(join(dir, 'ca.pem'), pem('CERTIFICATE', 'nothing secret'));

  const real = await startBroker();
  const fleet = await createFleet(dir, 1);
  const wanted = await fleet.publish(2);
  writeFileSync(join(dir, 'root.json'), readFileSync(fleet.settings.root_file));
  const http = await listening(
    createHttpServer((request, response) => {
      const path = request.url!.replace(`/${token}/`, '');
      if (one.answer?.(path, response) === true) return;
      const file = join(dir, 'repository/public', path);
      try {
        response.end(readFileSync(file));
      } catch {
        response.writeHead(404).end();
      }
    }),
  );
  const greeter = await listening(createServer((socket) => socket.on('error', () => undefined).once('data', () => socket.end(one.greeting ?? '')))); // prettier-ignore
  const host = one.greeting === undefined ? real.url.slice('mqtt://'.length) : greeter.host;
  const repository = `http://${user}:${token}@${http.host}/${token}`;
  const scene: Scene = { host, broker: `mqtt://${host}`, repository };

  const ear = await mqtt.connectAsync(real.url);
  let output = '';
  ear.on('message', (topic, payload) => (output += `${topic} ${payload.toString()}\n`));
  await ear.subscribeAsync('#');
  await ear.publishAsync(`${prefix}/model/desired`, Buffer.from(wanted), { qos: 1, retain: true });
  output = '';

  const whole = settings(stateDir, '', {
    mqtt: { url: scene.broker, username: 'nd-plant1-pi7', password_file: 'password', ...one.mqtt?.(scene, secrets) },
    repository: { url: repository, root_file: 'root.json' },
    http: { port: 0, token_file: 'scraper' },
    ...one.change?.(scene, secrets),
  });
  const config = join(dir, 'device.yaml');
  writeFileSync(config, one.text === undefined ? JSON.stringify(whole) : one.text(yamlOf(whole, repository)));

  const child = spawn(process.execPath, [deviceProgram, config, '--events'], { stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const gone = new Promise((resolve) => child.once('close', resolve));
  const happened = (): boolean =>
    typeof one.until === 'number' ? child.exitCode === one.until : one.until.test(output);
  const came = await until('the error', () => happened() || child.exitCode !== null, 10_000).then(
    happened,
    () => false,
  );
  const pages = child.exitCode === null ? await readPages(() => output, scraper) : '';
  child.kill('SIGTERM');
  await gone;
  await ear.endAsync(true);
  await fleet.close();
  await real.close();
  for (const { close } of [http, greeter]) close();

  const kept = readdirSync(stateDir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'));
  for (const [name, text] of Object.entries(secrets))
    for (const place of [output, pages, ...kept])
      if (spellings(text).some((spelling) => place.includes(spelling)))
        return `${one.name}: the ${name} is found: ${excerpt(place, spellings(text))}`;
  if (typeof one.until !== 'number' && !pages.includes('nd_build_info')) return `${one.name}: there are no metrics`;
  return came ? undefined : `${one.name}: it did not happen: ${output.slice(-300)}`;
}

/** All that a device says over HTTP, to those that it lets in and to others. */
async function readPages(output: () => string, scraper: string): Promise<string> {
  const told = /"event":"http","host":"127\.0\.0\.1","port":(\d+)/;
  await until('the pages are offered', () => told.test(output()), 10_000).catch(() => undefined); // then they are missed
  const port = told.exec(output())?.[1];
  if (port === undefined) return '';
  const ask = async (path: string, headers: Record<string, string>): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
    return `${JSON.stringify([...response.headers])}\n${await response.text()}`;
  };
  const asked = ['/metrics', '/healthz', '/readyz', '/version', '/nowhere'].flatMap((path) => [
    ask(path, { authorization: `Bearer ${scraper}` }),
    ask(path, {}),
  ]);
  return (await Promise.all(asked)).join('\n');
}

const excerpt = (place: string, found: readonly string[]): string => {
  const at = Math.min(...found.map((each) => place.indexOf(each)).filter((index) => index >= 0));
  return JSON.stringify(place.slice(Math.max(0, at - 80), at + 40));
};

const pem = (kind: string, content: string): string =>
  `-----BEGIN ${kind}-----\n${Buffer.from(content).toString('base64')}\n-----END ${kind}-----\n`;

/** The settings as a person writes them, with the URL of the repository where it can break. */
const yamlOf = ({ mqtt: _, repository: _r, ...rest }: Record<string, unknown>, repository: string): string =>
  [...Object.entries(rest).map(([key, value]) => `${key}: ${JSON.stringify(value)}`), 'mqtt: { url: mqtt://127.0.0.1 }', 'repository:', `  url: "${repository}"`, '  root_file: root.json', ''].join('\n'); // prettier-ignore

async function listening(server: Server): Promise<{ host: string; close: () => void }> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => void server.close() };
}
