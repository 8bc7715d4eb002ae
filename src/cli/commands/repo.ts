/** `nd repo`: the signed repository that devices take models from. */
import { initRepository, publish } from '../../bundle/repository.js';
import { verifyBundle } from '../../bundle/verify.js';
import { exitCode } from '../../errors.js';

interface Options {
  readonly json?: boolean;
}
const print = (value: object, text: string, json = false): void =>
  void process.stdout.write(`${json ? JSON.stringify(value) : text}\n`);

export async function initCommand(dir: string, { json }: Options): Promise<void> {
  const { servedDir, rootFile, keysDir } = await initRepository({ dir });
  print(
    { servedDir, rootFile, keysDir },
    `Serve ${servedDir} with any web server.\nGive every device ${rootFile}.\nKeep ${keysDir} to yourself: whoever has it can push models.`,
    json,
  );
}

export async function publishCommand(dir: string, bundleDir: string, { json }: Options): Promise<void> {
  const published = await publish({ dir, bundleDir });
  print(
    published,
    `Published ${published.line}, release ${published.release}, manifest ${published.manifestSha256}.`,
    json,
  );
}

export async function verifyCommand(dir: string, { json = false }: Options): Promise<void> {
  const findings = await verifyBundle(dir);
  print(
    { findings },
    findings.length === 0
      ? 'The bundle is sound.'
      : findings.map((finding) => `${finding.code}  ${finding.where}: ${finding.detail}`).join('\n'),
    json,
  );
  if (findings.length > 0) process.exitCode = exitCode.io;
}
