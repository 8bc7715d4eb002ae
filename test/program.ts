/** Programs that tests use and npm cannot bring; scripts/install-system-packages.sh and install-peer.sh install them. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where a program is; when it is missing the test is skipped, said aloud, but on CI that is a failure. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/usr/sbin'];
  const found = folders.map((folder) => join(folder, name)).find(isExecutable);
  return found ?? missing(`${name} is not installed: run scripts/install-system-packages.sh as root.`);
}

/** The Python that `ND_PEER_PYTHON` names, `python3` when it is not set, if it has these modules; else as above. */
export function findPython(...modules: readonly string[]): string | undefined {
  const python = process.env['ND_PEER_PYTHON'] ?? 'python3';
  if (spawnSync(python, ['-c', `import ${modules.join()}`]).status === 0) return python;
  return missing(`${python} has no ${modules.join(' or no ')}: set ND_PEER_PYTHON to what scripts/install-peer.sh prints.`); // prettier-ignore
}

function missing(what: string): undefined {
  if (process.env['CI'] !== undefined) throw new Error(what);
  console.warn(`Skipped: ${what}`);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // not there, or not ours to run: look further
  }
}
