/** Signed metadata of a TUF 1.0 repository as files: written, signed, and read again only when it is signed by whom the root names. */
import { sign } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Root, Targets } from '@tufjs/models';
import { Key, MetaFile, Metadata, MetadataKind, Signature, Snapshot, TargetFile, Timestamp } from '@tufjs/models';
import { refuse } from '../contracts/reason.js';
import { NeuroDivergentError } from '../errors.js';
import { sha256, writeWhole } from './folder.js';
import type { SigningKey } from './key.js';
import { loadKey } from './key.js';
import { orThrow } from './refusal.js';

export interface RepositoryOptions {
  readonly dir: string;
  /** Private keys, outside the served folder; `<dir>/keys` when not given. */
  readonly keysDir?: string;
  /** Milliseconds UTC of the signatures, now when not given. */
  readonly nowMs?: number;
}

const specVersion = '1.0.31';
const dayMs = 86_400_000;
/** Days until a role must be signed again. */
const lifetimeDays = { root: 365, targets: 90, snapshot: 7, timestamp: 1 } as const;
export type RoleName = keyof typeof lifetimeDays;
export const roleNames = Object.keys(lifetimeDays) as RoleName[];

export const places = ({ dir, keysDir = join(dir, 'keys') }: RepositoryOptions) => ({
  servedDir: join(dir, 'public'),
  keysDir,
});

export const keyFile = (keysDir: string, name: string): string => join(keysDir, `${name}.pem`);

export const tufKey = ({ keyId, publicHex }: SigningKey): Key =>
  new Key({ keyID: keyId, keyType: 'ed25519', scheme: 'ed25519', keyVal: { public: publicHex } });

/** The fields each role has: version and expiry (whole seconds, as TUF writes dates). */
export function stamp(
  role: RoleName,
  version: number,
  { nowMs = Date.now(), lifetimeDays: days = lifetimeDays[role] }: RepositoryOptions & { lifetimeDays?: number },
) {
  const expires = new Date(nowMs + days * dayMs).toISOString().replace(/\.\d+Z$/, 'Z');
  return { version, specVersion, expires };
}

/** Copies a target to its consistent name, `<dir>/<sha256>.<name>`. */
export async function addTarget(servedDir: string, path: string, content: Uint8Array): Promise<TargetFile> {
  const hash = sha256(content);
  await writeWhole(join(servedDir, 'targets', dirname(path), `${hash}.${basename(path)}`), content);
  return new TargetFile({ path, length: content.byteLength, hashes: { sha256: hash } });
}

type AnyMetadata = Metadata<Root> | Metadata<Targets> | Metadata<Snapshot> | Metadata<Timestamp>;

/** Signs and makes sure that the root names this key, so that nothing is published that no device can verify. */
export function signWith(metadata: AnyMetadata, { privateKey, keyId }: SigningKey, root: Metadata<Root>): void {
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

export const writeMetadata = (servedDir: string, name: string, metadata: AnyMetadata): Promise<void> =>
  writeWhole(join(servedDir, 'metadata', `${name}.json`), bytesOf(metadata));

export async function writeRelease(
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

export async function writeSnapshot(...given: Parameters<typeof sealSnapshot>): Promise<void> {
  const { servedDir } = places(given[0]);
  for (const [name, bytes] of await sealSnapshot(...given)) await writeWhole(join(servedDir, 'metadata', name), bytes);
}

/** Signs snapshot and timestamp; returns their files in the order in which they have to appear. */
export async function sealSnapshot(
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
export async function readState(servedDir: string) {
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

export async function readMetadata<K extends MetadataKind>(
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
