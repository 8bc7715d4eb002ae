/** Golden files of the reference library: what is fed, and what must come out. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { readSafetensors } from '../../contracts/safetensors.js';
import type { FloatTensor } from '../../engine/port.js';
import { NeuroDivergentError } from '../../errors.js';

export interface Fixture {
  /** Its path below the folder of fixtures. */
  readonly file: string;
  readonly info: Readonly<Record<string, unknown>>;
  readonly tensors: Readonly<Record<string, FloatTensor>>;
}

export function readFixture(folder: string, file: string): Fixture {
  const { tensors, metadata } = readSafetensors(readFileSync(join(folder, file)), file);
  const floats = Object.entries(tensors).map(
    ([name, { data, shape }]) =>
      [name, { data: Float32Array.from(data as Iterable<number>, Number), dims: shape }] as const,
  );
  return { file, info: JSON.parse(metadata['case'] ?? '{}') as Fixture['info'], tensors: Object.fromEntries(floats) };
}

/** One case: a file, or a folder where a case is a folder. */
export interface CaseFile {
  readonly kind: string;
  readonly file: string;
  /** What the name says it is about: the part before the first dot. */
  readonly subject: string;
}

/** Every case below a folder, by kind (its subfolder). Throws `ND_FILE_NOT_FOUND`. */
export function listCases(folder: string): CaseFile[] {
  const list = (path: string): string[] => {
    try {
      return readdirSync(path).filter((name) => !name.startsWith('.') && !name.endsWith('.md'));
    } catch (cause) {
      throw new NeuroDivergentError('ND_FILE_NOT_FOUND', {
        where: path,
        what: 'The folder cannot be read.',
        mend: 'Pass the folder that holds models/, losses/ and so on.',
        cause,
      });
    }
  };
  const kinds = list(folder).filter((name) => statSync(join(folder, name)).isDirectory());
  return kinds.sort().flatMap((kind) =>
    list(join(folder, kind))
      .sort()
      .map((name) => ({ kind, file: join(kind, name), subject: basename(name).split('.')[0]! })),
  );
}
