/**
 * Where models lie on the device: `slots/<line>/a` and `b`, and a pointer file that names the one in use. The pointer
 * holds all that is needed to run again, so a lost database does not silence a device.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Manifest } from '../contracts/manifest.js';
import { manifestSchema } from '../contracts/manifest.js';
import { limits } from '../contracts/limit.js';
import { parseWire } from '../contracts/wire.js';
import { replaceFile, sha256, syncTree } from './files.js';

export type Slot = 'a' | 'b';

export interface Pointer {
  readonly slot: Slot;
  readonly release: number;
  readonly manifestSha256: string;
  /** Streams the model serves. */
  readonly streams: readonly string[];
  readonly arm: string | null;
  /** Of a model that was tuned here: the manifest of the release it was made from. */
  readonly tunedFrom?: string | undefined;
  /** What ran before, to go back to. */
  readonly previous: Omit<Pointer, 'previous'> | null;
}

export interface Slots {
  lines(): readonly string[];
  pointer(line: string): Pointer | undefined;
  /** Moves the pointer; null takes the line out of use. */
  point(line: string, pointer: Pointer | null): void;
  dir(line: string, slot: Slot): string;
  stagingDir(line: string): string;
  /** Where a model that was tuned here waits to be taken up; see tuned.ts. */
  tunedDir(line: string): string;
  /** Moves the staged bundle into a slot, safe against power loss. */
  install(line: string, slot: Slot): void;
  /** The manifest of a slot, when it and the files it names are what was installed; undefined otherwise. */
  read(line: string, pointer: Omit<Pointer, 'previous'>): Manifest | undefined;
}

export const tunedWaits = (slots: Slots, line: string): boolean =>
  existsSync(join(slots.tunedDir(line), 'manifest.json'));

export const otherSlot = (slot: Slot | undefined): Slot => (slot === 'a' ? 'b' : 'a');

export function openSlots(stateDir: string): Slots {
  const root = join(stateDir, 'slots');
  const pointerFile = (line: string): string => join(root, line, 'active.json');
  const dir = (line: string, slot: Slot): string => join(root, line, slot);
  const stagingDir = (line: string): string => join(stateDir, 'staging', line);
  return {
    dir,
    stagingDir,
    tunedDir: (line) => join(stateDir, 'tuned', line),
    lines: () => (existsSync(root) ? readdirSync(root) : []),
    pointer: (line) =>
      existsSync(pointerFile(line)) ? parsePointer(readFileSync(pointerFile(line), 'utf8')) : undefined,
    point(line, pointer) {
      mkdirSync(join(root, line), { recursive: true });
      if (pointer === null) rmSync(pointerFile(line), { force: true });
      else replaceFile(pointerFile(line), JSON.stringify(pointer));
    },
    install(line, slot) {
      syncTree(stagingDir(line));
      const target = dir(line, slot);
      mkdirSync(dirname(target), { recursive: true });
      rmSync(target, { recursive: true, force: true });
      renameSync(stagingDir(line), target);
      syncTree(dirname(target));
    },
    read(line, pointer) {
      const at = dir(line, pointer.slot);
      if (!existsSync(join(at, 'manifest.json'))) return undefined;
      const bytes = readFileSync(join(at, 'manifest.json'));
      if (sha256(bytes) !== pointer.manifestSha256) return undefined;
      const manifest = parseWire(manifestSchema, bytes, limits.manifestBytes);
      if (!manifest.ok) return undefined;
      const models = manifest.value.files.filter(({ role }) => role === 'model');
      const intact = models.every(
        (file) => existsSync(join(at, file.path)) && sha256(readFileSync(join(at, file.path))) === file.sha256,
      );
      return intact ? manifest.value : undefined;
    },
  };
}

function parsePointer(text: string): Pointer | undefined {
  try {
    return JSON.parse(text) as Pointer; // written by us, whole or not at all
  } catch {
    return undefined; // the line starts without a model and takes the next offer
  }
}
