/** `nd tuf-client`: the update client of the device alone, on the command line of tuf-conformance (its CLIENT-CLI.md). */
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { NeuroDivergentError } from '../../errors.js';
import type { Outcome } from '../../contracts/reason.js';
import { createUpdateClient } from '../../transport/update-client.js';

export interface TufClientFlags {
  readonly metadataDir: string;
  readonly metadataUrl?: string;
  readonly targetName?: readonly string[];
  readonly targetBaseUrl?: string;
  readonly targetDir?: string;
}

/** Exit code 1 for anything that is refused, as that protocol wants it. */
export async function tufClientCommand(action: string, root: string | undefined, flags: TufClientFlags): Promise<void> {
  const { metadataDir, metadataUrl, targetName = [], targetBaseUrl, targetDir } = flags;
  if (action === 'init') {
    mkdirSync(metadataDir, { recursive: true });
    copyFileSync(needed(root, 'init takes a root.json'), join(metadataDir, 'root.json'));
    return;
  }
  const client = createUpdateClient({
    trustDir: metadataDir,
    url: {
      metadata: needed(metadataUrl, 'pass --metadata-url').replace(/\/$/, ''),
      targets: (targetBaseUrl ?? '').replace(/\/$/, ''),
    },
    pinnedRoot: readFileSync(join(metadataDir, 'root.json')),
    now: Date.now,
    clockSynced: () => true,
  });
  if (!taken(await client.refresh()) || action === 'refresh') return;
  needed(targetBaseUrl, 'pass --target-base-url');
  for (const name of targetName) {
    const to = join(needed(targetDir, 'pass --target-dir'), encodeURIComponent(name));
    if (!taken(await client.downloadTarget(name, to))) return;
  }
}

function taken(outcome: Outcome<undefined>): boolean {
  if (outcome.ok) return true;
  process.stderr.write(`refused: ${outcome.reason}: ${outcome.detail}\n`);
  process.exitCode = 1;
  return false;
}

function needed(value: string | undefined, mend: string): string {
  if (value !== undefined) return value;
  throw new NeuroDivergentError('ND_CLI_USAGE', { where: 'tuf-client', what: 'An argument is missing.', mend });
}
