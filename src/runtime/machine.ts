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
    diskFreeBytes: () =>
      attempt(() => {
        const { bavail, bsize } = statfsSync(stateDir);
        return bavail * bsize;
      }),
    temperatureC: () => attempt(() => Number(readFileSync(THERMAL_FILE, 'utf8')) / 1000),
    uptimeMs: () => process.uptime() * 1000,
  };
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
