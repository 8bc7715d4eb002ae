/** Forecasts of a teacher on disk: worked out once for the same teacher and the same windows. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensors, writeSafetensors } from '../contracts/safetensors.js';
import type { Windows } from '../data/windows.js';
import { writeAtomically } from '../train/checkpoint.js';
import { fingerprint } from '../train/start.js';
import { bytesOf, type Teacher } from './teacher.js';

/** Reads the forecasts from the folder, or works them out and leaves them there. A damaged file is written anew. */
export async function cached(
  folder: string | undefined,
  teacher: Teacher,
  windows: Windows,
  columns: number,
  work: () => Promise<Float32Array>,
): Promise<Float32Array> {
  if (folder === undefined) return work();
  const path = join(folder, `teacher-${keyOf(teacher, windows, columns).slice(0, 32)}.safetensors`);
  const stored = existsSync(path) ? readStored(path) : undefined;
  if (stored !== undefined) return stored;
  const forecasts = await work();
  const shape = [windows.count, forecasts.length / windows.count];
  writeAtomically(
    path,
    writeSafetensors({ forecasts: { dtype: 'F32', shape, data: forecasts as Float32Array<ArrayBuffer> } }),
  );
  return forecasts;
}

function readStored(path: string): Float32Array | undefined {
  try {
    const { tensors } = readSafetensors(readFileSync(path), path);
    return tensors['forecasts']?.data as Float32Array | undefined;
  } catch {
    return undefined; // half of a file is worth no more than none
  }
}

const keyOf = (teacher: Teacher, { frame, inputLength, horizon, starts, series }: Windows, columns: number): string =>
  fingerprint(
    teacher.fingerprint,
    `${inputLength} ${horizon} ${columns}`,
    bytesOf(starts),
    bytesOf(series),
    bytesOf(frame.offsets),
    bytesOf(frame.available),
    ...Object.entries(frame.columns).flatMap(([name, column]) => [name, bytesOf(column)]),
  );
