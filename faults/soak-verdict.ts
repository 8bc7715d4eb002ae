/** What a soak found out, and whether it is as it must be. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import mqtt from 'mqtt';
import { minute, prefix, storedReadings } from './device.js';
import type { Ledger } from './ledger.js';
import { pause } from './process.js';
import type { RunningDevice } from './process.js';
import { floorOf, robustSlope } from './slope.js';

export interface SoakReport {
  readonly seconds: number;
  /** Readings that the device owed, and alerts that it raised. */
  readonly readings: number;
  readonly alerts: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly lost: number;
  readonly doubled: number;
  /** Open files and sockets of the device, at rest: early in its first life, and at the end. */
  readonly handles: { readonly first: number; readonly last: number };
  /** Of the memory of the longest life, with its 95 % interval; null where there were too few minutes. */
  readonly slopeMbPerHour: number | null;
  readonly slopeInterval: readonly [low: number, high: number] | null;
  readonly memory: 'flat' | 'growing' | 'too short to judge';
  /** Everything else that was not as it must be. */
  readonly findings: readonly string[];
  readonly pass: boolean;
  readonly seed: number;
}

/** The device is looked at so often. */
export const SAMPLE_MS = 5000;
const MOST_WARM_UP_MS = 600_000;
const JUDGED_FROM_MS = 1_800_000;
const MOST_MB_PER_HOUR = 1;
const MORE_HANDLES = 2;
export const HOUR_MS = 3_600_000;

/** A process of the device, and what was seen of it. */
export interface Life {
  readonly device: RunningDevice;
  readonly bornMs: number;
  readonly samples: { rssMb: number; handles: number; ageMs: number; atRest: boolean }[];
}

export const seconds = (ms: number): number => Math.round(ms / 1000);

export function look(pid: number): { rssMb: number; handles: number } {
  const rss = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return { rssMb: Number(rss?.[1] ?? 0) / 1024, handles: readdirSync(`/proc/${pid}/fd`).length };
}

/** What it holds when it has been online for a while and nothing is done to it. */
export const restingHandles = (lives: readonly Life[]): number[] =>
  lives.flatMap(({ samples }) => samples.filter(({ atRest, ageMs }) => atRest && ageMs > 2 * SAMPLE_MS).map(({ handles }) => handles)); // prettier-ignore

/** What is on disk against what is owed. All its readings come from `storedReadings`. */
export function compare(ledger: Ledger, stateDir: string): { lost: number; doubled: number; readings: number } {
  let [lost, doubled, readings] = [0, 0, 0];
  for (const [name, owed] of ledger.owed) {
    const rows = storedReadings(join(stateDir, 'device.db'), name).map(({ timeMs }) => timeMs);
    const stored = new Set(rows);
    doubled += rows.length - stored.size;
    readings += owed.size;
    for (const timeMs of owed.keys()) if (!stored.has(timeMs)) lost++;
  }
  return { lost, doubled, readings };
}

/** The broker shows every alert that the device holds for open, and no other as open; and there is one for a key at most. */
export async function compareAlerts(url: string, stateDir: string): Promise<{ alerts: number; differing: string[] }> {
  const sql = new Database(join(stateDir, 'device.db'), { readonly: true });
  const rows = sql.prepare<[], { id: string; key: string; seq: number }>("SELECT id, key, seq FROM alert WHERE state = 'firing'").all(); // prettier-ignore
  const alerts = sql.prepare<[], { n: number }>('SELECT count(*) AS n FROM alert').get()!.n;
  sql.close();
  const shown = new Map<string, { id: string; key: string; seq: number; state: string }>();
  const console = await mqtt.connectAsync(url, { protocolVersion: 5 });
  console.on('message', (_, payload) => {
    const alert = JSON.parse(payload.toString()) as { id: string; key: string; seq: number; state: string };
    shown.set(alert.key, alert);
  });
  await console.subscribeAsync(`${prefix}/alert/#`, { qos: 1 });
  await pause(1000);
  await console.endAsync(true);

  const known = new Map(rows.map((row) => [row.key, row]));
  const differing = [
    ...(known.size < rows.length
      ? [`${rows.length - known.size} alerts are open beside another one of their key`]
      : []),
    ...rows.filter(({ key, id, seq }) => shown.get(key)?.id !== id || shown.get(key)?.seq !== seq).map(({ key }) => `the open alert ${key} is not what the broker shows`), // prettier-ignore
    ...[...shown.values()].filter(({ key, state }) => state === 'firing' && !known.has(key)).map(({ key }) => `the broker shows ${key} as open, and it is not`), // prettier-ignore
  ];
  return { alerts, differing };
}

/** By the least memory of each minute of the longest life, without its beginning. */
export function judgeMemory(
  lives: readonly Life[],
  durationMs: number,
): Pick<SoakReport, 'memory' | 'slopeMbPerHour' | 'slopeInterval'> {
  const ageOf = ({ samples }: Life): number => samples.at(-1)?.ageMs ?? 0;
  const longest = lives.reduce((best, life) => (ageOf(life) > ageOf(best) ? life : best));
  const warm = longest.samples.filter(({ ageMs }) => ageMs > Math.min(MOST_WARM_UP_MS, ageOf(longest) / 3));
  const floor = floorOf(
    warm.map(({ ageMs, rssMb }) => [ageMs / HOUR_MS, rssMb]),
    minute / HOUR_MS,
  );
  const { slope, low, high } = robustSlope(floor);
  if (floor.length < 3) return { memory: 'too short to judge', slopeMbPerHour: null, slopeInterval: null };
  const judged = durationMs >= JUDGED_FROM_MS && (low > MOST_MB_PER_HOUR || high < MOST_MB_PER_HOUR);
  return {
    memory: !judged ? 'too short to judge' : low > MOST_MB_PER_HOUR ? 'growing' : 'flat',
    slopeMbPerHour: round(slope),
    slopeInterval: [round(low), round(high)],
  };
}

export const passed = ({ lost, doubled, handles, memory, findings }: Omit<SoakReport, 'pass'>): boolean =>
  lost === 0 &&
  doubled === 0 &&
  handles.last <= handles.first + MORE_HANDLES &&
  memory !== 'growing' &&
  findings.length === 0;

const round = (value: number): number => Math.round(value * 100) / 100;

export function summary(report: SoakReport): string {
  const { seconds, readings, alerts, faults, lost, doubled, handles, slopeMbPerHour, slopeInterval, memory, findings, pass } = report; // prettier-ignore
  const growth =
    slopeMbPerHour === null ? memory : `${memory}, ${slopeMbPerHour} MB an hour (${slopeInterval!.join(' to ')})`;
  return [
    `${seconds} s, ${readings} readings: ${lost} lost, ${doubled} stored twice; ${alerts} alerts; handles ${handles.first} then ${handles.last}; memory ${growth}`,
    Object.entries(faults)
      .map(([name, count]) => `${name} ${count}`)
      .join(', '),
    ...findings,
    pass ? 'passed' : 'failed',
  ].join('\n');
}
