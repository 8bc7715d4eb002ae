/**
 * The TUF 1.0 repository models are published in: static files any web server can serve (EDGE.md §11).
 *
 * `<dir>/public/metadata` and `<dir>/public/targets` are served, `<dir>/keys` never. Snapshots are consistent (TUF 6.2):
 * files carry their version or hash in their name and never change, only timestamp.json does, last.
 */
import { sign } from 'node:crypto';
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import {
  Key,
  MetaFile,
  Metadata,
  MetadataKind,
  Root,
  Signature,
  Snapshot,
  TargetFile,
  Targets,
  Timestamp,
} from '@tufjs/models';
import type { FleetKeys } from '../contracts/desired.js';
import { fleetKeysSchema } from '../contracts/desired.js';
import { limits } from '../contracts/limit.js';
import { refuse } from '../contracts/reason.js';
import { manifestSchema, type Manifest } from '../contracts/manifest.js';
import { parseWire, wireText } from '../contracts/wire.js';
import { NeuroDivergentError } from '../errors.js';
import { sha256, writeWhole } from './folder.js';
import type { SigningKey } from './key.js';
import { createKey, loadKey, saveKey } from './key.js';
import { manifestFile, readBundle } from './pack.js';
import { orThrow } from './refusal.js';
import { finding, verifyBundle, type Finding } from './verify.js';

export interface RepositoryOptions {
  readonly dir: string;
  /** Private keys, outside the served folder; `<dir>/keys` when not given. */
  readonly keysDir?: string;
  /** Milliseconds UTC of the signatures, now when not given. */
  readonly nowMs?: number;
}

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

const specVersion = '1.0.31';
const dayMs = 86_400_000;
/** Days until a role must be signed again. */
const lifetimeDays = { root: 365, targets: 90, snapshot: 7, timestamp: 1 } as const;
type RoleName = keyof typeof lifetimeDays;
const roleNames = Object.keys(lifetimeDays) as RoleName[];

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

const places = ({ dir, keysDir = join(dir, 'keys') }: RepositoryOptions) => ({
  servedDir: join(dir, 'public'),
  keysDir,
});

const keyFile = (keysDir: string, name: string): string => join(keysDir, `${name}.pem`);

const newestRelease = (targets: Readonly<Record<string, unknown>>, line: string): number =>
  Math.max(
    0,
    ...Object.keys(targets)
      .filter((path) => path.startsWith(`${line}/`))
      .map((path) => Number(path.split('/')[1])),
  );

const tufKey = ({ keyId, publicHex }: SigningKey): Key =>
  new Key({ keyID: keyId, keyType: 'ed25519', scheme: 'ed25519', keyVal: { public: publicHex } });

/** The fields each role has: version and expiry (whole seconds, as TUF writes dates). */
function stamp(
  role: RoleName,
  version: number,
  { nowMs = Date.now(), lifetimeDays: days = lifetimeDays[role] }: RepositoryOptions & { lifetimeDays?: number },
) {
  const expires = new Date(nowMs + days * dayMs).toISOString().replace(/\.\d+Z$/, 'Z');
  return { version, specVersion, expires };
}

/** Copies a target to its consistent name, `<dir>/<sha256>.<name>`. */
async function addTarget(servedDir: string, path: string, content: Uint8Array): Promise<TargetFile> {
  const hash = sha256(content);
  await writeWhole(join(servedDir, 'targets', dirname(path), `${hash}.${basename(path)}`), content);
  return new TargetFile({ path, length: content.byteLength, hashes: { sha256: hash } });
}

type AnyMetadata = Metadata<Root> | Metadata<Targets> | Metadata<Snapshot> | Metadata<Timestamp>;

/** Signs and makes sure that the root names this key, so that nothing is published that no device can verify. */
function signWith(metadata: AnyMetadata, { privateKey, keyId }: SigningKey, root: Metadata<Root>): void {
  metadata.sign((data) => new Signature({ keyID: keyId, sig: sign(null, data, privateKey).toString('hex') }));
  requireSignature(metadata, root, 'the key in hand is not the one the root names');
}

function requireSignature(metadata: AnyMetadata, root: Metadata<Root>, what: string): void {
  try {
    root.verifyDelegate(metadata.signed.type, metadata);
  } catch (error) {
    orThrow(refuse('bad_signature', `${what}: ${(error as Error).message}`), metadata.signed.type);
  }
}

const bytesOf = (metadata: AnyMetadata): Uint8Array => Buffer.from(JSON.stringify(metadata.toJSON()));

