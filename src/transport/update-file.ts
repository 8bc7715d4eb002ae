/** The update client of an update file: the checks of a server's repository, and the desired state that came along. */
import { limits } from '../contracts/limit.js';
import type { Outcome } from '../contracts/reason.js';
import { accept } from '../contracts/reason.js';
import { desiredEntry, openArchive } from './archive.js';
import { downloadBytes, refuseBroken, transferDefaults } from './download.js';
import { createUpdateClient } from './update-client.js';
import type { UpdateClient, UpdateClientOptions } from './update-client.js';

export interface UpdateFile {
  readonly client: UpdateClient;
  /** The signed message, not verified; undefined when the file brings a repository alone. */
  readonly desired: Uint8Array | undefined;
  readonly close: () => Promise<void>;
}

export async function openUpdateFile(
  path: string,
  options: Omit<UpdateClientOptions, 'url' | 'archive'>,
): Promise<Outcome<UpdateFile>> {
  const opened = await openArchive(path);
  if (!opened.ok) return opened;
  const archive = opened.value;
  const { url, get, close } = archive;
  const desired = archive.entries.has(desiredEntry)
    ? await downloadBytes(`${url}/${desiredEntry}`, limits.desiredBytes, { limits: transferDefaults, get }).catch(
        (error: unknown) => refuseBroken(error),
      )
    : accept(undefined);
  if (!desired.ok) {
    await close();
    return desired;
  }
  return accept({ client: createUpdateClient({ ...options, url, archive }), desired: desired.value, close });
}
