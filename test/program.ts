/** Programs that tests use and npm cannot bring; scripts/install-system-packages.sh installs them. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where a program is; when it is missing the test is skipped, said aloud, but on CI that is a failure. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/usr/sbin'];
  const found = folders.map((folder) => join(folder, name)).find(isExecutable);
  if (found !== undefined) return found;
  const what = `${name} is not installed: run scripts/install-system-packages.sh as root.`;
  if (process.env['CI'] !== undefined) throw new Error(what);
  console.warn(`Skipped: ${what}`);
  return undefined;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // not there, or not ours to run: look further
  }
}
