/** Finds out which format a checkpoint has, and reads it. Reading runs no code from it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { NeuroDivergentError } from '../errors.js';
import type { Checkpoint } from './checkpoint.js';
import { readCurrentFormat } from './current-format.js';
import { readLegacyFormat } from './legacy-format.js';

/** Throws `ND_FILE_NOT_FOUND`, `ND_FILE_CORRUPT`, `ND_IMPORT_REFUSED`. */
export function readCheckpoint(folder: string): Checkpoint {
  // Which files are there tells the format; a stray old file never makes a new folder an old one.
  if (existsSync(join(folder, 'configuration.json'))) return readCurrentFormat(folder);
  if (existsSync(join(folder, 'configuration.pkl'))) return readLegacyFormat(folder);
  throw new NeuroDivergentError('ND_FILE_NOT_FOUND', {
    where: folder,
    what: 'There is no configuration.json and no configuration.pkl.',
    mend: 'Name the folder that `NeuralForecast.save` wrote.',
  });
}
