/** The bundled device as a process: memory, time for a reading, cold start. Broker, repository and sensor are this process. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createCleanup } from '../src/cli/demo/cleanup.js';
import { startDevice } from '../src/cli/demo/device.js';
import type { DeviceProcess } from '../src/cli/demo/device.js';
import { device, pushModel, raiseFleet } from '../src/cli/demo/fleet.js';
import { joinWorld, replay } from '../src/cli/demo/replay.js';
import { makeBundle } from '../src/cli/make-bundle.js';
import { createOrtEngine } from '../src/engine/ort.js';
import { shippedGraph } from '../src/forecaster/compile.js';
import { mae } from '../src/losses/index.js';
import { findModel } from '../src/models/index.js';
import { quantize } from '../src/quantize/index.js';
import { planTraining, startingValues } from '../src/train/plan.js';
import { minimum, percentile } from './statistics.js';

export const inputLength = 96;
const horizon = 24;
const cadenceMs = 60_000;
const stream = 'boiler';
export const scenario = { title: 'bench', csv: '', stream, unit: '°C', cadenceMs, inputLength, horizon, windows: [] };
const windowCount = 64;
const patienceMs = 300_000;

export interface DeviceRow {
  readonly what: string;
  readonly unit: 'ms' | 'MB' | '%';
  readonly value: number;
  readonly target: number | null;
}

/** `starts` cold starts, after a burst of `readings`. Needs `npm run build` before. */
export async function benchDevice({
  starts = 10,
  readings = 5000,
  program = resolve('dist/device/nd-device.js'),
} = {}): Promise<{ rows: DeviceRow[] }> {
  const cleanup = createCleanup();
  const dir = mkdtempSync(join(tmpdir(), 'nd-bench-'));
  cleanup.add(() => rmSync(dir, { recursive: true, force: true }));
  const launch = (configPath: string): DeviceProcess => {
    const started = startDevice(configPath, program);
    cleanup.add(() => started.stop());
    return started;
  };
  try {
    const fleet = await raiseFleet(dir, await packUntrained(join(dir, 'bundle')), scenario, cleanup);
    const world = await joinWorld(fleet.brokerUrl, device, new AbortController().signal);
    cleanup.add(() => world.close());

    const running = launch(fleet.configPath);
    await running.first('running');
    await pushModel(world.link, fleet, stream, Date.now());
    await running.first('model-active');
    const idle = memoryOf(running.pid);

    const startMs = Math.floor(Date.now() / cadenceMs - readings) * cadenceMs;
    const series = {
      time: Array.from({ length: readings }, (_, i) => startMs + i * cadenceMs),
      value: Array.from({ length: readings }, (_, i) => valueAt(i)),
    };
    const cpuBefore = cpuMsOf(running.pid);
    const began = performance.now();
    const quiet = { signal: new AbortController().signal, onProgress: () => undefined };
    await replay(world, device, stream, series, quiet);
    const newest = (): number => world.heard.forecasts.at(-1)?.start ?? 0;
    await world.until(() => newest() > startMs + (readings - 4) * cadenceMs, 'the last forecast', patienceMs);
    const elapsedMs = performance.now() - began;
    const cpuMs = cpuMsOf(running.pid) - cpuBefore;
    const after = memoryOf(running.pid);
    await running.stop();

    const coldMs: number[] = [];
    for (let i = 0; i < starts; i++) {
      const again = launch(fleet.configPath);
      coldMs.push(await again.millisecondsTo('first-forecast'));
      await again.stop();
    }
    const row = (what: string, unit: DeviceRow['unit'], value: number, target: number | null = null): DeviceRow => ({
      what,
      unit,
      value: Number(value.toFixed(2)),
      target,
    });
    return {
      rows: [
        row('cold start to first forecast, minimum', 'ms', minimum(coldMs)),
        row('cold start to first forecast, median', 'ms', percentile(coldMs, 0.5), 300),
        row('memory, model active', 'MB', idle.rssMb),
        row(`memory after ${readings} readings`, 'MB', after.rssMb, 115),
        row('memory after, anonymous part', 'MB', after.anonymousMb),
        row('memory, peak', 'MB', after.peakMb),
        row('CPU for a reading', 'ms', cpuMs / readings, 1),
        row('time for a reading, broker and sensor on the same machine', 'ms', elapsedMs / readings),
      ],
    };
  } finally {
    await cleanup.run();
  }
}

/** N-HiTS in INT8, as the demo ships it, with random weights: it costs what a trained one costs. Returns the folder of its bundle. */
export async function packUntrained(dir: string, cadence = cadenceMs): Promise<string> {
  const model = findModel('nhits');
  const loss = mae();
  const spec = { model, hyperparameters: model.parse({ inputLength, horizon }), loss, scaler: 'standard' } as const;
  const values = startingValues(planTraining(spec, { batch: 1, seed: 1 }));
  const engine = createOrtEngine();
  const windows = {
    past: Float32Array.from({ length: windowCount * inputLength }, (_, i) => valueAt(i)),
    mask: new Float32Array(windowCount * inputLength).fill(1),
    target: Float32Array.from({ length: windowCount * horizon }, (_, i) => valueAt(i)),
  };
  const { model: int8 } = await quantize({
    graph: shippedGraph({ spec, values }),
    to: 'int8',
    engine,
    calibration: windows,
    validation: windows,
    family: model.capabilities.quantization,
    point: loss.point,
    maxLoss: Infinity,
  });
  const first = (values: Float32Array) => ({ data: values.subarray(0, inputLength), dims: [1, inputLength, 1] });
  const parts = {
    dir,
    line: stream,
    release: 1,
    model: model.id,
    models: { int8 },
    inputLength,
    horizon,
    quantiles: [],
    unit: scenario.unit,
    cadenceMs: cadence,
    golden: [{ past: first(windows.past), mask: first(windows.mask) }],
    calibration: { coverage: 0.9, halfWidths: new Array<number>(horizon).fill(2) },
    metrics: { dataset: 'none', mae: 0, coverage: null },
    createdMs: Date.now(),
  };
  return (await makeBundle(parts, engine)).dir;
}

/** A daily wave and something that looks like noise. */
export const valueAt = (i: number): number => 20 + 5 * Math.sin((i * Math.PI) / 48) + Math.sin(i * 7919);

/** What Linux says of a process. */
export function memoryOf(pid: number): { rssMb: number; anonymousMb: number; peakMb: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const megabytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024;
  return { rssMb: megabytes('VmRSS'), anonymousMb: megabytes('RssAnon'), peakMb: megabytes('VmHWM') };
}

/** User and system time of all threads; Linux counts in hundredths of a second. */
export function cpuMsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
