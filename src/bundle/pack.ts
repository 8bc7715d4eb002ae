/** A bundle is a folder: manifest.json, model.<precision>.onnx, golden.safetensors, card.md. This writes and reads one. */
import { readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { canonicalJson } from '../contracts/canonical.js';
import { limits } from '../contracts/limit.js';
import type { BundleFile, Manifest } from '../contracts/manifest.js';
import { bundlePath, manifestSchema } from '../contracts/manifest.js';
import { refuse } from '../contracts/reason.js';
import { parseWire, tryToWire } from '../contracts/wire.js';
import { NeuroDivergentError } from '../errors.js';
import { sha256, writeWhole } from './folder.js';
import { inspectOnnx } from './onnx.js';
import { orThrow } from './refusal.js';

export const manifestFile = 'manifest.json';

/** Files that an engine parses: they keep to the manifest's opset and ops, and to the caps of onnx.ts. */
export const onnxRoles: ReadonlySet<BundleFile['role']> = new Set(['model', 'train', 'template']);

/** What the packer is told; it adds the schema, the files with hash and length, and opset and ops as the models have them. */
export type ManifestParts = Omit<Manifest, 'schema' | 'files' | 'opset' | 'ops'>;

export interface PackOptions {
  /** Made anew; an earlier bundle in it is replaced. */
  readonly dir: string;
  readonly manifest: ManifestParts;
  /** Path inside the bundle -> its role and content. */
  readonly files: Readonly<
    Record<string, { readonly role: BundleFile['role']; readonly content: Uint8Array | string }>
  >;
}

export interface Bundle {
  readonly dir: string;
  readonly manifest: Manifest;
  /** The bytes the hash is made of: canonical JSON. */
  readonly manifestBytes: Uint8Array;
  readonly manifestSha256: string;
}

/** Writes the folder. Throws `ND_BUNDLE_UNSAFE_PATH`, `ND_BUNDLE_MALFORMED` or `ND_FILE_EXISTS`. */
export async function packBundle({ dir, manifest: parts, files }: PackOptions): Promise<Bundle> {
  const contents = Object.entries(files).map(([path, { role, content }]) => {
    if (!bundlePath.safeParse(path).success)
      orThrow(refuse('unsafe_path', `${JSON.stringify(path)} is no plain relative path`), dir);
    return { path, role, bytes: Buffer.from(content as Uint8Array) };
  });
  const models = contents
    .filter(({ role }) => onnxRoles.has(role))
    .map(({ path, bytes }) => orThrow(inspectOnnx(bytes), join(dir, path)));
  const opsets = [...new Set(models.map(({ opset }) => opset))];
  if (opsets.length !== 1)
    orThrow(
      refuse('malformed', `its models use ${opsets.length} opsets (${opsets.join(', ')}), a bundle has one`),
      dir,
    );

  const manifest: Manifest = {
    ...parts,
    schema: 1,
    files: contents.map(({ path, role, bytes }) => ({ path, role, sha256: sha256(bytes), length: bytes.byteLength })),
    opset: opsets[0]!,
    ops: [...new Set(models.flatMap(({ ops }) => ops))].sort(),
  };
  const manifestBytes = Buffer.from(
    canonicalJson(orThrow(tryToWire(manifestSchema, manifest), join(dir, manifestFile))),
  );
  const bundle = readManifest(manifestBytes, dir);

  await emptyFolder(dir);
  for (const { path, bytes } of contents) await writeWhole(join(dir, path), bytes);
  await writeWhole(join(dir, manifestFile), manifestBytes); // last: a folder without it is no bundle
  return bundle;
}

/** Reads and checks the manifest (not the files: `verifyBundle`). Throws `ND_FILE_NOT_FOUND` or `ND_BUNDLE_MALFORMED`. */
export async function readBundle(dir: string): Promise<Bundle> {
  const path = join(dir, manifestFile);
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new NeuroDivergentError('ND_FILE_NOT_FOUND', {
      where: path,
      what: 'The manifest cannot be read.',
      mend: 'Name the folder of a bundle, as `nd pack` writes it.',
      cause,
    });
  });
  return readManifest(bytes, dir);
}

function readManifest(manifestBytes: Uint8Array, dir: string): Bundle {
  const manifest = orThrow(parseWire(manifestSchema, manifestBytes, limits.manifestBytes), join(dir, manifestFile));
  return { dir, manifest, manifestBytes, manifestSha256: sha256(manifestBytes) };
}

/** Removes an earlier bundle, and nothing else. */
async function emptyFolder(dir: string): Promise<void> {
  const names = await readdir(dir).catch((): string[] => []); // not there yet
  if (names.length > 0 && !names.includes(manifestFile)) {
    throw new NeuroDivergentError('ND_FILE_EXISTS', {
      where: dir,
      what: 'The folder holds files and no bundle.',
      mend: 'Name a new folder for the bundle.',
    });
  }
  await rm(dir, { recursive: true, force: true });
}
