/**
 * S1: attacks on updates. A repository as ours are, one thing in it wrong, served to the part of a device that takes updates, or in an
 * update file. Each must be refused with its own reason while the old model runs on; what is in order must be taken, also after the attack.
 */
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { loadKey } from '../src/bundle/key.js';
import type { UpdateReason } from '../src/contracts/reason.js';
import { initRepository, publish } from '../src/bundle/repository.js';
import { fakeClock } from '../test/runtime/fakes.js';
import { archiveCases, piecesOf, tar } from './archive-cases.js';
import { OFFERED, RUNNING, cases, envelope, forgeAhead, json, parse, roles, seal } from './attack-cases.js';
import type { Answer, Desired, Keys, Signed, World } from './attack-cases.js';
import type { AttackedDevice } from './attacked-device.js';
import { openAttackedDevice } from './attacked-device.js';
import { inFolder, memoryFolder, packModel, stream } from './device.js';
import { eachTrial } from './row.js';
import type { FaultRow, Failures } from './row.js';

const dayMs = 86_400_000;

/** What comes of it; the device takes what is there by server, or by the file at `path`. */
type Way = (world: World, device: AttackedDevice, path: string) => Promise<UpdateReason | 'taken'>;

const signed = ({ desired, keys }: World): Uint8Array => envelope(json(desired), keys.fleet);
const byFile =
  (attack: (world: World, path: string) => Buffer | undefined): Way =>
  (world, device, path) => {
    const bytes = attack(world, path);
    if (bytes !== undefined) writeFileSync(path, bytes);
    return device.install(path);
  };
const fileOf = (world: World, desired = signed(world)): Buffer => tar(piecesOf(world, desired));

const all: readonly (readonly [name: string, expected: UpdateReason | 'taken', way: Way, by: 'server' | 'file'])[] = [
  ...cases.map(([name, expected, attack]) => {
    const way: Way = (world, device) => device.offer(attack(world) ?? signed(world));
    return [name, expected, way, 'server'] as const;
  }),
  ...cases.flatMap(([name, expected, attack, by]) => {
    const way = byFile((world) => fileOf(world, attack(world) ?? signed(world)));
    return by === 'server' ? [] : [[`by file, ${name}`, expected, way, 'file'] as const];
  }),
  ...archiveCases.map(([name, expected, attack]) => {
    const way = byFile((world, path) => attack(piecesOf(world, signed(world)), world, path));
    return [`a file, ${name}`, expected, way, 'file'] as const;
  }),
];

export const updateAttacks: FaultRow = {
  id: 'S1',
  what: `${all.length} named attacks on updates, from a repository over HTTP, in desired states and in update files`,
  counts: 'taken, refused for another reason, old model disturbed, or sound update refused afterwards',
  trials: { C: all.length, N: 20 * all.length },
  run: (trials, seed) => inFolder((dir) => attackInTurn(dir, trials, seed), memoryFolder),
};

async function attackInTurn(dir: string, trials: number, seed: number): Promise<Failures> {
  const clock = fakeClock();
  const repository = { dir: join(dir, 'repository'), nowMs: clock.now() };
  const { servedDir, keysDir, rootFile } = await initRepository(repository);
  const names = [...roles, 'fleet'] as const;
  const keys = Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await loadKey(join(keysDir, `${name}.pem`))] as const)),
  ) as Keys;
  let files = new Map<string, Answer>();
  const server = createServer((request, response) => {
    const answer = files.get(decodeURIComponent(request.url!));
    if (answer === undefined) response.writeHead(404).end();
    else if (typeof answer !== 'function') response.end(answer);
    else answer(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const open = (stateDir: string) => openAttackedDevice(stateDir, url, readFileSync(rootFile), clock);
  const filesServed = () => {
    const paths = readdirSync(servedDir, { recursive: true, encoding: 'utf8' }).filter((path) => /\.\w+$/.test(path));
    return new Map<string, Answer>(paths.map((path) => [`/${path}`, readFileSync(join(servedDir, path))]));
  };
  const hashes = new Map<number, string>();
  const wanted = (seq: number, release: number): Desired => ({
    v: 1,
    site: 'plant1',
    device: 'pi7',
    seq,
    issued: clock.now(),
    expires: clock.now() + dayMs,
    models: [
      { line: stream, release, manifest_sha256: hashes.get(release), urls: [], bind: { target: stream }, mode: 'active', probation: { minutes: 0, forecasts: 0 } },
    ], // prettier-ignore
  });

  // A device that has come to the release before by the ordinary way.
  const before = join(dir, 'before');
  const device = await open(before);
  for (let release = 1; release <= OFFERED; release++) {
    const bundleDir = join(dir, 'bundle');
    await packModel(bundleDir, release);
    hashes.set(release, (await publish({ ...repository, bundleDir })).manifestSha256);
    if (release === OFFERED) break;
    files = filesServed();
    await device.offer(envelope(json(wanted(release + 1, release)), keys.fleet));
    device.prove();
  }
  await device.close();
  const oldTimestamp = files.get('/metadata/timestamp.json') as Buffer;
  const sound = filesServed().set('/old/timestamp.json', seal({ ...parse<{ signed: Signed }>(oldTimestamp).signed, version: 2 }, [keys.timestamp])); // prettier-ignore

  const failures = await eachTrial('S1', async (random, index) => {
    const [name, expected, way, by] = all[index % all.length]!;
    const stateDir = join(dir, 'device');
    rmSync(stateDir, { recursive: true, force: true });
    cpSync(before, stateDir, { recursive: true });
    const world: World = { files: new Map(sound), keys, desired: wanted(100, OFFERED), random };
    const attacked = await open(stateDir);
    try {
      files = world.files;
      const path = join(dir, 'update.ndb');
      rmSync(path, { force: true });
      const outcome = await way(world, attacked, path);
      if (outcome !== expected) return `${name}: ${outcome}, not ${expected}`;
      if (expected === 'taken') return undefined;
      if (attacked.running() !== RUNNING) return `${name}: refused, but ${attacked.running()} runs`;

      // Whoever has the root key may lock out the others; nobody else may.
      if (parse<{ signed: Signed }>(readFileSync(join(stateDir, 'trust', 'root.json'))).signed.version > 1) return;
      files = new Map(sound);
      const mended: World = { ...world, files, desired: wanted(1000, OFFERED) };
      forgeAhead(mended);
      rmSync(path, { force: true });
      if (by === 'file') writeFileSync(path, fileOf(mended));
      const after = await (by === 'file' ? attacked.install(path) : attacked.offer(signed(mended)));
      return after === 'taken' ? undefined : `${name}: then the sound one: ${after}`;
    } catch (error) {
      return `${name}: ${String(error)}`;
    } finally {
      await attacked.close();
    }
  })(trials, seed);
  server.closeAllConnections();
  server.close();
  return failures;
}
