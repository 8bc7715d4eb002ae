/** `nd install`: an update file handed to the device of this machine, whether it runs or will. The device judges it. */
import { existsSync } from 'node:fs';
import { chown, copyFile, mkdir, rename, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { orThrow } from '../../bundle/refusal.js';
import { NeuroDivergentError } from '../../errors.js';
import { inboxOf } from '../../runtime/offline.js';
import { openArchive } from '../../transport/archive.js';
import { printResult, type OutputFlags } from '../terminal.js';

export interface InstallFlags extends OutputFlags {
  readonly state: string;
}

/** Throws `ND_FILE_NOT_FOUND` where no device keeps its state, and `ND_BUNDLE_<REASON>` for a file that is no archive of updates. */
export async function installCommand(file: string, { state, ...flags }: InstallFlags): Promise<void> {
  const missing = [file, state].find((path) => !existsSync(path));
  if (missing !== undefined)
    throw new NeuroDivergentError('ND_FILE_NOT_FOUND', {
      where: missing,
      what: 'It is not there.',
      mend: 'Name an update file, and the state_dir of the device with --state.',
    });
  const { entries, close } = orThrow(await openArchive(file), file);
  await close();

  // The device may be a user of its own, which removes the file when it is decided.
  const { uid, gid } = await stat(state);
  const give = (path: string): Promise<void> => (process.getuid?.() === 0 ? chown(path, uid, gid) : Promise.resolve());
  const inbox = inboxOf(state);
  await mkdir(inbox, { recursive: true });
  await give(inbox);
  const name = basename(file).endsWith('.ndb') ? basename(file) : `${basename(file)}.ndb`;
  const to = join(inbox, name);
  await copyFile(file, `${to}.part`);
  await give(`${to}.part`);
  await rename(`${to}.part`, to);

  const bundles = [...entries].flatMap((path) => /^targets\/(.+)\/\w+\.manifest\.json$/.exec(path)?.[1] ?? []);
  printResult(
    flags,
    { file: to, bundles },
    `Handed over ${name} with ${bundles.join(', ') || 'no model'}. A device that runs takes it within half a minute, another at its next start; ` +
      '`model/reported` and `journalctl` say what came of it.',
  );
}