const metaOf = ({ signed: { version } }: AnyMetadata, bytes: Uint8Array): MetaFile =>
  new MetaFile({ version, length: bytes.byteLength, hashes: { sha256: sha256(bytes) } });

const writeMetadata = (servedDir: string, name: string, metadata: AnyMetadata): Promise<void> =>
  writeWhole(join(servedDir, 'metadata', `${name}.json`), bytesOf(metadata));

async function writeRelease(
  options: RepositoryOptions,
  root: Metadata<Root>,
  signed: Targets,
  snapshotVersion: number,
  timestampVersion: number,
): Promise<void> {
  const { keysDir, servedDir } = places(options);
  const targets = new Metadata(signed);
  signWith(targets, await loadKey(keyFile(keysDir, 'targets')), root);
  await writeMetadata(servedDir, `${signed.version}.targets`, targets);
  await writeSnapshot(options, root, targets, snapshotVersion, timestampVersion);
}

async function writeSnapshot(...given: Parameters<typeof sealSnapshot>): Promise<void> {
  const { servedDir } = places(given[0]);
  for (const [name, bytes] of await sealSnapshot(...given)) await writeWhole(join(servedDir, 'metadata', name), bytes);
}

/** Signs snapshot and timestamp; returns their files in the order in which they have to appear. */
async function sealSnapshot(
  options: RepositoryOptions & { readonly lifetimeDays?: number },
  root: Metadata<Root>,
  targets: Metadata<Targets>,
  snapshotVersion: number,
  timestampVersion: number,
): Promise<[name: string, bytes: Uint8Array][]> {
  const { keysDir, servedDir } = places(options);
  const targetsBytes = await readFile(join(servedDir, 'metadata', `${targets.signed.version}.targets.json`));
  const snapshot = new Metadata(
    new Snapshot({
      ...stamp('snapshot', snapshotVersion, options),
      meta: { 'targets.json': metaOf(targets, targetsBytes) },
    }),
  );
  signWith(snapshot, await loadKey(keyFile(keysDir, 'snapshot')), root);
  const snapshotBytes = bytesOf(snapshot);

  const snapshotMeta = metaOf(snapshot, snapshotBytes);
  const timestamp = new Metadata(new Timestamp({ ...stamp('timestamp', timestampVersion, options), snapshotMeta }));
  signWith(timestamp, await loadKey(keyFile(keysDir, 'timestamp')), root);
  return [
    [`${snapshotVersion}.snapshot.json`, snapshotBytes],
    ['timestamp.json', bytesOf(timestamp)],
  ];
}

/**
 * The state devices see, found from timestamp.json down: half-written files of a crashed run are not part of it. What
 * somebody else has written there is refused (`ND_BUNDLE_BAD_SIGNATURE`), or the next publishing would sign it.
 */
async function readState(servedDir: string) {
  const root = await readMetadata(servedDir, 'root', MetadataKind.Root);
  const timestamp = await readMetadata(servedDir, 'timestamp', MetadataKind.Timestamp);
  const snapshot = await readMetadata(
    servedDir,
    `${timestamp.signed.snapshotMeta.version}.snapshot`,
    MetadataKind.Snapshot,
  );
  const targets = await readMetadata(
    servedDir,
    `${snapshot.signed.meta['targets.json']?.version}.targets`,
    MetadataKind.Targets,
  );
  for (const metadata of [root, timestamp, snapshot, targets])
    requireSignature(metadata, root, 'the file is not signed by whom the root names');
  return { root, timestamp, snapshot, targets };
}

interface SignedOf {
  readonly [MetadataKind.Root]: Root;
  readonly [MetadataKind.Targets]: Targets;
  readonly [MetadataKind.Snapshot]: Snapshot;
  readonly [MetadataKind.Timestamp]: Timestamp;
}

async function readMetadata<K extends MetadataKind>(
  servedDir: string,
  name: string,
  kind: K,
): Promise<Metadata<SignedOf[K]>> {
  const path = join(servedDir, 'metadata', `${name}.json`);
  try {
    return Metadata.fromJSON(
      kind as MetadataKind.Root,
      JSON.parse(await readFile(path, 'utf8')) as never,
    ) as unknown as Metadata<SignedOf[K]>;
  } catch (cause) {
    throw new NeuroDivergentError('ND_FILE_NOT_FOUND', {
      where: path,
      what: `The metadata cannot be read: ${(cause as Error).message}.`,
      mend: 'Make a repository with `nd repo init`, or name its folder.',
      cause,
    });
  }
}
