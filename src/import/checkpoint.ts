/** What a folder that `NeuralForecast.save` wrote holds, whichever format it has. Reading it runs no code from it. */
import { readFileSync, statSync } from 'node:fs';
import { NeuroDivergentError } from '../errors.js';
import type { ReferenceLoss } from '../losses/index.js';
import type { ReferenceTensor } from './mapping.js';

export interface Checkpoint {
  /** As in pandas: `ME`, `h`. */
  readonly frequency: string;
  /** Scaling of whole series before windows are cut, by column of the table. */
  readonly seriesScalers: Readonly<Record<string, SeriesStatistics>>;
  readonly models: readonly CheckpointModel[];
}

export interface SeriesStatistics {
  /** `standard`, `robust`, … */
  readonly type: string;
  /** Shift and scale of each series, in the order of their names, `[series, 2]`. */
  readonly statistics: ReferenceTensor;
}

export interface CheckpointModel {
  /** Its alias, or its class. */
  readonly name: string;
  /** Such as `NHITS`, in upper or lower case. */
  readonly className: string;
  readonly hyperparameters: Readonly<Record<string, unknown>>;
  readonly loss: ReferenceLoss;
  /** Parameters and buffers by their names there. */
  readonly tensors: Readonly<Record<string, ReferenceTensor>>;
}

/** Larger files are refused before they are read. */
const fileBytesMax = 1 << 30;

/** Throws `ND_FILE_NOT_FOUND`, and `ND_IMPORT_REFUSED` for what is no file of a checkpoint. */
export function readPart(path: string, bytesMax = fileBytesMax): Uint8Array {
  let size: number;
  try {
    const status = statSync(path);
    if (!status.isFile()) throw new Error('it is no file');
    size = status.size;
  } catch (cause) {
    throw new NeuroDivergentError('ND_FILE_NOT_FOUND', {
      where: path,
      what: `It cannot be read: ${(cause as Error).message}.`,
      mend: 'Name the folder that `NeuralForecast.save` wrote, with all its files.',
      cause,
    });
  }
  if (size > bytesMax) throw refused(path, `It has ${size} bytes; at most ${bytesMax} are read`);
  return readFileSync(path);
}

/** `My-Model_0.safetensors` → `My-Model` */
export const aliasOf = (file: string): string => file.replace(/_[^_]*$/, '');

export const refused = (where: string, what: string): NeuroDivergentError =>
  new NeuroDivergentError('ND_IMPORT_REFUSED', {
    where,
    what: `${what}.`,
    mend: 'Nothing of it was run. Save the model again with NeuralForecast 3.3, whose files hold no code.',
  });

export const unsupported = (where: string, what: string): NeuroDivergentError =>
  new NeuroDivergentError('ND_IMPORT_UNSUPPORTED', {
    where,
    what: `${what}.`,
    mend: 'Train the model here (`nd train`), or import one without it.',
  });
