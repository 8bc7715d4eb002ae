/**
 * A model that was tuned on this machine, as it waits to be taken up: a bundle of its own, with the release it was made
 * from in a folder inside, so that the way back to that release is always there.
 */
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { checkModel } from '../bundle/onnx.js';
import { manifestFile, packBundle } from '../bundle/pack.js';
import { limits } from '../contracts/limit.js';
import { manifestSchema } from '../contracts/manifest.js';
import type { Manifest } from '../contracts/manifest.js';
import { accept, refuse } from '../contracts/reason.js';
import type { Outcome } from '../contracts/reason.js';
import { readSafetensors, writeSafetensors } from '../contracts/safetensors.js';
import type { StoredTensor } from '../contracts/safetensors.js';
import { parseWire } from '../contracts/wire.js';
import type { Engine, FloatTensor } from '../engine/port.js';
import { chooseTarget } from './forecaster.js';
import type { Able } from './forecaster.js';
import type { SelfTest } from './self-test.js';
import type { Pointer, Slots } from './slots.js';
import { sha256, syncTree } from './files.js';
import type { Judged } from './tune-gate.js';

/** Inside the folder of a tuned model: the bundle as the fleet sent it. */
export const releasedFolder = 'released';

/** Two runs of one file on one machine differ by nothing; another provider of it rounds otherwise. */
const tolerance = 1e-4;
const nameLength = 64;

export interface TunedParts {
  readonly to: string;
  readonly released: { readonly dir: string; readonly manifest: Manifest; readonly manifestSha256: string };
  /** FP32, whatever precision the release runs in. */
  readonly model: Uint8Array;
  readonly judged: Judged;
  readonly createdMs: number;
  readonly engine: Engine;
}

/** Golden vectors, interval and figures are those of the tuned model. It is there as a whole or not at all. */
export async function writeTuned({
  to,
  released: { dir, manifest, manifestSha256 },
  model,
  judged,
  createdMs,
  engine,
}: TunedParts): Promise<void> {
  const part = `${to}.part`;
  rmSync(part, { recursive: true, force: true }); // of one that was killed
  const { schema: _schema, files, opset: _opset, ops: _ops, ...told } = manifest;
  const { calibration } = told;
  const widths = judged.halfWidths(calibration?.coverage ?? 0);
  const suffix = '-tuned';
  await packBundle({
    dir: part,
    manifest: {
      ...told,
      name: `${told.name.slice(0, nameLength - suffix.length)}${suffix}`, // lanes begin afresh with a model of another name
      created: createdMs,
      targets: [...new Set(told.targets.map(({ provider }) => provider))].map((provider) => ({
        arch: [...new Set(told.targets.flatMap(({ arch }) => arch))],
        provider,
        precision: 'fp32',
        files: ['model.fp32.onnx', 'golden.safetensors'],
      })),
      calibration: calibration && {
        ...calibration,
        scores: calibration.scores.map((score, h) => (Number.isFinite(widths[h]) ? widths[h]! : score)),
      },
      golden: { ...told.golden, tolerance: { fp32: tolerance } },
      metrics: { dataset: 'readings of this device', mae: judged.mae, coverage: null },
      parent: `${told.line}/${told.release}`,
      tuned: { manifestSha256 },
      notes: `Tuned on the device: ${judged.gate.why} on ${judged.gate.windows} windows.`,
    },
    files: {
      'model.fp32.onnx': { role: 'model', content: model },
      'golden.safetensors': {
        role: 'golden',
        content: await goldenOf(model, join(dir, files.find(({ role }) => role === 'golden')!.path), engine),
      },
    },
  });
  copyBundle(dir, manifest, join(part, releasedFolder));
  moveIn(part, to);
}

