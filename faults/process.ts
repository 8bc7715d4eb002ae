/** The device and the broker as processes of their own, to be killed. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { findProgram } from '../test/program.js';

/** Whoever runs rows of real processes waits at most so long for any one thing. */
const PATIENCE_MS = 30_000;

export interface Running {
  /** Kills and waits; safe when it has ended. */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

function running(child: ChildProcess): Running {
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return {
    async kill(signal = 'SIGKILL') {
      child.kill(signal);
      await gone;
    },
  };
}

export interface RunningDevice extends Running {
  readonly pid: number;
  /** The process is gone, whoever ended it. */
  readonly ended: boolean;
  /** Resolves once the device has told this (and `matches`, when given). */
  told(event: string, matches?: (facts: Record<string, unknown>) => boolean): Promise<void>;
}

/** Run it with the path of a configuration and `--events`. */
export const deviceProgram = join(dirname(fileURLToPath(import.meta.url)), '../src/runtime/main.js');

/** Starts the device; what it tells is on its standard output, a JSON line each. */
export function startDevice(
  configPath: string,
  nodeOptions: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): RunningDevice {
  const child = spawn(process.execPath, [...nodeOptions, deviceProgram, configPath, '--events'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  const events: Record<string, unknown>[] = [];
  createInterface(child.stdout).on('line', (line) => events.push(JSON.parse(line) as Record<string, unknown>));
  return {
    ...running(child),
    pid: child.pid!,
    get ended() {
      return child.exitCode !== null || child.signalCode !== null;
    },
    told: (name, matches = () => true) =>
      until(`the device tells ${name}`, () => events.some((facts) => facts['event'] === name && matches(facts))),
  };
}

/** Polls until it holds. Throws when that takes longer than `withinMs`. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = PATIENCE_MS,
): Promise<void> {
  for (const began = performance.now(); !(await holds());) {
    if (performance.now() - began > withinMs) throw new Error(`waited ${withinMs / 1000} s in vain until ${what}`);
    await pause(10);
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export interface Mosquitto extends Running {
  readonly url: string;
  readonly port: number;
  /** Starts it (again); it remembers nothing, as it keeps nothing on disk. */
  start(): Promise<void>;
}

/** Debian's broker on a free port of loopback; open to all and without persistence when not told otherwise. Throws where it is not installed. */
export async function createMosquitto(
  dir: string,
  rules: readonly string[] = ['listener', 'allow_anonymous true', 'max_queued_messages 0'],
): Promise<Mosquitto> {
  const program = findProgram('mosquitto');
  if (program === undefined)
    throw new Error('mosquitto is not installed: run scripts/install-system-packages.sh as root');
  const port = await freePort();
  mkdirSync(dir, { recursive: true });
  const config = join(dir, 'mosquitto.conf');
  const here = rules.map((rule) => rule.replace(/^listener.*/, `listener ${port} 127.0.0.1`));
  const lines = [...here, `user ${userInfo().username}`];
  writeFileSync(config, `${lines.join('\n')}\n`);
  let broker: Running | undefined;
  return {
    port,
    url: `mqtt://127.0.0.1:${port}`,
    async start() {
      broker = running(spawn(program, ['-c', config], { stdio: 'ignore' }));
      await until('mosquitto answers', () => reaches(port));
    },
    async kill(signal) {
      await broker?.kill(signal);
      broker = undefined;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const reaches = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    }).once('error', () => resolve(false));
  });
