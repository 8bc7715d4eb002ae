/**
 * Update files (`.ndb`) on a USB stick, or laid into the device's own folder by `nd install`: looked for at a low rate, each taken
 * once. What comes of one is reported like what comes of a message; a stick that is pulled out is looked at again when it is back.
 */
import { lstat, mkdir, opendir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from './clock.js';
import { isFull } from './store.js';
import type { Store } from './store.js';

export interface OfflineOptions {
  /** Files in its folder `offline` are removed once they are decided. */
  readonly stateDir: string;
  /** Never written to; null for none. */
  readonly offlineDir: string | null;
  readonly clock: Clock;
  readonly store: Store;
  /** Tells whether the file should be tried again later. */
  readonly install: (path: string) => Promise<boolean>;
}

/** Where `nd install` puts files. */
export const inboxOf = (stateDir: string): string => join(stateDir, 'offline');

/** Two looks must find the same size and time, since a file may be on its way. */
const LOOK_MS = 10_000;
const RETRY_MS = 300_000;
/** Files of a folder that are looked at, and names of decided ones that are kept. */
const MAX_FILES = 100;
const DECIDED = 'offline/decided';

interface Found {
  readonly path: string;
  /** What changes when the file does. */
  readonly mark: string;
}

export async function watchOffline(options: OfflineOptions, signal: AbortSignal): Promise<void> {
  const { stateDir, offlineDir, clock, store, install } = options;
  const inbox = inboxOf(stateDir);
  const decided = new Map(JSON.parse(store.get(DECIDED)?.toString() ?? '[]') as [path: string, mark: string][]);
  const retryMs = new Map<string, number>();
  let before = new Map<string, string>();
  await mkdir(inbox, { recursive: true }).catch(() => undefined); // a full disk; what is not there holds nothing

  const take = async ({ path, mark }: Found): Promise<void> => {
    const again = await install(path).catch((error: unknown) => {
      if (isFull(error)) return true;
      throw error;
    });
    if (again) {
      retryMs.set(path, clock.monotonicMs() + RETRY_MS);
      return;
    }
    decided.delete(path);
    decided.set(path, mark);
    for (const oldest of [...decided.keys()].slice(0, -MAX_FILES)) decided.delete(oldest);
    try {
      store.put(DECIDED, JSON.stringify([...decided]));
    } catch (error) {
      if (!isFull(error)) throw error; // after a restart it is taken again, which changes nothing
    }
    if (dirname(path) === inbox) await rm(path, { force: true }).catch(() => undefined); // it is known as decided
  };

  while (!signal.aborted) {
    const found = [...(await listUpdates(inbox)), ...(offlineDir === null ? [] : await listUpdates(offlineDir))];
    for (const file of found) {
      const { path, mark } = file;
      const due = clock.monotonicMs() >= (retryMs.get(path) ?? 0);
      if (before.get(path) === mark && decided.get(path) !== mark && due && !signal.aborted) await take(file);
    }
    before = new Map(found.map(({ path, mark }) => [path, mark]));
    for (const path of retryMs.keys()) if (!before.has(path)) retryMs.delete(path);
    await clock.sleep(LOOK_MS, signal);
  }
}

/** Update files in the order of their names. A folder that is not there, or a stick that fails, has none. */
async function listUpdates(folder: string): Promise<Found[]> {
  const found: Found[] = [];
  try {
    for await (const { name } of await opendir(folder)) {
      if (!name.endsWith('.ndb')) continue;
      const path = join(folder, name);
      const { size, mtimeMs } = await lstat(path);
      found.push({ path, mark: `${size} ${mtimeMs}` });
      if (found.length >= MAX_FILES) break;
    }
  } catch {
    // and is looked at again soon
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}
