/** The same program on an ARM64 machine that is emulated: a Raspberry Pi as `targets/arm64/emulate.sh` shows it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readSafetensors, writeSafetensors } from '../../contracts/safetensors.js';
import { NeuroDivergentError } from '../../errors.js';
import type { Tensors } from './run-models.js';

const emulator = fileURLToPath(new URL('../../../targets/arm64/emulate.sh', import.meta.url));
const program = fileURLToPath(new URL('run-models.js', import.meta.url));
const limitMs = 600_000;

/** As `runModels`. Throws `ND_ENGINE_EMULATOR_MISSING` when it does not run to its end. */
export function runModelsEmulated(models: Readonly<Record<string, string>>, windows: Tensors): Tensors {
  const folder = mkdtempSync(join(tmpdir(), 'nd-emulate-'));
  try {
    writeFileSync(join(folder, 'job.json'), JSON.stringify(models));
    writeFileSync(join(folder, 'windows.safetensors'), writeSafetensors(windows));
    const ended = spawnSync('bash', [emulator, '--board', 'pi4', program, folder], {
      encoding: 'utf8',
      timeout: limitMs,
    });
    if (ended.status !== 0) {
      throw new NeuroDivergentError('ND_ENGINE_EMULATOR_MISSING', {
        where: 'emulate arm64',
        what: `The emulated machine did not run the models: ${(ended.stderr.trim() || ended.error?.message) ?? `it ended with ${ended.signal ?? ended.status}`}.`,
        mend: 'On Debian, install qemu-user-static and g++-aarch64-linux-gnu; the first run fetches an ARM64 Node with npm.',
      });
    }
    return readSafetensors(readFileSync(join(folder, 'forecasts.safetensors'))).tensors;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
