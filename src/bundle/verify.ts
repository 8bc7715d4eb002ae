/** Everything that is wrong with a bundle folder in one list, and whether a release may be installed. */
import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DesiredModel } from '../contracts/desired.js';
import { limits } from '../contracts/limit.js';
import type { BundleFile, Manifest } from '../contracts/manifest.js';
import { manifestSchema } from '../contracts/manifest.js';
import type { Outcome, UpdateReason } from '../contracts/reason.js';
import { accept, refuse } from '../contracts/reason.js';
import { readSafetensors } from '../contracts/safetensors.js';
import { readTuningPlan } from '../contracts/tuning.js';
import { parseWire } from '../contracts/wire.js';
import type { ErrorCode } from '../errors.js';
import { listFolder, sha256 } from './folder.js';
import { checkModel } from './onnx.js';
import { manifestFile, onnxRoles } from './pack.js';
import { bundleCode } from './refusal.js';

export interface Finding {
  readonly code: ErrorCode;
  readonly reason: UpdateReason;
  /** File of the bundle, or `manifest.json`. */
  readonly where: string;
  readonly detail: string;
}

/** All findings: manifest, links, unlisted files, lengths, hashes, what the models and golden vectors hold. Empty when sound. */
export async function verifyBundle(dir: string): Promise<readonly Finding[]> {
  const manifest = await readVerified(dir);
  if (!manifest.ok) return [finding(manifestFile, manifest.reason, manifest.detail)];

  const listed = new Set([manifestFile, ...manifest.value.files.map(({ path }) => path)]);
  const strays = (await listFolder(dir)).flatMap(({ path, regular }) => {
    if (!regular) return [finding(path, 'unsafe_path', 'a link or a special file')];
    return listed.has(path) ? [] : [finding(path, 'unsafe_path', 'the manifest does not list it')];
  });
  const broken = await Promise.all(manifest.value.files.map((file) => checkFile(dir, file, manifest.value)));
  return [...strays, ...broken.flat()];
}

async function readVerified(dir: string): Promise<Outcome<Manifest>> {
  const path = join(dir, manifestFile);
  const stat = await lstat(path).catch(() => undefined);
  if (stat === undefined) return refuse('malformed', 'there is no manifest');
  if (!stat.isFile()) return refuse('unsafe_path', 'a link or a special file');
  if (stat.size > limits.manifestBytes) return refuse('too_large', `${stat.size} bytes`);
  return parseWire(manifestSchema, await readFile(path), limits.manifestBytes);
}

async function checkFile(dir: string, { path, role, ...declared }: BundleFile, manifest: Manifest): Promise<Finding[]> {
  const full = join(dir, path);
  const stat = await lstat(full).catch(() => undefined);
  if (stat === undefined) return [finding(path, 'malformed', 'the file is missing')];
  if (!stat.isFile()) return []; // a link: found by the walk
  if (stat.size !== declared.length)
    return [finding(path, 'hash_mismatch', `${stat.size} bytes, the manifest says ${declared.length}`)];
  const bytes = await readFile(full);
  const hash = sha256(bytes);
  if (hash !== declared.sha256)
    return [finding(path, 'hash_mismatch', `its SHA-256 is ${hash}, the manifest says ${declared.sha256}`)];
  const content = checkContent(role, bytes, manifest);
  return content.ok ? [] : [finding(path, content.reason, content.detail)];
}

/** What a file of this role must hold. */
function checkContent(role: BundleFile['role'], bytes: Uint8Array, manifest: Manifest): Outcome<unknown> {
  const model = onnxRoles.has(role) ? checkModel(bytes, manifest) : undefined;
  if (model !== undefined) return model.ok && role === 'train' ? readTuningPlan(model.value.metadata) : model;
  return role === 'golden' ? checkGolden(bytes, manifest) : accept(undefined);
}

/** `<case>/in/<graph input>` and `<case>/out/<precision>/<graph output>`, as many cases as declared. */
function checkGolden(bytes: Uint8Array, { golden, targets }: Manifest): Outcome<unknown> {
  let names: string[];
  try {
    names = Object.keys(readSafetensors(bytes).tensors);
  } catch (error) {
    return refuse('malformed', (error as Error).message);
  }
  const cases = new Set(names.map((name) => name.split('/')[0]!));
  if (cases.size !== golden.cases)
    return refuse('malformed', `${cases.size} golden cases, the manifest says ${golden.cases}`);
  for (const each of cases) {
    const wanted = [`${each}/in/`, ...targets.map(({ precision }) => `${each}/out/${precision}/`)];
    const missing = wanted.find((prefix) => !names.some((name) => name.startsWith(prefix)));
    if (missing !== undefined) return refuse('malformed', `no golden tensor is named ${missing}…`);
  }
  return accept(undefined);
}

export const finding = (where: string, reason: UpdateReason, detail: string): Finding => ({
  code: bundleCode(reason),
  reason,
  where,
  detail,
});

export interface ReleaseChecks {
  readonly wanted: Pick<DesiredModel, 'line' | 'release' | 'allowRollbackTo'>;
  /** Lowest release the device still takes of this line; 0 at first. Rises at commit. */
  readonly floor: number;
  /** Release of the previous committed slot: going back to it is allowed. */
  readonly previous: number | undefined;
  readonly runtimeVersion: string;
  readonly arch: string;
}

/** May this device move to this verified manifest? The checks of EDGE.md §11 that follow the signatures, in their order. */
export function checkRelease(
  manifest: Manifest,
  { wanted, floor, previous, runtimeVersion, arch }: ReleaseChecks,
): Outcome<Manifest> {
  const { line, release, minRuntime, targets } = manifest;
  if (line !== wanted.line || release !== wanted.release)
    return refuse(
      'mix_and_match',
      `the manifest is of ${line}/${release}, ${wanted.line}/${wanted.release} was asked for`,
    );
  if (!targets.some((target) => (target.arch as string[]).includes(arch)))
    return refuse('wrong_target', `no model of the bundle runs on ${arch}`);
  if (release < floor && release !== wanted.allowRollbackTo && release !== previous)
    return refuse('rollback_refused', `release ${release} is below ${floor}`);
  if (release - floor > limits.releaseJump)
    return refuse('fast_forward_suspected', `release ${release} is more than ${limits.releaseJump} above ${floor}`);
  if (isOlder(runtimeVersion, minRuntime))
    return refuse('unsupported', `it needs runtime ${minRuntime}, this is ${runtimeVersion}`);
  return accept(manifest);
}

/** Compares major.minor.patch as numbers. */
function isOlder(version: string, than: string): boolean {
  const [a, b] = [version, than].map((text) => text.split(/[.+-]/).slice(0, 3).map(Number)) as [number[], number[]];
  const first = [0, 1, 2].find((part) => a[part] !== b[part]);
  return first !== undefined && a[first]! < b[first]!;
}
