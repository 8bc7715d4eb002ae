/** The device as a process: configuration in, real ports, signals, exit codes. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DeviceConfig, MqttSettings } from '../contracts/config.js';
import { deviceConfigSchema, parseConfig } from '../contracts/config.js';
import { accept, refuse } from '../contracts/reason.js';
import { clientId } from '../contracts/topic.js';
import { readWire } from '../contracts/wire.js';
import { NeuroDivergentError } from '../errors.js';
import { createSystemClock } from './clock.js';
import type { Clock } from './clock.js';
import { runDevice } from './device.js';
import { createLog } from './log.js';
import { describeMachine } from './machine.js';
import type { Ports } from './ports.js';
import { isDamage, openStore } from './store.js';
import { createSupervisor } from './supervisor.js';

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
  const filesFrom = (mqtt: MqttSettings): MqttSettings => ({
    ...mqtt,
    ...Object.fromEntries(
      (['passwordFile', 'caFile', 'certFile', 'keyFile'] as const).flatMap((key) =>
        mqtt[key] === undefined ? [] : [[key, from(mqtt[key])]],
      ),
    ),
  });
  const { repository, http, sparkplug } = config;
  return {
    ...config,
    stateDir: from(config.stateDir),
    http: { ...http, ...(http.tokenFile !== undefined && { tokenFile: from(http.tokenFile) }) },
    offlineDir: config.offlineDir && from(config.offlineDir),
    repository: repository && { ...repository, rootFile: from(repository.rootFile) },
    mqtt: filesFrom(config.mqtt),
    sparkplug: sparkplug && { ...sparkplug, mqtt: sparkplug.mqtt && filesFrom(sparkplug.mqtt) },
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
  const log = createLog('info', process.env['JOURNAL_STREAM'] !== undefined, (line) => void process.stderr.write(line));
  const say: Ports['tell'] = (event, facts) => {
    if (events) process.stdout.write(`${JSON.stringify({ event, ...facts })}\n`);
  };
  const tell: Ports['tell'] = events ? say : log.line;
  let config: DeviceConfig;
  try {
    config = await readDeviceConfig(configPath);
  } catch (error) {
    if (!(error instanceof NeuroDivergentError)) throw error;
    process.stderr.write(`${error.message}\n`);
    say('bad-config', { ...error.toJSON() });
    return deviceExit.badConfig;
  }

  const supervisor = createSupervisor(process.env, (detail) => tell('no-watchdog', { detail }));
  const stopping = new AbortController();
  const stop = (): void => {
    supervisor.say('stopping');
    stopping.abort();
    setTimeout(() => process.exit(deviceExit.crashed), STOP_LIMIT_MS).unref();
  };
  let reloading = new AbortController();
  let next = config;
  const reload: Ports['reload'] = async () => {
    try {
      next = await readDeviceConfig(configPath);
    } catch (error) {
      if (!(error instanceof NeuroDivergentError)) throw error;
      tell('reload-refused', { ...error.toJSON() });
      return refuse('not_possible', error.message);
    }
    setImmediate(() => reloading.abort()); // after the answer has left
    return accept({ changed: changedKeys(config, next) });
  };
  const onHangup = (): void => void reload();
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  process.on('SIGHUP', onHangup);
  signal?.addEventListener('abort', stop, { once: true });
  try {
    for (let distrusted = false; ;) {
      config = next;
      log.level = config.logLevel;
      reloading = new AbortController();
      mkdirSync(config.stateDir, { recursive: true });
      const clock = createSystemClock(config.clock, { onStep: (ms) => tell('clock-step', { ms }) });
      const path = join(config.stateDir, 'device.db');
      const store = openStore({ path, clock, maxBytes: config.databaseBytes, distrusted });
      const setLogLevel: Ports['setLogLevel'] = (level) => void (log.level = level);
      const ports = { ...realPorts(config, store, clock), tell, supervisor, setLogLevel, reload };
      try {
        await runDevice(config, ports, AbortSignal.any([stopping.signal, reloading.signal]));
        store.close();
        if (stopping.signal.aborted) return deviceExit.ok;
        distrusted = false;
      } catch (error) {
        store.sql.close(); // and the marker stays: it ended in the middle of something
        if (!isDamage(error) || store.start === 'damaged') throw error; // one fresh start mends a file, no more
        tell('database-damaged', { detail: (error as Error).message });
        distrusted = true;
      }
    }
  } catch (error) {
    // What matters is on disk; the supervisor starts us again.
    const known = error instanceof NeuroDivergentError;
    process.stderr.write(`${known ? error.message : ((error as Error).stack ?? String(error))}\n`);
    say('crashed', { detail: (error as Error).message });
    return deviceExit.crashed;
  } finally {
    process.off('SIGTERM', stop);
    process.off('SIGINT', stop);
    process.off('SIGHUP', onHangup);
  }
}

const changedKeys = (before: DeviceConfig, after: DeviceConfig): string[] =>
  (Object.keys(after) as (keyof DeviceConfig)[]).filter(
    (key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]),
  );

/** Everything heavy is imported when it is first used: a restart forecasts before it connects. */
function realPorts(
  config: DeviceConfig,
  store: Ports['store'],
  clock: Clock,
): Omit<Ports, 'tell' | 'supervisor' | 'setLogLevel' | 'reload'> {
  const read = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : readFileSync(path, 'utf8');
  const engine: Ports['engine'] = async () => (await import('../engine/ort.js')).createOrtEngine();
  const { repository } = config;
  const { providers, requireGpu } = config.engine;
  const trust = () => ({
    trustDir: join(config.stateDir, 'trust'),
    pinnedRoot: readFileSync(repository!.rootFile),
    now: () => clock.now(),
    clockSynced: () => clock.synced(),
  });
  return {
    clock,
    async providers() {
      if (!requireGpu && providers.every((name) => name === 'cpu')) return providers;
      const { usableProviders } = await import('../engine/ort.js');
      return usableProviders(providers, requireGpu);
    },
    store,
    engine,
    machine: describeMachine(config.stateDir),
    newId: () => createId(clock.now()),
    connect: async (options, as = 'device') => {
      const { connectMqtt } = await import('../transport/mqtt.js');
      const mqtt = (as === 'edge-node' ? config.sparkplug?.mqtt : null) ?? config.mqtt;
      const id = as === 'edge-node' ? `${clientId(config)}-sparkplug` : clientId(config);
      const secrets = {
        username: mqtt.username,
        password: read(mqtt.passwordFile)?.trimEnd(),
        ca: read(mqtt.caFile),
        cert: read(mqtt.certFile),
        key: read(mqtt.keyFile),
      };
      const given = Object.fromEntries(Object.entries(secrets).filter(([, value]) => value !== undefined));
      const { url, allowInsecure } = mqtt;
      return connectMqtt({ ...options, ...given, url, allowInsecure, clientId: id });
    },
    openRepository: async (url) => {
      const { createUpdateClient } = await import('../transport/update-client.js');
      return createUpdateClient({ ...trust(), url });
    },
    openUpdateFile: async (path) => {
      if (repository === null) return refuse('unsupported', 'repository.root_file is not configured');
      const { openUpdateFile } = await import('../transport/update-file.js');
      return openUpdateFile(path, trust());
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
