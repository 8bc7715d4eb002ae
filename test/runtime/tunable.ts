/** A device with a model that was packed with `--tunable`, and readings that it has stored: small, and quick to train. */
import { cpSync, mkdirSync, readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { makeBundle } from '../../src/cli/make-bundle.js';
import { tuningFiles } from '../../src/cli/tuning-files.js';
import { parseConfig } from '../../src/contracts/config.js';
import type { DeviceConfig } from '../../src/contracts/config.js';
import { createOrtEngine } from '../../src/engine/ort.js';
import { createRandom } from '../../src/engine/random.js';
import { exportOnnx } from '../../src/forecaster/compile.js';
import type { TrainedModel } from '../../src/forecaster/forecaster.js';
import { createSystemClock } from '../../src/runtime/clock.js';
import { openSlots } from '../../src/runtime/slots.js';
import type { Pointer } from '../../src/runtime/slots.js';
import { openStore } from '../../src/runtime/store.js';
import { trainSettings } from '../../src/train/defaults.js';
import { planTraining, startingValues } from '../../src/train/plan.js';
import { specOf } from '../train/example.js';

export const minute = 60_000;
export const task = { inputLength: 8, horizon: 6 };
/** Dropout, so that random draws are part of what must be equal. */
export const spec = specOf('nhits', {
  ...task,
  blocks: [1, 1],
  pool: [2, 1],
  downsample: [2, 1],
  hidden: [16, 16],
  dropout: 0.2,
});

/** A model that has learned nothing yet: whatever it is trained on, it gets better. */
export function freshModel({ learningRate = 0.1, seed = 1 } = {}): TrainedModel {
  const settings = trainSettings('nhits', { learningRate, schedule: 'none', windowsBatchSize: 16, seed, threads: 1 });
  const plan = planTraining(spec, { batch: 1, seed });
  const values = startingValues(plan);
  return { name: 'nhits', spec, settings, values, lossConfig: { name: 'mae' }, history: [], steps: 0, bestStep: 0, errors: undefined }; // prettier-ignore
}

/** A bundle in `dir`. Returns the hash of its manifest. */
export async function tunableBundle(
  dir: string,
  {
    release = 1,
    tunable = true,
    model = freshModel(),
  }: { release?: number; tunable?: boolean; model?: TrainedModel } = {},
): Promise<string> {
  const { inputLength, horizon } = task;
  const past = { data: Float32Array.from({ length: inputLength }, (_, i) => i), dims: [1, inputLength, 1] };
  const mask = { data: new Float32Array(inputLength).fill(1), dims: [1, inputLength, 1] };
  const bundle = await makeBundle(
    {
      dir,
      line: 'boiler',
      release,
      model: 'nhits',
      models: { fp32: exportOnnx(model) },
      inputLength,
      horizon,
      quantiles: [],
      unit: '°C',
      cadenceMs: minute,
      golden: [{ past, mask }],
      calibration: { coverage: 0.9, halfWidths: Array.from({ length: horizon }, () => 1) },
      metrics: { dataset: 'none', mae: 1, coverage: null },
      createdMs: 0,
      ...(tunable && { tuning: tuningFiles(model) }),
    },
    createOrtEngine(),
  );
  return bundle.manifestSha256;
}

/** Puts a bundle into slot a, as an update would have. */
export function installBundle(stateDir: string, bundleDir: string, streams: readonly string[] = ['boiler']): Pointer {
  const slots = openSlots(stateDir);
  mkdirSync(join(stateDir, 'staging'), { recursive: true });
  cpSync(bundleDir, slots.stagingDir('boiler'), { recursive: true });
  slots.install('boiler', 'a');
  const bytes = readFileSync(join(slots.dir('boiler', 'a'), 'manifest.json'));
  const { release } = JSON.parse(bytes.toString()) as { release: number };
  const manifestSha256 = createHash('sha256').update(bytes).digest('hex');
  const pointer: Pointer = { slot: 'a', release, manifestSha256, streams, arm: null, previous: null };
  slots.point('boiler', pointer);
  return pointer;
}

/** A noisy wave, in the times of the last `count` minutes; a short gap every 40 steps and a long one in the middle. */
export function wave(count: number, level = 20): { timeMs: number; value: number }[] {
  const noise = createRandom(level, 'wave');
  const startMs = Math.floor(Date.UTC(2026, 0, 2) / minute) * minute;
  return Array.from({ length: count }, (_, i) => ({
    timeMs: startMs + (i < count / 2 ? i : i + 30) * minute,
    value: level + 3 * Math.sin(i / 3) + 0.2 * noise(),
  })).filter((_, i) => i % 40 !== 7);
}

export function storeReadings(
  stateDir: string,
  stream: string,
  readings: readonly { timeMs: number; value: number }[],
): void {
  const store = openStore({ path: join(stateDir, 'device.db'), clock: createSystemClock('trusted') });
  store.append(readings.map(({ timeMs, value }) => ({ stream, timeMs, value, flags: 0 })));
  store.close();
}

export const configOf = (stateDir: string, change: object = {}): DeviceConfig =>
  parseConfig(
    {
      site: 'plant1',
      device: 'pi7',
      state_dir: stateDir,
      clock: 'trusted',
      mqtt: { url: 'mqtt://127.0.0.1:1' },
      streams: { boiler: { lateness: 0 }, kettle: { lateness: 0 } },
      ...change,
    },
    'test',
  );