/** The windows of the released vectors, and what the tuned model makes of them. */
async function goldenOf(model: Uint8Array, releasedGolden: string, engine: Engine): Promise<Uint8Array> {
  const inputs = Object.entries(readSafetensors(readFileSync(releasedGolden), releasedGolden).tensors).filter(
    ([name]) => name.split('/')[1] === 'in',
  );
  const outputs: Record<string, StoredTensor> = {};
  const session = await engine.load(model, { threads: 1 });
  for (const name of new Set(inputs.map(([input]) => input.split('/')[0]!))) {
    const feeds = inputs
      .filter(([input]) => input.startsWith(`${name}/in/`))
      .map(([input, { data, shape }]): [string, FloatTensor] => [
        input.slice(`${name}/in/`.length),
        { data: data as Float32Array, dims: shape },
      ]);
    for (const [output, { data, dims }] of Object.entries(session.run(Object.fromEntries(feeds))))
      outputs[`${name}/out/fp32/${output}`] = { dtype: 'F32', shape: [...dims], data: Float32Array.from(data) };
  }
  session.close();
  return writeSafetensors({ ...Object.fromEntries(inputs), ...outputs });
}

/** Offers the release that a tuned model was made from, to be taken up again. False when the line runs no tuned model. */
export function offerReleased(slots: Slots, line: string): boolean {
  const pointer = slots.pointer(line);
  if (pointer?.tunedFrom === undefined) return false;
  const dir = join(slots.dir(line, pointer.slot), releasedFolder);
  const read = readManifest(dir);
  if (!read.ok) return false;
  const part = `${slots.tunedDir(line)}.part`;
  rmSync(part, { recursive: true, force: true });
  copyBundle(dir, read.value.manifest, part);
  moveIn(part, slots.tunedDir(line));
  return true;
}

export interface Found {
  readonly manifestSha256: string;
  /** Undefined for the release itself. */
  readonly tunedFrom: string | undefined;
  readonly metrics: Readonly<Record<string, number>>;
}

interface Examiner {
  readonly slots: Slots;
  readonly able: Able;
  readonly selfTest: SelfTest;
}

/** Moves what waits into staging and examines it there; what is refused is removed. Never throws. */
export async function takeTuned(line: string, running: Pointer, examiner: Examiner): Promise<Outcome<Found>> {
  const dir = examiner.slots.stagingDir(line);
  const found = await examine(line, running, examiner).catch((error: unknown) =>
    refuse('malformed', (error as Error).message),
  );
  if (!found.ok) rmSync(dir, { recursive: true, force: true });
  return found;
}

/**
 * As a bundle of the fleet is looked at, but for the signature, which it cannot have: it must be made from the release
 * that runs, or be that release.
 */
async function examine(line: string, running: Pointer, { slots, able, selfTest }: Examiner): Promise<Outcome<Found>> {
  const dir = slots.stagingDir(line);
  moveIn(slots.tunedDir(line), dir);
  const read = readManifest(dir);
  if (!read.ok) return read;
  const { manifest, manifestSha256 } = read.value;
  const origin = running.tunedFrom ?? running.manifestSha256;
  const tunedFrom = manifest.tuned?.manifestSha256;
  if ((tunedFrom ?? manifestSha256) !== origin || manifest.line !== line || manifest.release !== running.release)
    return refuse('mix_and_match', 'it was made from another release than the one that runs');
  for (const { path, sha256: expected } of manifest.files)
    if (sha256(readFileSync(join(dir, path))) !== expected)
      return refuse('hash_mismatch', `${path} is not what its manifest says`);
  const choice = chooseTarget(manifest, able);
  if (choice === undefined) return refuse('unsupported', `no target for ${able.providers.join(', ')} of ${able.arch}`);
  const model = checkModel(readFileSync(join(dir, choice.modelFile)), manifest);
  if (!model.ok) return model;
  const tested = await selfTest({ dir, choice });
  return tested.ok ? accept({ manifestSha256, tunedFrom, metrics: { ...tested.value } }) : tested;
}

function readManifest(dir: string): Outcome<{ manifest: Manifest; manifestSha256: string }> {
  const bytes = readFileSync(join(dir, manifestFile));
  const parsed = parseWire(manifestSchema, bytes, limits.manifestBytes);
  return parsed.ok ? accept({ manifest: parsed.value, manifestSha256: sha256(bytes) }) : parsed;
}

function copyBundle(from: string, manifest: Manifest, to: string): void {
  for (const path of [...manifest.files.map((file) => file.path), manifestFile])
    cpSync(join(from, path), join(to, path), { recursive: true });
}

/** In one rename, and on disk for good. */
function moveIn(from: string, to: string): void {
  syncTree(from);
  rmSync(to, { recursive: true, force: true });
  mkdirSync(dirname(to), { recursive: true });
  renameSync(from, to);
}
