/** A device to be broken: a folder with a model in its slot, as an update leaves it, and its configuration. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packBundle } from '../src/bundle/pack.js';
import type { Bundle } from '../src/bundle/pack.js';
import { writeSafetensors } from '../src/contracts/safetensors.js';
import { add, createGraph, toOnnx } from '../src/graph/index.js';
import { openSlots } from '../src/runtime/slots.js';
import { manifestOf } from '../test/runtime/fakes.js';

export const stream = 'boiler';
export const minute = 60_000;
const steps = manifestOf().inputLength;

/** A model that expects the last window again. */
const model = (): Uint8Array => {
  const g = createGraph();
  return toOnnx(g.finish({ forecast: add(g.input('past', ['batch', steps, 1]), 0) }));
};

const ones = { dtype: 'F32' as const, shape: [1, steps, 1], data: new Float32Array(steps).fill(1) };

export function packModel(dir: string, release = 1): Promise<Bundle> {
  const { schema: _s, files: _f, opset: _o, ops: _p, ...manifest } = manifestOf({ release });
  return packBundle({
    dir,
    manifest,
    files: {
      'model.fp32.onnx': { role: 'model', content: model() },
      'golden.safetensors': {
        role: 'golden',
        content: writeSafetensors({ 'c0/in/past': ones, 'c0/out/fp32/forecast': ones }),
      },
      'card.md': { role: 'card', content: 'Expects the last window again.' },
    },
  });
}

/** Puts a model for one stream into a slot of a device's folder. */
export async function installModel(stateDir: string): Promise<void> {
  const slots = openSlots(stateDir);
  const { manifestSha256 } = await packModel(slots.stagingDir(stream));
  slots.install(stream, 'a');
  slots.point(stream, { slot: 'a', release: 1, manifestSha256, streams: [stream], arm: null, previous: null });
}

export const settings = (stateDir: string, url: string, change: object = {}): Record<string, unknown> => ({
  site: 'plant1',
  device: 'pi7',
  state_dir: stateDir,
  clock: 'trusted',
  mqtt: { url },
  http: { port: null },
  streams: { [stream]: { lateness: 0 } },
  ...change,
});

/** Returns the path of the configuration file. */
export function writeSettings(dir: string, content: Record<string, unknown>): string {
  const path = join(dir, 'device.yaml');
  writeFileSync(path, JSON.stringify(content));
  return path;
}

export const prefix = 'neuro-divergent/plant1/pi7';

/** For rows that ask nothing of a disk, which syncs slowly. */
export const memoryFolder = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** A folder that is gone after the work. */
export async function inFolder<T>(work: (dir: string) => T | Promise<T>, under = tmpdir()): Promise<T> {
  const dir = mkdtempSync(join(under, 'nd-faults-'));
  try {
    return await work(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
