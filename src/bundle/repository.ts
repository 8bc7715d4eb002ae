/**
 * The TUF 1.0 repository models are published in: static files any web server can serve (EDGE.md §11).
 *
 * `<dir>/public/metadata` and `<dir>/public/targets` are served, `<dir>/keys` never. Snapshots are consistent (TUF 6.2):
 * files carry their version or hash in their name and never change, only timestamp.json does, last.
 */
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { TargetFile } from '@tufjs/models';
import { Metadata, MetadataKind, Root, Targets } from '@tufjs/models';
import type { FleetKeys } from '../contracts/desired.js';
import { fleetKeysSchema } from '../contracts/desired.js';
import { limits } from '../contracts/limit.js';
import { manifestSchema, type Manifest } from '../contracts/manifest.js';
import { refuse } from '../contracts/reason.js';
import { parseWire, wireText } from '../contracts/wire.js';
import { NeuroDivergentError } from '../errors.js';
import { sha256 } from './folder.js';
import type { SigningKey } from './key.js';
import { createKey, loadKey, saveKey } from './key.js';
import type { RepositoryOptions, RoleName } from './metadata.js';
import { addTarget, keyFile, places, readMetadata, readState, roleNames, sealSnapshot, signWith, stamp, tufKey, writeMetadata, writeRelease, writeSnapshot } from './metadata.js'; // prettier-ignore
import { manifestFile, readBundle } from './pack.js';
import { orThrow } from './refusal.js';
import { finding, verifyBundle, type Finding } from './verify.js';

export type { RepositoryOptions } from './metadata.js';

export interface Repository {
  /** Serve this folder: it holds `metadata/` and `targets/`. */
  readonly servedDir: string;
  /** The root a device pins at enrolment. */
  readonly rootFile: string;
  readonly keysDir: string;
  /** Signs desired states; its public part is the target `keys/fleet.json`. */
  readonly fleetKey: SigningKey;
}

export interface Published {
  readonly line: string;
  readonly release: number;
  readonly manifestSha256: string;
}

export const fleetKeysTarget = 'keys/fleet.json';

/** Makes keys and first metadata. Throws `ND_FILE_EXISTS` where a repository already is. */
export async function initRepository(options: RepositoryOptions): Promise<Repository> {
  const { servedDir, keysDir } = places(options);
  for (const folder of ['metadata', 'targets']) await mkdir(join(servedDir, folder), { recursive: true });
  const keys = {} as Record<RoleName | 'fleet', SigningKey>;
  for (const name of [...roleNames, 'fleet'] as const) {
    keys[name] = createKey();
    await saveKey(keyFile(keysDir, name), keys[name]); // refuses to overwrite: the first one stops a second init
  }

  const root = new Metadata(new Root({ ...stamp('root', 1, options), consistentSnapshot: true }));
  for (const role of roleNames) root.signed.addKey(tufKey(keys[role]), role);
  signWith(root, keys.root, root);
  await writeMetadata(servedDir, '1.root', root);
  await writeMetadata(servedDir, 'root', root); // for people and tools; clients ask for numbered ones

  const fleetKeys: FleetKeys = {
    schema: 1,
    keys: [{ keyid: keys.fleet.keyId, keytype: 'ed25519', public: keys.fleet.publicHex }],
  };
  const fleetTarget = await addTarget(servedDir, fleetKeysTarget, Buffer.from(wireText(fleetKeysSchema, fleetKeys)));
  await writeRelease(
    options,
    root,
    new Targets({ ...stamp('targets', 1, options), targets: { [fleetKeysTarget]: fleetTarget } }),
    1,
    1,
  );
  return openRepository(options);
}

/** Throws `ND_FILE_NOT_FOUND` when there is no repository. */
export async function openRepository(options: RepositoryOptions): Promise<Repository> {
  const { servedDir, keysDir } = places(options);
  const rootFile = join(servedDir, 'metadata', '1.root.json');
  await readMetadata(servedDir, '1.root', MetadataKind.Root);
  return { servedDir, rootFile, keysDir, fleetKey: await loadKey(keyFile(keysDir, 'fleet')) };
}

/**
 * Verifies the bundle, adds `<line>/<release>/…` and signs. The same bundle again changes nothing.
 * Throws `ND_BUNDLE_<REASON>`; `ND_BUNDLE_ROLLBACK_REFUSED` unless the release is above the newest of its line.
 */
export async function publish(options: RepositoryOptions & { readonly bundleDir: string }): Promise<Published> {
  const { bundleDir } = options;
  const [first, ...more] = await verifyBundle(bundleDir);
  if (first !== undefined) {
    const all = [first, ...more].map(({ where, detail, code }) => `${where}: ${detail} [${code}]`).join('; ');
    orThrow(refuse(first.reason, all), bundleDir);
  }
  const {
    manifest: { line, release, files },
    manifestBytes,
    manifestSha256,
  } = await readBundle(bundleDir);
  const published = { line, release, manifestSha256 };

  const { servedDir } = places(options);
  const state = await readState(servedDir);
  const { targets } = state.targets.signed;
  const prefix = `${line}/${release}`;
  if (targets[`${prefix}/${manifestFile}`]?.hashes['sha256'] === manifestSha256) return published;
  const newest = newestRelease(targets, line);
  if (release <= newest)
    orThrow(
      refuse('rollback_refused', `release ${release} of ${line} is not above ${newest}, the newest published`),
      bundleDir,
    );

  const added: Record<string, TargetFile> = {};
  for (const { path } of files)
    added[`${prefix}/${path}`] = await addTarget(servedDir, `${prefix}/${path}`, await readFile(join(bundleDir, path)));
  added[`${prefix}/${manifestFile}`] = await addTarget(servedDir, `${prefix}/${manifestFile}`, manifestBytes);
  const next = new Targets({
    ...stamp('targets', state.targets.signed.version + 1, options),
    targets: { ...targets, ...added },
  });
  await writeRelease(options, state.root, next, state.snapshot.signed.version + 1, state.timestamp.signed.version + 1);
  return published;
}

