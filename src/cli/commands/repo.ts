/** `nd repo`: the signed repository that devices take models from. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assign } from '../../bundle/assign.js';
import { exportUpdate } from '../../bundle/export.js';
import {
  initRepository,
  openRepository,
  publish,
  refreshRepository,
  verifyRepository,
} from '../../bundle/repository.js';
import { verifyBundle } from '../../bundle/verify.js';
import { createTopics } from '../../contracts/topic.js';
import { errorKinds, exitCode, NeuroDivergentError } from '../../errors.js';
import { serveFiles } from '../../transport/http.js';
import { notTaken, openBroker, type BrokerFlags } from '../broker.js';
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

export interface AssignFlags extends OutputFlags, BrokerFlags {
  readonly line: string;
  readonly release?: number;
  readonly stream?: readonly string[];
  readonly mode: 'active' | 'shadow' | 'stop';
  readonly allowRollbackTo?: number;
  readonly probationMinutes?: number;
  readonly probationForecasts?: number;
  readonly days: number;
  readonly base: string;
  readonly broker?: string;
  readonly out?: string;
}

/** What a device should run, signed: into a file, or to the broker, which keeps it for the device. */
export async function assignCommand(dir: string, name: string, flags: AssignFlags): Promise<void> {
  const [site = '', device = '', ...rest] = name.split('/');
  if (rest.length > 0 || device === '')
    throw new NeuroDivergentError('ND_CLI_USAGE', {
      where: 'repo assign',
      what: `“${name}” is no device.`,
      mend: 'Write SITE/DEVICE, as in plant1/pi7.',
    });
  const { line, release, stream: streams = [], mode, allowRollbackTo, days, base, broker, out } = flags;
  const { probationMinutes: minutes, probationForecasts: forecasts } = flags;
  const probation = minutes === undefined && forecasts === undefined ? undefined : { minutes, forecasts };
  const topic = createTopics({ base, site, device }).desired;
  const { desired, envelope } = await assign({ dir, site, device, line, release, streams, mode, allowRollbackTo, probation, lifetimeDays: days }); // prettier-ignore
  if (out !== undefined) writeFileSync(out, envelope);
  if (broker !== undefined) await tell(broker, topic, envelope, flags);
  const models = desired.models.map((one) => ({
    line: one.line,
    release: one.release,
    mode: one.mode,
    bind: one.bind,
  }));
  const where = [
    ...(broker === undefined ? [] : [`${broker} keeps it for the device`]),
    ...(out === undefined ? [] : [`written to ${out}`]),
  ];
  printResult(
    flags,
    { topic, seq: desired.seq, expires: desired.expires, models, out, broker },
    `${name} shall run ${models.map((one) => `${one.line}, release ${one.release} (${one.mode})`).join('; ')}; ` +
      (where.join(', ') || `publish it, retained, on ${topic}: repeat with --broker or --out`) +
      `. It holds until ${new Date(desired.expires).toISOString()}.`,
  );
}

function readGiven(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new NeuroDivergentError('ND_FILE_NOT_FOUND', {
      where: path,
      what: 'The file cannot be read.',
      mend: 'Correct its name.',
      cause,
    });
  }
}

async function tell(url: string, topic: string, payload: Uint8Array, flags: AssignFlags): Promise<void> {
  const link = await openBroker(url, flags, 'nd-assign');
  try {
    if (!(await link.publish(topic, payload, { retain: true }))) throw notTaken(url, 'the connection was lost');
  } finally {
    await link.close();
  }
}

export interface ExportFlags extends OutputFlags {
  readonly desired?: string;
  readonly line?: string;
  readonly release?: number;
  readonly days: number;
  readonly out: string;
}

/** An update file for a USB stick. */
export async function exportCommand(
  dir: string,
  { desired, line, release, days, out, ...flags }: ExportFlags,
): Promise<void> {
  if (desired === undefined && line === undefined)
    throw new NeuroDivergentError('ND_CLI_USAGE', {
      where: 'repo export',
      what: 'It is not said what to take along.',
      mend: 'Pass --desired FILE (of `nd repo assign --out`), or --line NAME.',
    });
  const exported = await exportUpdate({ dir, desired: desired === undefined ? undefined : readGiven(desired), line, release, lifetimeDays: days, out }); // prettier-ignore
  const { bundles, desired: told, bytes } = exported;
  const held = bundles.map((one) => `${one.line}, release ${one.release}`).join('; ');
  const whom = told === undefined ? '' : ` for ${told.site}/${told.device === '*' ? 'every device' : told.device}`;
  printResult(
    flags,
    { out, bytes, bundles, site: told?.site, device: told?.device, seq: told?.seq },
    `${out} (${Math.ceil(bytes / 1024)} kB) holds ${held || 'no model'}${whom}. It is taken for ${days} days.`,
  );
}

export interface ServeFlags extends OutputFlags {
  readonly host: string;
  readonly port: number;
}

/** Until it is interrupted. */
export async function serveCommand(dir: string, { host, port, ...flags }: ServeFlags): Promise<void> {
  const { servedDir } = await openRepository({ dir });
  const server = await serveFiles({ dir: servedDir, host, port }).catch((cause: unknown) => {
    throw new NeuroDivergentError('ND_CLI_USAGE', {
      where: `${host}:${port}`,
      what: `It cannot be listened on: ${(cause as Error).message}.`,
      mend: 'Choose another --port, or --host.',
      cause,
    });
  });
  printResult(flags, { url: server.url, servedDir }, `${server.url} serves ${servedDir}. Ctrl-C ends it.`);
  await new Promise<void>((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => resolve());
  });
  await server.close();
}
