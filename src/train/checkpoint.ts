/** A training run on disk: everything the next step depends on, so that a resumed run ends with the same bits. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { closeSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { readSafetensors, writeSafetensors, type StoredTensor } from '../contracts/safetensors.js';
import type { TrainingSnapshot } from '../engine/training-step.js';
import { NeuroDivergentError } from '../errors.js';

export const historyRecord = z.strictObject({
  step: z.int(),
  trainLoss: z.number(),
  validationLoss: z.number().nullable(),
  learningRate: z.number(),
  ms: z.number(),
});

/** Where the loop stands, beside the numbers of the training step. */
const progress = z.strictObject({
  version: z.literal(1),
  /** Of graph, settings and data; another one cannot be continued. */
  fingerprint: z.string(),
  steps: z.int(),
  /** Of the steps since the last check. */
  lossSum: z.number(),
  lossCount: z.int(),
  ms: z.number(),
  history: z.array(historyRecord),
  best: z.strictObject({ step: z.int(), validationLoss: z.number() }).nullable(),
  checksWithoutGain: z.int(),
  /** In mixed precision. */
  lossScale: z.strictObject({ factor: z.number(), goodSteps: z.int() }).optional(),
});
export type HistoryRecord = z.output<typeof historyRecord>;
export type Progress = Omit<z.output<typeof progress>, 'version' | 'steps' | 'lossScale'>;

export interface Checkpoint {
  readonly snapshot: TrainingSnapshot;
  readonly progress: Progress;
  /** Parameters and states of the best check; absent before the first. */
  readonly best?: Readonly<Record<string, Float32Array>>;
}

/** Writes the file whole or not at all: beside it, flushed to the disk, then renamed. */
export function writeAtomically(path: string, bytes: Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  const beside = `${path}.new`;
  const file = openSync(beside, 'w');
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(beside, path);
}

const groups = ['values', 'firstMoments', 'secondMoments'] as const;

export function saveCheckpoint(path: string, { snapshot, progress: state, best = {} }: Checkpoint): void {
  const tensors: Record<string, StoredTensor> = {
    random: { dtype: 'U32', shape: [snapshot.random.length], data: snapshot.random as Uint32Array<ArrayBuffer> },
  };
  const put = (group: string, values: Readonly<Record<string, Float32Array>>): void => {
    for (const [name, data] of Object.entries(values))
      tensors[`${group}/${name}`] = { dtype: 'F32', shape: [data.length], data: data as Float32Array<ArrayBuffer> };
  };
  for (const group of groups) put(group, snapshot[group]);
  put('best', best);
  const { steps, lossScale } = snapshot;
  writeAtomically(
    path,
    writeSafetensors(tensors, { progress: JSON.stringify({ ...state, version: 1, steps, lossScale }) }),
  );
}

/** The checkpoint, or undefined when there is none. Throws `ND_FILE_CORRUPT`. */
export function loadCheckpoint(path: string): Checkpoint | undefined {
  if (!existsSync(path)) return undefined;
  const { tensors, metadata } = readSafetensors(readFileSync(path), path);
  const parsed = progress.safeParse(jsonOrNull(metadata['progress']));
  const random = tensors['random']?.data;
  if (!parsed.success || !(random instanceof Uint32Array)) {
    throw new NeuroDivergentError('ND_FILE_CORRUPT', {
      where: path,
      what: 'The file is no checkpoint of this version.',
      mend: 'Remove it to start training anew.',
    });
  }
  const group = (prefix: string): Record<string, Float32Array> =>
    Object.fromEntries(
      Object.entries(tensors).flatMap(([name, { data }]) =>
        name.startsWith(`${prefix}/`) ? [[name.slice(prefix.length + 1), data as Float32Array]] : [],
      ),
    );
  const { version: _, steps, lossScale, ...state } = parsed.data;
  return {
    snapshot: {
      steps,
      values: group('values'),
      firstMoments: group('firstMoments'),
      secondMoments: group('secondMoments'),
      random,
      lossScale,
    },
    progress: state,
    ...(state.best !== null && { best: group('best') }),
  };
}

function jsonOrNull(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? 'null') as unknown;
  } catch {
    return null; // refused by the schema
  }
}