/** What is wrong with the files served. Throws `ND_BUNDLE_BAD_SIGNATURE` and `ND_FILE_NOT_FOUND` for the metadata. */
export async function verifyRepository(options: RepositoryOptions): Promise<readonly Finding[]> {
  const { servedDir } = places(options);
  const { targets, timestamp } = await readState(servedDir);
  const now = options.nowMs ?? Date.now();
  const expired = Date.parse(timestamp.signed.expires) <= now;
  const stale = expired ? [finding('timestamp.json', 'frozen', `it expired at ${timestamp.signed.expires}`)] : [];
  const files = Object.values(targets.signed.targets).map(async ({ path, length, hashes }): Promise<Finding[]> => {
    const file = join('targets', dirname(path), `${hashes['sha256']}.${basename(path)}`);
    const bytes = await readFile(join(servedDir, file)).catch(() => undefined);
    if (bytes === undefined) return [finding(file, 'malformed', 'the file is missing')];
    if (bytes.byteLength === length && sha256(bytes) === hashes['sha256']) return [];
    return [finding(file, 'hash_mismatch', 'its bytes are not those that were signed')];
  });
  return [...stale, ...(await Promise.all(files)).flat()];
}

/** Signs snapshot and timestamp anew, so that they do not expire. */
export async function refreshRepository(options: RepositoryOptions): Promise<void> {
  const { root, targets, snapshot, timestamp } = await readState(places(options).servedDir);
  await writeSnapshot(options, root, targets, snapshot.signed.version + 1, timestamp.signed.version + 1);
}

/** Files of the repository as it is served: by path, bytes, or where they lie. */
export type ServedFiles = ReadonlyMap<string, Uint8Array | string>;

/**
 * The metadata of now, signed for so many days, and the targets at these paths. What is served is signed anew with a higher number, so
 * that nobody can serve the long signatures in its place.
 */
export async function takeAlong(
  options: RepositoryOptions & { readonly lifetimeDays: number },
  wanted: (path: string) => boolean,
): Promise<ServedFiles> {
  const { servedDir } = places(options);
  const { root, targets, snapshot, timestamp } = await readState(servedDir);
  const versions = (later: number): [number, number] => [
    snapshot.signed.version + later,
    timestamp.signed.version + later,
  ];
  const sealed = await sealSnapshot(options, root, targets, ...versions(1));
  await writeSnapshot({ ...options, lifetimeDays: undefined }, root, targets, ...versions(2));
  const files = new Map<string, Uint8Array | string>();
  const roots = (await readdir(join(servedDir, 'metadata'))).filter((name) => /^\d+\.root\.json$/.test(name));
  for (const name of [...roots, `${targets.signed.version}.targets.json`])
    files.set(`metadata/${name}`, join(servedDir, 'metadata', name));
  for (const [name, bytes] of sealed) files.set(`metadata/${name}`, bytes);
  for (const { path, hashes } of Object.values(targets.signed.targets)) {
    const served = `targets/${dirname(path)}/${hashes['sha256']}.${basename(path)}`;
    if (wanted(path)) files.set(served, join(servedDir, served));
  }
  return files;
}

/** The release number the next bundle of a line should carry. */
export async function nextRelease(options: RepositoryOptions & { readonly line: string }): Promise<number> {
  const { targets } = await readState(places(options).servedDir);
  return newestRelease(targets.signed.targets, options.line) + 1;
}

/** A bundle that was published, with the roles of its inputs; the newest release of its line when none is named. Throws `ND_FILE_NOT_FOUND`. */
export async function publishedBundle({
  line,
  release,
  ...options
}: RepositoryOptions & { readonly line: string; readonly release?: number | undefined }): Promise<
  Published & { readonly inputs: Manifest['inputs'] }
> {
  const { servedDir } = places(options);
  const { targets } = (await readState(servedDir)).targets.signed;
  const wanted = release ?? newestRelease(targets, line);
  const path = `${line}/${wanted}/${manifestFile}`;
  const hash = targets[path]?.hashes['sha256'];
  if (hash === undefined) {
    const lines = [...new Set(Object.keys(targets).filter((name) => name.endsWith(manifestFile)).map((name) => name.split('/').slice(0, 2).join(', release ')))]; // prettier-ignore
    throw new NeuroDivergentError('ND_FILE_NOT_FOUND', {
      where: options.dir,
      what: `${release === undefined ? `No release of ${line}` : `Release ${release} of ${line}`} is published here.`,
      mend: `Publish it with \`nd repo publish\`, or name one that is: ${lines.join('; ') || 'there is none'}.`,
    });
  }
  const bytes = await readFile(join(servedDir, 'targets', line, String(wanted), `${hash}.${manifestFile}`));
  const manifest = orThrow(parseWire(manifestSchema, bytes, limits.manifestBytes), path);
  return { line, release: wanted, manifestSha256: hash, inputs: manifest.inputs };
}

const newestRelease = (targets: Readonly<Record<string, unknown>>, line: string): number =>
  Math.max(
    0,
    ...Object.keys(targets)
      .filter((path) => path.startsWith(`${line}/`))
      .map((path) => Number(path.split('/')[1])),
  );
