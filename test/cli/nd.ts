/** The built `nd` as a process, as a user runs it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { resolve } from 'node:path';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const main = resolve('dist/cli/main.js');
export const example = resolve('examples/data/ambient_temperature_system_failure.csv');

/** Runs in `cwd`; `watch` is handed the process while it runs. */
export async function nd(
  args: readonly string[],
  { cwd, input = '', watch }: { cwd: string; input?: string; watch?: (child: ChildProcess) => void },
): Promise<Ended> {
  const child = spawn(process.execPath, [main, ...args], { cwd });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdin.on('error', () => undefined); // a command that reads no input may have ended
  child.stdin.end(input);
  watch?.(child);
  const code = await new Promise<number | null>((ended) => child.once('close', ended));
  return { code, stdout, stderr };
}

/** The one JSON object on stdout. */
export const jsonOf = ({ stdout }: Ended): Record<string, unknown> => JSON.parse(stdout) as Record<string, unknown>;
