/** `nd repo`: the signed repository that devices take models from. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { initRepository, publish, refreshRepository, verifyRepository } from '../../bundle/repository.js';
import { verifyBundle } from '../../bundle/verify.js';
import { errorKinds, exitCode } from '../../errors.js';
import { printResult, type OutputFlags } from '../terminal.js';

export async function initCommand(dir: string, flags: OutputFlags): Promise<void> {
  const { servedDir, rootFile, keysDir } = await initRepository({ dir });
  printResult(
    flags,
    { servedDir, rootFile, keysDir },
    `Serve ${servedDir} with any web server.\nGive every device ${rootFile}.\nKeep ${keysDir} to yourself: whoever has it can push models.`,
  );
}

export async function publishCommand(dir: string, bundleDir: string, flags: OutputFlags): Promise<void> {
  const published = await publish({ dir, bundleDir });
  const { line, release, manifestSha256 } = published;
  printResult(flags, published, `Published ${line}, release ${release}, manifest ${manifestSha256}.`);
}

/** Devices refuse what has expired: the timestamp does after a day, the snapshot after a week. */
export async function refreshCommand(dir: string, flags: OutputFlags): Promise<void> {
  await refreshRepository({ dir });
  printResult(flags, { refreshed: dir }, `Signed ${dir} anew.`);
}

/** All that is wrong; the exit code is that of the first finding. */
export async function verifyCommand(dir: string, flags: OutputFlags): Promise<void> {
  const isRepository = existsSync(join(dir, 'public'));
  const findings = isRepository ? await verifyRepository({ dir }) : await verifyBundle(dir);
  printResult(
    flags,
    { kind: isRepository ? 'repository' : 'bundle', findings },
    findings.map(({ code, where, detail }) => `✗ ${where}: ${detail} [${code}]`).join('\n') ||
      `✓ The ${isRepository ? 'repository' : 'bundle'} is sound.`,
  );
  const [first] = findings;
  if (first !== undefined) process.exitCode = exitCode[errorKinds[first.code]];
}
