/** The device as a process: configuration in, real ports, signals, exit codes. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DeviceConfig } from '../contracts/config.js';
import { deviceConfigSchema, parseConfig } from '../contracts/config.js';
import { clientId } from '../contracts/topic.js';
import { readWire } from '../contracts/wire.js';
import { NeuroDivergentError } from '../errors.js';
import { createSystemClock } from './clock.js';
import type { Clock } from './clock.js';
import { runDevice } from './device.js';
import { describeMachine } from './machine.js';
import type { Ports } from './ports.js';
import { isDamage, openStore } from './store.js';
import type { Store } from './store.js';

/** Exit codes of the service (EDGE.md §15, §17); 78 tells systemd not to restart. */
export const deviceExit = { ok: 0, crashed: 70, badConfig: 78 } as const;

export interface DeviceProcessOptions {
  /** One JSON line per lifecycle event on stdout, so that a parent can follow. */
  readonly events?: boolean;
  /** Ends the device; SIGTERM and SIGINT do so too. */
  readonly signal?: AbortSignal;
}

const STOP_LIMIT_MS = 10_000;

/**
 * Reads `device.yaml`. Paths in it are relative to the file.
 * Throws `ND_FILE_NOT_FOUND`, `ND_FILE_CORRUPT` (no YAML), `ND_CONFIG_UNKNOWN_KEY` or `ND_CONFIG_OUT_OF_RANGE`.
 */
export async function readDeviceConfig(path: string): Promise<DeviceConfig> {
  if (!existsSync(path)) {
    throw new NeuroDivergentError('ND_FILE_NOT_FOUND', {
      where: path,
      what: 'There is no such file.',
      mend: 'Give the path of a device.yaml.',
    });
  }
  const text = readFileSync(path, 'utf8');
  const value = await parseYaml(text, path);
  const read = readWire(deviceConfigSchema, value);
  const config = read.ok ? read.value : parseConfig(value, `${path}:${await lineOf(text, read.findings[0]!.path)}`);
  const from = (file: string): string => resolve(dirname(path), file);
  const { mqtt, repository } = config;
  return {
    ...config,
    stateDir: from(config.stateDir),
    repository: repository && { ...repository, rootFile: from(repository.rootFile) },
    mqtt: {
      ...mqtt,
      ...Object.fromEntries(
        (['passwordFile', 'caFile', 'certFile', 'keyFile'] as const).flatMap((key) =>
          mqtt[key] === undefined ? [] : [[key, from(mqtt[key])]],
        ),
      ),
    },
  };
}

/** JSON is YAML too and needs no parser loaded; the YAML library is 40 ms of a cold start. */
async function parseYaml(text: string, path: string): Promise<unknown> {
  if (text.trimStart().startsWith('{')) {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      // YAML's flow style looks alike; its parser gives the better message too
    }
  }
  const { parseDocument } = await import('yaml');
  const document = parseDocument(text, { merge: false, strict: true });
  const [problem] = document.errors;
  if (problem !== undefined) {
    throw new NeuroDivergentError('ND_FILE_CORRUPT', {
      where: `${path}:${problem.linePos?.[0].line ?? 1}`,
      what: problem.message.split(/ at line|: "|\n/)[0]!, // the rest quotes the file, which may hold secrets
      mend: 'Correct the YAML.',
    });
  }
  return document.toJS({ maxAliasCount: 0 }) as unknown;
}

