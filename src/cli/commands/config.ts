/** `nd config`: what a device would make of its configuration, before it runs. */
import { existsSync } from 'node:fs';
import { stringify } from 'yaml';
import { deviceConfigSchema } from '../../contracts/config.js';
import { toWire } from '../../contracts/wire.js';
import { NeuroDivergentError } from '../../errors.js';
import { readDeviceConfig } from '../../runtime/index.js';
import { printResult, type OutputFlags } from '../terminal.js';

/** Throws what `readDeviceConfig` throws, and `ND_FILE_NOT_FOUND` naming every file that the configuration names and that is not there. */
export async function checkConfigCommand(path: string, flags: OutputFlags): Promise<void> {
  const config = await readDeviceConfig(path);
  const links = [config.mqtt, ...(config.sparkplug?.mqtt ? [config.sparkplug.mqtt] : [])];
  const files = links.flatMap(({ passwordFile, caFile, certFile, keyFile }) => [
    passwordFile,
    caFile,
    certFile,
    keyFile,
  ]);
  const missing = [...files, config.http.tokenFile, config.repository?.rootFile].filter(
    (file) => file !== undefined && !existsSync(file),
  );
  if (missing.length > 0)
    throw new NeuroDivergentError('ND_FILE_NOT_FOUND', {
      where: path,
      what: `It names files that are not there: ${missing.join(', ')}.`,
      mend: 'Put them there, or correct their names.',
    });
  const counts = {
    streams: Object.keys(config.streams).length,
    mappings: config.mappings.length,
    detectors: Object.keys(config.detectors).length,
  };
  const parts = Object.entries(counts).map(([what, count]) => `${count} ${what}`);
  printResult(
    flags,
    { valid: true, site: config.site, device: config.device, ...counts },
    `✓ A device takes ${path}: ${config.site}/${config.device}, ${parts.join(', ')}.`,
  );
}

/** Everything, defaults too, as a configuration again; passwords in addresses are masked. */
export async function showConfigCommand(path: string, flags: OutputFlags): Promise<void> {
  const config = await readDeviceConfig(path);
  const { repository } = config;
  const masked = {
    ...config,
    mqtt: maskUrl(config.mqtt),
    sparkplug: config.sparkplug && {
      ...config.sparkplug,
      mqtt: config.sparkplug.mqtt && maskUrl(config.sparkplug.mqtt),
    },
    repository: repository && maskUrl(repository),
  };
  const shown = toWire(deviceConfigSchema, masked) as object;
  printResult(flags, shown, stringify(shown).trimEnd());
}

function maskUrl<T extends { readonly url: string | null }>(settings: T): T {
  if (settings.url === null) return settings;
  const url = new URL(settings.url);
  if (url.password === '') return settings;
  url.password = '***';
  return { ...settings, url: url.href };
}
