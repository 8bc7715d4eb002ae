/** Files of a folder that others may have written: listed without following links, and written so that they survive a power cut. */
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export interface FolderEntry {
  /** Relative to the folder, forward slashes. */
  readonly path: string;
  /** False for links, sockets, devices. */
  readonly regular: boolean;
}

/** Every entry below a folder that is no folder itself. */
export async function listFolder(dir: string, below = ''): Promise<FolderEntry[]> {
  const entries = await readdir(join(dir, below), { withFileTypes: true });
  const nested = entries.map(async (entry): Promise<FolderEntry[]> => {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    return entry.isDirectory() ? listFolder(dir, path) : [{ path, regular: entry.isFile() }];
  });
  return (await Promise.all(nested)).flat();
}

export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

/** Writes beside, syncs, then renames: a reader sees the old file or the new one, whole. */
export async function writeWhole(path: string, content: Uint8Array | string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const beside = `${path}.${process.pid}.part`;
  const file = await open(beside, 'w');
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(beside, path);
}