/** The line, from 1, of a setting (`mqtt.url`), or of what should have held it. */
async function lineOf(text: string, setting: string): Promise<number> {
  const { LineCounter, isNode, parseDocument } = await import('yaml');
  const lines = new LineCounter();
  const document = parseDocument(text, { merge: false, strict: true, lineCounter: lines });
  for (const keys = setting.split('.'); keys.length > 0; keys.pop()) {
    const node = document.getIn(keys, true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return 1;
}

/** Runs a device until it is told to stop. Resolves with the exit code of the process. */
export async function runDeviceProcess(
  configPath: string,
  { events = false, signal }: DeviceProcessOptions = {},
): Promise<number> {
  const tell: Ports['tell'] = (event, facts) => {
    if (events) process.stdout.write(`${JSON.stringify({ event, ...facts })}\n`);
  };
  let config: DeviceConfig;
  try {
    config = await readDeviceConfig(configPath);
  } catch (error) {
    if (!(error instanceof NeuroDivergentError)) throw error;
    process.stderr.write(`${error.message}\n`);
    tell('bad-config', { ...error.toJSON() });
    return deviceExit.badConfig;
  }

  const stopping = new AbortController();
  const stop = (): void => {
    stopping.abort();
    setTimeout(() => process.exit(deviceExit.crashed), STOP_LIMIT_MS).unref();
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  signal?.addEventListener('abort', stop, { once: true });
  const clock = createSystemClock(config.clock, { onStep: (ms) => tell('clock-step', { ms }) });
  const open = (distrusted: boolean): Store =>
    openStore({ path: join(config.stateDir, 'device.db'), clock, maxBytes: config.databaseBytes, distrusted });
  try {
    mkdirSync(config.stateDir, { recursive: true });
    for (let store = open(false); ; store = open(true)) {
      try {
        await runDevice(config, realPorts(config, store, clock, tell), stopping.signal);
        store.close();
        return deviceExit.ok;
      } catch (error) {
        store.sql.close(); // and the marker stays: it ended in the middle of something
        if (!isDamage(error) || store.start === 'damaged') throw error; // one fresh start mends a file, no more
        tell('database-damaged', { detail: (error as Error).message });
      }
    }
  } catch (error) {
    // What matters is on disk; the supervisor starts us again.
    const known = error instanceof NeuroDivergentError;
    process.stderr.write(`${known ? error.message : ((error as Error).stack ?? String(error))}\n`);
    tell('crashed', { detail: (error as Error).message });
    return deviceExit.crashed;
  } finally {
    process.off('SIGTERM', stop);
    process.off('SIGINT', stop);
  }
}

/** Everything heavy is imported when it is first used: a restart forecasts before it connects. */
function realPorts(config: DeviceConfig, store: Ports['store'], clock: Clock, tell: Ports['tell']): Ports {
  const read = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : readFileSync(path, 'utf8');
  const engine: Ports['engine'] = async () => (await import('../engine/ort.js')).createOrtEngine();
  const { mqtt, repository } = config;
  const { providers, requireGpu } = config.engine;
  return {
    clock,
    async providers() {
      if (!requireGpu && providers.every((name) => name === 'cpu')) return providers;
      const { usableProviders } = await import('../engine/ort.js');
      return usableProviders(providers, requireGpu);
    },
    store,
    engine,
    tell,
    machine: describeMachine(config.stateDir),
    newId: () => createId(clock.now()),
    connect: async (options) => {
      const { connectMqtt } = await import('../transport/mqtt.js');
      const secrets = {
        username: mqtt.username,
        password: read(mqtt.passwordFile)?.trimEnd(),
        ca: read(mqtt.caFile),
        cert: read(mqtt.certFile),
        key: read(mqtt.keyFile),
      };
      const given = Object.fromEntries(Object.entries(secrets).filter(([, value]) => value !== undefined));
      const { url, allowInsecure } = mqtt;
      return connectMqtt({ ...options, ...given, url, allowInsecure, clientId: clientId(config) });
    },
    openRepository: async (url) => {
      const { createUpdateClient } = await import('../transport/update-client.js');
      const pinnedRoot = readFileSync(repository!.rootFile);
      return createUpdateClient({
        trustDir: join(config.stateDir, 'trust'),
        url,
        pinnedRoot,
        now: () => clock.now(),
        clockSynced: () => clock.synced(),
      });
    },
    selfTest: async (job) => (await import('./self-test-process.js')).selfTestInChild(job),
    tune: async (job, limits) => (await import('./tune-process.js')).tuneInChild(job, limits),
  };
}

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** 26 characters that sort by time: ten of the milliseconds, sixteen at random (the form of a ULID). */
export function createId(nowMs: number): string {
  let time = '';
  for (let i = 0, rest = nowMs; i < 10; i++, rest = Math.floor(rest / 32)) time = CROCKFORD[rest % 32]! + time;
  return time + Array.from(randomBytes(16), (byte) => CROCKFORD[byte % 32]).join('');
}

// Started directly (`node main.js device.yaml [--events]`): the device package does, and whoever wants no command line loaded.
const [, script, configPath = 'device.yaml', ...flags] = process.argv;
if (script !== undefined && existsSync(script) && realpathSync(script) === fileURLToPath(import.meta.url)) {
  process.exitCode = await runDeviceProcess(configPath, { events: flags.includes('--events') });
  process.exit();
}
