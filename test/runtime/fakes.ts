/** Small fakes for the ports of a device: a clock that is turned by hand, an engine that computes in TypeScript, a machine. */
import type { Clock } from '../../src/runtime/clock.js';
import type { Machine, Ports } from '../../src/runtime/ports.js';
import type { UpdaterOptions } from '../../src/runtime/update.js';
import type { Engine, FloatTensor } from '../../src/engine/port.js';
import type { Manifest } from '../../src/contracts/manifest.js';

export interface FakeClock extends Clock {
  /** Moves wall and monotonic time, and wakes who slept until then. */
  advance(ms: number): Promise<void>;
  isSynced: boolean;
}

export function fakeClock(startMs = Date.UTC(2026, 0, 1)): FakeClock {
  let elapsed = 0;
  const sleepers = new Set<{ until: number; wake: () => void }>();
  const clock: FakeClock = {
    isSynced: true,
    now: () => startMs + elapsed,
    monotonicMs: () => elapsed,
    bootId: 'boot',
    steps: 0,
    synced: () => clock.isSynced,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve();
        const wake = (): void => {
          sleepers.delete(sleeper);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        const sleeper = { until: elapsed + ms, wake };
        sleepers.add(sleeper);
        signal.addEventListener('abort', wake);
      }),
    async advance(ms) {
      elapsed += ms;
      for (const sleeper of [...sleepers]) {
        if (sleeper.until <= elapsed) sleeper.wake();
      }
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
  return clock;
}

/** Repeats the last value of the window; `answer` may replace what comes out. */
export function naiveEngine(
  horizon: number,
  answer: (forecast: Float32Array) => Float32Array = (forecast) => forecast,
): Engine {
  return {
    name: 'fake',
    load: async () => ({
      inputNames: ['past', 'mask'],
      outputNames: ['forecast'],
      run: ({ past }: Readonly<Record<string, FloatTensor>>) => {
        const [batch, time] = past!.dims as [number, number];
        const rows = Array.from({ length: batch }, (_, i) =>
          answer(new Float32Array(horizon).fill(past!.data[(i + 1) * time - 1]!)),
        );
        return {
          forecast: { data: Float32Array.from(rows.flatMap((row) => [...row])), dims: [batch, horizon, 1] },
        };
      },
      close: () => undefined,
    }),
  };
}

export const fakeMachine: Machine = {
  arch: 'x64',
  cpu: 'test',
  node: '20',
  runtime: '0.1.0',
  rssBytes: () => 64 * 1024 * 1024,
  peakBytes: () => 0,
  diskFreeBytes: () => null,
  temperatureC: () => null,
  uptimeMs: () => 123,
};

const absent = (what: string) => () => Promise.reject(new Error(`there is no ${what}`));

/** Ports that most tests of a device never use. */
export const idlePorts = {
  openRepository: absent('repository'),
  openUpdateFile: absent('update file'),
  selfTest: absent('candidate'),
  tune: absent('schedule'),
  supervisor: { aliveEveryMs: undefined, say: () => undefined },
  setLogLevel: () => undefined,
  reload: absent('file'),
} satisfies Partial<Ports>;

/** An updater of a device that installs at once and has no shadow. */
export const plainUpdater = {
  site: 'plant1',
  device: 'pi7',
  runtimeVersion: '0.1.0',
  able: { arch: 'x64', providers: ['cpu'] },
  asks: false,
  safe: false,
  shadows: { start: () => Promise.resolve(), end: () => undefined },
  report: () => undefined,
} satisfies Partial<UpdaterOptions>;

export function manifestOf(change: Partial<Manifest> = {}): Manifest {
  return {
    schema: 1,
    name: 'boiler-naive',
    line: 'boiler',
    release: 1,
    version: '1.0.0',
    created: 0,
    minRuntime: '0.1.0',
    targets: [
      { arch: ['x64', 'arm64'], provider: 'cpu', precision: 'fp32', files: ['model.fp32.onnx', 'golden.safetensors'] },
    ],
    files: [{ path: 'model.fp32.onnx', role: 'model', sha256: '0'.repeat(64), length: 1 }],
    inputs: [{ role: 'target', kind: 'target', unit: '°C', cadenceMs: 60_000, agg: 'mean', impute: 'linear' }],
    inputLength: 4,
    horizon: 4,
    outputs: [{ name: 'forecast', shape: ['batch', 4, 1] }],
    quantiles: [],
    calibration: { method: 'conformal', coverage: 0.9, scores: [1, 1, 1, 1] },
    thresholds: { anomalyP: 0.001 },
    golden: { cases: 1, tolerance: { fp32: 1e-5 } },
    budget: { p95Ms: 20, rssMb: 115 },
    opset: 21,
    ops: [],
    metrics: { dataset: '', mae: 0, coverage: null },
    parent: null,
    notes: '',
    ...change,
  };
}
