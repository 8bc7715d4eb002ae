/** Writes an update file (`.ndb`, EDGE.md §11) for devices without a network: what of a repository they need, as a tar archive. */
import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import type { Desired, FleetKeys } from '../contracts/desired.js';
import { desiredSchema, envelopeSchema } from '../contracts/desired.js';
import { limits } from '../contracts/limit.js';
import { refuse } from '../contracts/reason.js';
import { tarEnd, tarPadding, writeTarHeader } from '../contracts/tar.js';
import { parseWire } from '../contracts/wire.js';
import { NeuroDivergentError } from '../errors.js';
import { verifyDesired } from './desired.js';
import { orThrow } from './refusal.js';
import { fleetKeysTarget, openRepository, publishedBundle, takeAlong } from './repository.js';
import type { Published, RepositoryOptions, ServedFiles } from './repository.js';

export interface Export extends RepositoryOptions {
  /** What the device shall run, as `nd repo assign --out` wrote it; the file holds all models that it names. */
  readonly desired?: Uint8Array | undefined;
  /** A line to take along, beside what `desired` names. */
  readonly line?: string | undefined;
  /** The newest when undefined. */
  readonly release?: number | undefined;
  /** How long a device that knows the time takes it. */
  readonly lifetimeDays: number;
  readonly out: string;
}

export interface Exported {
  readonly bundles: readonly Published[];
  readonly desired: Desired | undefined;
  readonly bytes: number;
}

/**
 * Throws `ND_FILE_NOT_FOUND` for what is not published, `ND_FILE_EXISTS` where a file already is, and `ND_BUNDLE_<REASON>` for a desired
 * state that no device would take.
 */
export async function exportUpdate(options: Export): Promise<Exported> {
  const { desired: envelope, line, release, out, nowMs = Date.now() } = options;
  if (await stat(out).catch(() => undefined))
    throw new NeuroDivergentError('ND_FILE_EXISTS', {
      where: out,
      what: 'A file is there already.',
      mend: 'Remove it, or choose another --out.',
    });
  const { fleetKey } = await openRepository(options);
  const desired = envelope && checkDesired(envelope, { keyid: fleetKey.keyId, keytype: 'ed25519', public: fleetKey.publicHex }, nowMs); // prettier-ignore
  const bundles: Published[] = line === undefined ? [] : [await publishedBundle({ ...options, line, release })];
  for (const model of desired?.models ?? []) {
    if (model.mode === 'stop') continue;
    const bundle = await publishedBundle({ ...options, line: model.line, release: model.release });
    if (bundle.manifestSha256 !== model.manifestSha256)
      orThrow(refuse('mix_and_match', `${model.line}/${model.release} is published with another manifest`), out);
    if (!bundles.some((one) => one.manifestSha256 === bundle.manifestSha256)) bundles.push(bundle);
  }
  const prefixes = bundles.map((bundle) => `${bundle.line}/${bundle.release}/`);
  const files = new Map(
    await takeAlong(options, (path) => path === fleetKeysTarget || prefixes.some((prefix) => path.startsWith(prefix))),
  );
  if (envelope !== undefined) files.set('desired.json', envelope);
  return { bundles, desired, bytes: await writeTar(out, files) };
}

/** What the device will say to it, but for its own name and memory. */
function checkDesired(envelope: Uint8Array, key: FleetKeys['keys'][number], nowMs: number): Desired {
  const { payload } = orThrow(parseWire(envelopeSchema, envelope, limits.desiredBytes), 'desired');
  const told = orThrow(parseWire(desiredSchema, Buffer.from(payload, 'base64'), limits.desiredBytes), 'desired');
  const checks = { fleetKeys: { schema: 1 as const, keys: [key] }, lastSeq: 0, nowMs, clockSynced: true };
  return orThrow(verifyDesired(envelope, { ...checks, ...told }), 'desired');
}

/** Returns bytes. Nothing is at `out` before it is whole. */
async function writeTar(out: string, files: ServedFiles): Promise<number> {
  const part = `${out}.part`;
  const file = await open(part, 'w').catch((cause: unknown) => {
    throw new NeuroDivergentError('ND_FILE_NOT_FOUND', {
      where: out,
      what: `It cannot be written: ${(cause as Error).message}.`,
      mend: 'Choose a folder that is there for --out.',
      cause,
    });
  });
  let bytes = 0;
  const put = async (block: Uint8Array): Promise<void> => void (bytes += (await file.write(block)).bytesWritten);
  try {
    for (const [path, content] of files) {
      const held = typeof content === 'string' ? await readFile(content) : content;
      await put(orThrow(writeTarHeader({ path, length: held.byteLength }), out));
      await put(held);
      await put(Buffer.alloc(tarPadding(held.byteLength)));
    }
    await put(tarEnd);
    await file.sync();
    await file.close();
    await rename(part, out);
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(part, { force: true });
    throw error;
  }
  return bytes;
}
