/**
 * The device's side of the TUF repository: verified metadata, verified files in a staging folder, or a reason.
 *
 * tuf-js does the verification. It is loaded only when an update arrives (125 ms, 18 MB, most of it a default fetcher
 * that is never called here: the device bundle leaves `make-fetch-happen` out, see rollup.config.js).
 */
import { createReadStream, existsSync } from 'node:fs';
import { cp, mkdir, open, readFile, readdir, rename, rm, statfs } from 'node:fs/promises';

import { basename, join, posix } from 'node:path';
import type { Updater } from 'tuf-js';
import { limits } from '../contracts/limit.js';
import type { Manifest } from '../contracts/manifest.js';
import { manifestSchema } from '../contracts/manifest.js';
import type { Outcome, Refusal, UpdateReason } from '../contracts/reason.js';
import { accept, refuse } from '../contracts/reason.js';
import { parseJson, parseWire } from '../contracts/wire.js';
import { desiredEntry } from './archive.js';
import type { Archive } from './archive.js';
import { HttpStatusError, downloadBytes, downloadFile, mismatch, refuseBroken, transferDefaults } from './download.js';
import type { ExpectedFile, Transfer, TransferLimits } from './download.js';

export interface UpdateClientOptions {
  /** Trust state of this device: the newest verified metadata. Created on first use from `pinnedRoot`. */
  readonly trustDir: string;
  /** Base URL of the repository: `<url>/metadata`, `<url>/targets`; or each of the two. */
  readonly url: string | { readonly metadata: string; readonly targets: string };
  /** Instead of a server: its `url`, and nothing in it that the metadata does not name. */
  readonly archive?: Archive;
  /** The first `root.json`, handed over at enrolment. */
  readonly pinnedRoot: Uint8Array;
  /** Milliseconds UTC. */
  readonly now: () => number;
  /** Expiry is judged only with a synced clock. */
  readonly clockSynced: () => boolean;
  readonly signal?: AbortSignal;
  readonly transfer?: Partial<TransferLimits>;
}

