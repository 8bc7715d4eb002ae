/** A device to be broken: a folder with a model in its slot, as an update leaves it, and its configuration. */
import { existsSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packBundle } from '../src/bundle/pack.js';
import type { Bundle } from '../src/bundle/pack.js';
import { writeSafetensors } from '../src/contracts/safetensors.js';
import { add, createGraph, toOnnx } from '../src/graph/index.js';
import type { GraphBuilder, Tensor } from '../src/graph/index.js';
import { readStored } from '../src/runtime/readings.js';
import type { PastReading } from '../src/runtime/readings.js';
import { openSlots } from '../src/runtime/slots.js';
import { manifestOf } from '../test/runtime/fakes.js';

export const stream = 'boiler';
export const minute = 60_000;
const steps = manifestOf().inputLength;

export interface ModelTraits {
  /** What the graph answers, by name; the last window again when not given. */
  readonly outputs?: (past: Tensor, graph: GraphBuilder) => Readonly<Record<string, Tensor>>;
  /** What golden vectors promise for a window of ones. */
  readonly promised?: Readonly<Record<string, readonly number[]>>;
  readonly p95Ms?: number;
  /** Of the interval, which promises to hold 95 % of what comes. */
  readonly halfWidth?: number;
}

const ones = Array.from({ length: steps }, () => 1);
const tensor = (values: readonly number[]) => ({
  dtype: 'F32' as const,
  shape: [1, values.length, 1],
  data: Float32Array.from(values),
});

export function packModel(
  dir: string,
  release = 1,
  {
    outputs = (past) => ({ forecast: add(past, 0) }),
    promised = { forecast: ones },
    p95Ms = 20,
    halfWidth = 1,
  }: ModelTraits = {},
): Promise<Bundle> {
  const calibration = { method: 'conformal', coverage: 0.95, scores: ones.map(() => halfWidth) } as const;
  const { schema: _s, files: _f, opset: _o, ops: _p, budget, ...manifest } = manifestOf({ release, calibration });
  const g = createGraph();
  const content = toOnnx(g.finish(outputs(g.input('past', ['batch', steps, 1]), g)));
  const golden = Object.entries(promised).map(([name, values]) => [`c0/out/fp32/${name}`, tensor(values)] as const);
  return packBundle({
    dir,
    manifest: { ...manifest, budget: { ...budget, p95Ms } },
    files: {
      'model.fp32.onnx': { role: 'model', content },
      'golden.safetensors': {
        role: 'golden',
        content: writeSafetensors({ 'c0/in/past': tensor(ones), ...Object.fromEntries(golden) }),
      },
      'card.md': { role: 'card', content: 'Expects the last window again.' },
    },
  });
}

/** Puts a model into a slot of a device's folder; it serves each of the streams alone. */
export async function installModel(stateDir: string, streams: readonly string[] = [stream]): Promise<void> {
  const slots = openSlots(stateDir);
  const { manifestSha256 } = await packModel(slots.stagingDir(stream));
  slots.install(stream, 'a');
  slots.point(stream, { slot: 'a', release: 1, manifestSha256, streams, arm: null, previous: null });
}

export const settings = (stateDir: string, url: string, change: object = {}): Record<string, unknown> => ({
  site: 'plant1',
  device: 'pi7',
  state_dir: stateDir,
  clock: 'trusted',
  mqtt: { url },
  http: { port: null },
  streams: { [stream]: { lateness: 0 } },
  // Rows count every alert and every message.
  alerts: { rate_cap: null, flapping: null },
  max_message_rate: 1_000_000,
  ...change,
});

/** Returns the path of the configuration file. */
export function writeSettings(dir: string, content: Record<string, unknown>): string {
  const path = join(dir, 'device.yaml');
  writeFileSync(path, JSON.stringify(content));
  return path;
}

/** What is on the disk of a device that may be running, late readings too. */
export function storedReadings(database: string, name: string): PastReading[] {
  const stored = readStored(database);
  try {
    return stored.readings(name, 0, true);
  } finally {
    stored.close();
  }
}

export function newestStored(database: string, name: string): PastReading | undefined {
  const stored = readStored(database);
  try {
    return stored.newest(name, 1)[0];
  } finally {
    stored.close();
  }
}

export const prefix = 'neuro-divergent/plant1/pi7';

/** For rows that ask nothing of a disk, which syncs slowly. */
export const memoryFolder = hasRoom('/dev/shm') ? '/dev/shm' : tmpdir();

function hasRoom(folder: string): boolean {
  if (!existsSync(folder)) return false;
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize > 1e9;
}

/** A folder that is gone after the work. */
export async function inFolder<T>(work: (dir: string) => T | Promise<T>, under = tmpdir()): Promise<T> {
  const dir = mkdtempSync(join(under, 'nd-faults-'));
  try {
    return await work(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
