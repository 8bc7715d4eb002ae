/** The numbers of the reference library, in a folder beside the project: `ND_SHARED`, ../shared when it is not set. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readSafetensors } from '../src/contracts/safetensors.js';
import { ndarray, type NdArray } from '../src/graph/index.js';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
export const fixtureFolder = join(resolve(root, process.env['ND_SHARED'] ?? '../shared'), 'fixtures');

export interface Fixture {
  readonly file: string;
  readonly info: Record<string, unknown>;
  readonly tensors: Readonly<Record<string, NdArray>>;
}

/** All fixtures of one kind; none, said aloud, when the folder is not there. */
export function fixtures(kind: string): Fixture[] {
  const folder = join(fixtureFolder, kind);
  if (!existsSync(folder)) {
    console.warn(`Skipped: the fixtures are not at ${fixtureFolder}; set ND_SHARED to their parent folder.`);
    return [];
  }
  const files = readdirSync(folder).filter((file) => file.endsWith('.safetensors'));
  return files.sort().map((file) => {
    const { tensors, metadata } = readSafetensors(readFileSync(join(folder, file)), file);
    const arrays = Object.entries(tensors).map(
      ([name, { data, shape }]) => [name, ndarray(Array.from(data, Number), shape)] as const,
    );
    return {
      file,
      info: JSON.parse(metadata['case']!) as Record<string, unknown>,
      tensors: Object.fromEntries(arrays),
    };
  });
}