export interface DownloadOptions {
  readonly line: string;
  readonly release: number;
  /** Named by the fleet's desired state; must agree with the repository (`mix_and_match`). */
  readonly manifestSha256: string;
  /** Holds the whole bundle afterwards and nothing else. Partial files of an earlier attempt are resumed. */
  readonly stagingDir: string;
  /** Judges the verified manifest before any file is fetched: `checkRelease` of bundle. */
  readonly accept?: (manifest: Manifest) => Outcome<Manifest>;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

export interface Download {
  readonly manifest: Manifest;
  readonly manifestBytes: Uint8Array;
  readonly dir: string;
}

export interface UpdateClient {
  /** Fetches and verifies the newest metadata (TUF client workflow 5.3 to 5.6). */
  refresh(): Promise<Outcome<undefined>>;
  /** A small verified target, such as `keys/fleet.json`; refreshes when that has not been done yet. */
  readTarget(path: string, maxBytes: number): Promise<Outcome<Uint8Array>>;
  /** A verified target as a file; it is not fetched again when the file is that target already. */
  downloadTarget(path: string, to: string): Promise<Outcome<undefined>>;
  /** The whole bundle, verified, in the staging folder. */
  downloadBundle(options: DownloadOptions): Promise<Outcome<Download>>;
}

const timestampBytes = 16 * 1024;
const metadataBytes = 5 * 1024 * 1024;
/** Bundle, its copy in the slot, and room to breathe. */
const spaceFactor = 2.2;

/** What tuf-js says -> our reason; its inner errors arrive wrapped as text, so text is what there is. First match counts. */
const verdicts: readonly (readonly [RegExp, UpdateReason])[] = [
  [/was signed by 0\//, 'bad_signature'],
  [/was signed by \d+\//, 'below_threshold'],
  [/is less than current version|Missing file .* in new snapshot|Expected version/, 'rollback_refused'],
  [/is expired/, 'frozen'],
  [
    /doesn't match timestamp|does not match snapshot version|Expected (?:hash|length)|Missing .* in snapshot/,
    'mix_and_match',
  ],
  [/expected '\w+', got/i, 'wrong_role'],
  [/Failed to persist/, 'no_space'],
];

/** The things of tuf-js that its types keep private: its notion of now, the root it trusts, and the roles it has verified. */
interface TrustedSet {
  referenceTime: Date;
  readonly root: { readonly signed: { readonly consistentSnapshot: boolean; readonly version: number } };
  readonly snapshot?: {
    readonly signed: { readonly version: number; readonly meta: Record<string, { readonly version: number }> };
  };
  readonly trustedSet: Record<string, unknown>;
}
const inside = (updater: Updater): TrustedSet => (updater as unknown as { readonly trustedSet: TrustedSet }).trustedSet;

const topRoles = ['root', 'timestamp', 'snapshot', 'targets'];

export function createUpdateClient({
  trustDir,
  url,
  archive,
  pinnedRoot,
  now,
  clockSynced,
  signal,
  transfer,
}: UpdateClientOptions): UpdateClient {
  const means: Transfer = { limits: { ...transferDefaults, ...transfer }, signal, get: archive?.get };
  const workDir = `${trustDir}.work`;
  const base = typeof url === 'string' ? { metadata: `${url}/metadata`, targets: `${url}/targets` } : url;
  let updater: Updater | undefined;
  /** What the last fetch failed of; tuf-js passes it on as text only. */
  let fetchFailure: Refusal | undefined;

  /** Runs a step of tuf-js, keeps what it verified, and turns what it throws into a reason. */
  const attempt = async <T>(step: () => Promise<T>): Promise<Outcome<T>> => {
    try {
      return accept(await step());
    } catch (error) {
      const { message } = error as Error;
      return (
        fetchFailure ??
        refuse(verdicts.find(([pattern]) => pattern.test(message))?.[1] ?? 'malformed', message.slice(0, 500))
      );
    } finally {
      await keepVerified(workDir, trustDir); // a newer root counts even when a later step failed (TUF 5.3.8)
    }
  };

  const createUpdater = async (): Promise<Updater> => {
    const [{ Updater }, { DownloadHTTPError }] = await Promise.all([import('tuf-js'), import('tuf-js/dist/error.js')]);
    await prepareWork(workDir, trustDir, pinnedRoot);
    const fetchMetadata = async (from: string, maxBytes: number): Promise<Buffer> => {
      fetchFailure = undefined;
      const outcome = await downloadBytes(from, maxBytes, means).catch((error: unknown) => {
        fetchFailure = refuseBroken(error);
        throw error instanceof HttpStatusError ? new DownloadHTTPError(error.message, error.status) : error;
      });
      const checked =
        outcome.ok && neverExpires(outcome.value) ? refuse('malformed', `${basename(from)} never expires`) : outcome;
      if (checked.ok) return checked.value;
      fetchFailure = checked;
      throw new Error(checked.detail);
    };
    const create = (): Updater =>
      new Updater({
        metadataDir: workDir,
        metadataBaseUrl: base.metadata,
        targetBaseUrl: base.targets,
        fetcher: {
          downloadBytes: fetchMetadata,
          downloadFile: () => Promise.reject(new Error('targets are fetched by downloadFile of transport')),
        },
        config: {
          rootMaxLength: limits.rootBytes,
          timestampMaxLength: timestampBytes,
          snapshotMaxLength: metadataBytes,
          targetsMaxLength: metadataBytes,
        },
      });
    let created: Updater;
    try {
      created = create();
    } catch {
      await writeSynced(join(workDir, 'root.json'), pinnedRoot); // the stored root is damaged: start again from the pinned one
      created = create();
    }
    // tuf-js judges expiry by the system clock; before it is synced nothing counts as expired.
    inside(created).referenceTime = new Date(clockSynced() ? now() : 0);
    return created;
  };

  const refresh = async (): Promise<Outcome<undefined>> => {
    updater = undefined;
    fetchFailure = undefined;
    const refreshed = await attempt(async () => {
      const created = await createUpdater();
      await created.refresh();
      return created;
    });
    if (!refreshed.ok) return refreshed;
    updater = refreshed.value;
    for (const entry of archive?.entries ?? [])
      if (!(await isNamed(entry))) {
        updater = undefined;
        return refuse('unsafe_path', `the metadata does not name ${entry}`);
      }
    return accept(undefined);
  };

  /** Is this entry of the archive what the verified metadata names, or the desired state, which has a signature of its own? */
  const isNamed = async (entry: string): Promise<boolean> => {
    if (entry === desiredEntry) return true;
    const { root, snapshot } = inside(updater!);
    const { consistentSnapshot, version } = root.signed;
    const numbered = (name: string, number: number): string => (consistentSnapshot ? `${number}.${name}` : name);
    const [, rootVersion] = /^metadata\/(\d+)\.root\.json$/.exec(entry) ?? [];
    if (rootVersion !== undefined) return Number(rootVersion) <= version;
    if (entry.startsWith('metadata/')) {
      const { signed } = snapshot!;
      const roles = Object.entries(signed.meta).map(([name, role]) => numbered(name, role.version));
      return ['timestamp.json', numbered('snapshot.json', signed.version), ...roles].includes(basename(entry));
    }
    const name = basename(entry);
    const path = posix.join(posix.dirname(entry), consistentSnapshot ? name.slice(name.indexOf('.') + 1) : name);
    const target = await findTarget(path.slice('targets/'.length));
    return target.ok && target.value.from === `${archive!.url}/${entry}`;
  };

  /** Length, hash and URL of a target the metadata vouches for. */
  const findTarget = async (path: string): Promise<Outcome<ExpectedFile & { readonly from: string }>> => {
    if (updater === undefined) {
      const refreshed = await refresh();
      if (!refreshed.ok) return refreshed;
    }
    const known = updater!;
    fetchFailure = undefined;
    // A role is known by its name, but what makes it valid are the keys of the one who delegates: verify it for each target.
    const { trustedSet } = inside(known);
    for (const role of Object.keys(trustedSet)) if (!topRoles.includes(role)) delete trustedSet[role];
    const info = await attempt(() => known.getTargetInfo(path));
    if (!info.ok) return info;
    if (info.value === undefined) return refuse('bad_signature', `the repository does not vouch for ${path}`);
    const { length, hashes } = info.value;
    const cut = path.lastIndexOf('/') + 1;
    const prefix = inside(known).root.signed.consistentSnapshot ? `${Object.values(hashes)[0]}.` : ''; // TUF 5.7.3
    const parts = `${path.slice(0, cut)}${prefix}${path.slice(cut)}`.split('/').map(encodeURIComponent);
    return accept({ length, hashes, from: `${base.targets}/${parts.join('/')}` });
  };

  const readTarget = async (path: string, maxBytes: number): Promise<Outcome<Uint8Array>> => {
    const target = await findTarget(path);
    if (!target.ok) return target;
    const { length, from } = target.value;
    if (length > maxBytes) return refuse('too_large', `${path} has ${length} bytes, at most ${maxBytes} are taken`);
    const read = await downloadBytes(from, length, means).catch((error: unknown) => refuseBroken(error));
    if (!read.ok) return read.reason === 'too_large' ? refuse('endless_data', read.detail) : read;
    const wrong = await mismatch([read.value], target.value);
    return wrong === undefined ? read : refuse('hash_mismatch', `${path}: ${wrong}`);
  };

  const downloadTarget = async (path: string, to: string): Promise<Outcome<undefined>> => {
    const target = await findTarget(path);
    if (!target.ok) return target;
    const there =
      existsSync(to) && (await mismatch(createReadStream(to) as AsyncIterable<Buffer>, target.value)) === undefined;
    return there ? accept(undefined) : downloadFile(target.value.from, to, target.value, means);
  };

  const downloadBundle = async ({
    line,
    release,
    manifestSha256,
    stagingDir,
    accept: judge,
    onProgress,
  }: DownloadOptions): Promise<Outcome<Download>> => {
    const prefix = `${line}/${release}`;
    const named = await findTarget(`${prefix}/manifest.json`);
    if (!named.ok) return named;
    // Install only what both the repository and the fleet name.
    const { sha256 } = named.value.hashes;
    if (sha256 !== manifestSha256)
      return refuse(
        'mix_and_match',
        `the repository has ${sha256} for ${prefix}, the fleet asked for ${manifestSha256}`,
      );
    const read = await readTarget(`${prefix}/manifest.json`, limits.manifestBytes);
    if (!read.ok) return read;
    const parsed = parseWire(manifestSchema, read.value, limits.manifestBytes);
    if (!parsed.ok) return parsed;
    const manifest = parsed.value;
    const judged = judge?.(manifest) ?? accept(manifest);
    if (!judged.ok) return judged;

    const totalBytes = manifest.files.reduce((sum, { length }) => sum + length, 0);
    if (totalBytes > limits.bundleBytes) return refuse('too_large', `the bundle has ${totalBytes} bytes`);
    await mkdir(stagingDir, { recursive: true });
    const { bavail, bsize } = await statfs(stagingDir);
    if (bavail * bsize < totalBytes * spaceFactor)
      return refuse('no_space', `${bavail * bsize} bytes are free, ${Math.ceil(totalBytes * spaceFactor)} are needed`);
    await clearStaging(stagingDir, manifest);

    let doneBytes = 0;
    for (const file of manifest.files) {
      const target = await findTarget(`${prefix}/${file.path}`);
      if (!target.ok) return target;
      if (target.value.hashes['sha256'] !== file.sha256 || target.value.length !== file.length)
        return refuse('mix_and_match', `repository and manifest disagree about ${file.path}`);
      const fetched = await downloadFile(target.value.from, join(stagingDir, file.path), target.value, {
        ...means,
        onBytes: onProgress && ((bytes) => onProgress(doneBytes + bytes, totalBytes)),
      });
      if (!fetched.ok) return refuse(fetched.reason, `${file.path}: ${fetched.detail}`);
      doneBytes += file.length;
    }
    await writeSynced(join(stagingDir, 'manifest.json'), read.value); // last: a folder without it is no bundle
    return accept({ manifest, manifestBytes: read.value, dir: stagingDir });
  };

  return { refresh, readTarget, downloadTarget, downloadBundle };
}

/** tuf-js takes a date that is none as one that never comes. What else is wrong with the metadata is its affair. */
function neverExpires(metadata: Uint8Array): boolean {
  const parsed = parseJson(metadata);
  const expires = parsed.ok && (parsed.value as { signed?: { expires?: unknown } | null } | null)?.signed?.expires;
  return typeof expires === 'string' && Number.isNaN(Date.parse(expires));
}

/** A copy of the trust state for tuf-js, which overwrites files in place. */
async function prepareWork(workDir: string, trustDir: string, pinnedRoot: Uint8Array): Promise<void> {
  await mkdir(trustDir, { recursive: true });
  await rm(workDir, { recursive: true, force: true });
  await cp(trustDir, workDir, { recursive: true });
  const names = await readdir(workDir);
  if (!names.includes('root.json')) await writeSynced(join(workDir, 'root.json'), pinnedRoot);
}

/** Takes over what tuf-js verified, each file whole or not at all. */
async function keepVerified(workDir: string, trustDir: string): Promise<void> {
  const names = await readdir(workDir).catch((): string[] => []); // nothing was prepared
  for (const name of names.filter((each) => each.endsWith('.json'))) {
    const [verified, kept] = await Promise.all([
      readFile(join(workDir, name)),
      readFile(join(trustDir, name)).catch(() => undefined),
    ]);
    if (kept === undefined || !verified.equals(kept)) await writeSynced(join(trustDir, name), verified);
  }
}

/** Removes all but the partial files of this very bundle, whose content is checked by hash at the end. */
async function clearStaging(stagingDir: string, { files }: Manifest): Promise<void> {
  const wanted = new Set(files.map(({ path }) => `${path}.part`));
  for (const entry of await readdir(stagingDir, { recursive: true, withFileTypes: true })) {
    const path = posix.relative(stagingDir, join(entry.parentPath, entry.name));
    if (!entry.isDirectory() && !(entry.isFile() && wanted.has(path)))
      await rm(join(stagingDir, path), { force: true });
  }
}

/** Writes beside, syncs, renames: a power cut leaves the old file or the new one. */
async function writeSynced(path: string, content: Uint8Array): Promise<void> {
  const file = await open(`${path}.new`, 'w');
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
