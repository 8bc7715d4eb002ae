/** What the device tells about the machine it runs on. */
import { readFileSync, statfsSync } from 'node:fs';
import { cpus } from 'node:os';
import { version } from '../version.js';
import type { Machine } from './ports.js';

const THERMAL_FILE = '/sys/class/thermal/thermal_zone0/temp';

export function describeMachine(stateDir: string): Machine {
  return {
    arch: process.arch,
    cpu: cpus()[0]?.model ?? 'unknown',
    node: process.versions.node,
    runtime: version,
    rssBytes: () => process.memoryUsage.rss(),
    peakBytes: () => peakBytesOf('self'),
    diskFreeBytes: () =>
      attempt(() => {
        const { bavail, bsize } = statfsSync(stateDir);
        return bavail * bsize;
      }),
    temperatureC: () => attempt(() => Number(readFileSync(THERMAL_FILE, 'utf8')) / 1000),
    uptimeMs: () => process.uptime() * 1000,
  };
}

/** The most memory that a process has had, where the system tells (Linux), else 0. What `getrusage` says is that of its parent too. */
export function peakBytesOf(pid: number | 'self'): number {
  const peak = attempt(() => Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]));
  return 1024 * (peak ?? 0);
}

/** Not every machine tells: null then. */
function attempt(read: () => number): number | null {
  try {
    const value = read();
    return Number.isFinite(value) ? value : null;
  } catch {
    return null;
  }
}
