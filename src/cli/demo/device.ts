/** The demo's device: the same program a Raspberry Pi runs, as a process of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface DeviceEvent {
  readonly event: string;
  readonly [fact: string]: unknown;
}

export interface DeviceProcess {
  readonly pid: number;
  readonly events: readonly DeviceEvent[];
  /** The first event of that name, past or to come; rejects when the device ends before it. */
  first(name: string): Promise<DeviceEvent>;
  /** Milliseconds from the start of the process to its first event of that name. */
  millisecondsTo(name: string): Promise<number>;
  /** Stops it as systemd would, and waits until it is gone. */
  stop(): Promise<void>;
}

const bundled = fileURLToPath(new URL('../../device/nd-device.js', import.meta.url));
/**
 * What a device package sets too. A young generation of 1 MB and one arena for malloc save about 25 MB under load and cost
 * no time that could be measured; the limit of the heap is there for safety.
 */
const flags = ['--max-semi-space-size=1', '--max-old-space-size=64'];
const environment = { MALLOC_ARENA_MAX: '1' };
const patienceMs = 5000;

export function startDevice(configPath: string, program = bundled): DeviceProcess {
  const startedAt = performance.now();
  const child = spawn(process.execPath, [...flags, program, configPath, '--events'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  const events: (DeviceEvent & { readonly at: number })[] = [];
  const waiting = new Set<() => void>();
  let complaints = '';
  createInterface({ input: child.stdout }).on('line', (line) => {
    events.push({ ...(JSON.parse(line) as DeviceEvent), at: performance.now() - startedAt });
    for (const wake of waiting) wake();
  });
  child.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
  child.on('exit', () => {
    for (const wake of waiting) wake();
  });

  const find = async (name: string): Promise<DeviceEvent & { at: number }> => {
    for (;;) {
      const found = events.find(({ event }) => event === name);
      if (found !== undefined) return found;
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`The device ended before "${name}". ${complaints.trim()}`);
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          waiting.delete(wake);
          resolve();
        };
        waiting.add(wake);
      });
    }
  };
  return {
    pid: child.pid!,
    events,
    first: find,
    millisecondsTo: async (name) => (await find(name)).at,
    stop: () => stop(child),
  };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const killer = setTimeout(() => child.kill('SIGKILL'), patienceMs);
  await gone;
  clearTimeout(killer);
}
