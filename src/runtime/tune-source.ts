/** What tuning begins with: the bundle as the fleet sent it, its files checked as they are read. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkModel } from '../bundle/onnx.js';
import { limits } from '../contracts/limit.js';
import { manifestSchema } from '../contracts/manifest.js';
import type { Manifest } from '../contracts/manifest.js';
import { accept, refuse } from '../contracts/reason.js';
import type { Outcome, TuneReason, UpdateReason } from '../contracts/reason.js';
import { readTuningPlan } from '../contracts/tuning.js';
import type { TuningPlan } from '../contracts/tuning.js';
import { parseWire } from '../contracts/wire.js';
import { readInitializers } from '../engine/onnx-file.js';
import { sha256 } from './files.js';
import type { Pointer } from './slots.js';
import { releasedFolder } from './tuned.js';

/** Parameters and states by name. */
export type Values = Readonly<Record<string, Float32Array>>;

export interface Source {
  readonly released: { readonly dir: string; readonly manifest: Manifest; readonly manifestSha256: string };
  readonly plan: TuningPlan;
  readonly values: Values;
  readonly train: Uint8Array;
  readonly template: Uint8Array;
}

/**
 * Always the release and never what was tuned before: nothing drifts, and equal readings give equal bits. `slotDir` is the
 * folder that the pointer means.
 */
export function readSource(slotDir: string, pointer: Pointer): Outcome<Source, TuneReason | UpdateReason> {
  const dir = pointer.tunedFrom === undefined ? slotDir : join(slotDir, releasedFolder);
  const manifestSha256 = pointer.tunedFrom ?? pointer.manifestSha256;
  const manifestBytes = readChecked(join(dir, 'manifest.json'), manifestSha256);
  if (!manifestBytes.ok) return manifestBytes;
  const parsed = parseWire(manifestSchema, manifestBytes.value, limits.manifestBytes);
  if (!parsed.ok) return parsed;
  const manifest = parsed.value;

  const read = (role: 'train' | 'template'): Outcome<Uint8Array, TuneReason | UpdateReason> => {
    const file = manifest.files.find((one) => one.role === role);
    return file === undefined
      ? refuse('not_tunable', `${manifest.name}, release ${manifest.release}, was packed without --tunable`)
      : readChecked(join(dir, file.path), file.sha256);
  };
  const train = read('train');
  if (!train.ok) return train;
  const template = read('template');
  if (!template.ok) return template;
  const graph = checkModel(train.value, manifest);
  if (!graph.ok) return graph;
  const forecast = checkModel(template.value, manifest);
  if (!forecast.ok) return forecast;
  const plan = readTuningPlan(graph.value.metadata);
  if (!plan.ok) return plan;

  const { parameters, states } = plan.value.layout;
  const wanted = [...parameters, ...states].map(({ name }) => name);
  const values = readInitializers(template.value, wanted);
  // What counts steps for the training alone begins at 0.
  for (const { missed } of parameters) if (missed !== undefined) values[missed] ??= new Float32Array(1);
  const missing = wanted.find((name) => values[name] === undefined);
  if (missing !== undefined) return refuse('malformed', `the template has no ${missing}`);
  const released = { dir, manifest, manifestSha256 };
  return accept({ released, plan: plan.value, values, train: train.value, template: template.value });
}

function readChecked(path: string, expected: string): Outcome<Uint8Array> {
  if (!existsSync(path)) return refuse('hash_mismatch', `${path} is missing`);
  const bytes = readFileSync(path);
  if (sha256(bytes) === expected) return accept(bytes);
  return refuse('hash_mismatch', `${path} is not the one that was installed`);
}
