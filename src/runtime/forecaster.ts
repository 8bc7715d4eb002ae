/** Runs the active model on a window: sensor units in, sensor units out, never a NaN. */
import type { Engine, Session } from '../engine/port.js';
import { NeuroDivergentError } from '../errors.js';
import type { Manifest } from '../contracts/manifest.js';
import type { Provider } from '../contracts/provider.js';
import type { Window } from './series.js';

/** What a machine can run: its processor's name in Node, and what computes there, in order of preference. */
export interface Able {
  readonly arch: string;
  readonly providers: readonly Provider[];
}

/** A bundle's manifest, and the provider, precision and file that this machine runs. */
export interface Choice {
  readonly manifest: Manifest;
  readonly provider: Provider;
  readonly precision: Manifest['targets'][number]['precision'];
  readonly modelFile: string;
}

export interface Forecaster extends Choice {
  /**
   * Takes a window. Its run is made when it is first asked for, together with all that were taken by then; it never throws: a
   * model that fails has said so.
   */
  readonly forecast: (window: Window) => () => Run;
  close(): void;
}

export interface Forecast {
  /** Start of the first forecast bucket. */
  readonly startMs: number;
  /** Sensor units: [horizon]. */
  readonly p50: Float32Array;
  /** Half of the interval at `coverage`, as calibrated at the workstation: [horizon]. */
  readonly halfWidth: Float32Array;
  /** Null when the bundle brings no interval; half-widths are 1 then. */
  readonly coverage: number | null;
  readonly imputed: number;
  /** Share of the window in which a value held. */
  readonly held?: number;
}

/** What a forecast took, besides what it says. Of a run that streams share, each has its part of the time, and the first the memory. */
export interface Run {
  /** Undefined when the model failed. */
  readonly forecast: Forecast | undefined;
  readonly failed: string | undefined;
  readonly inferenceMs: number;
  /** By so much the most memory that the process ever had has risen meanwhile. */
  readonly grownBytes: number;
}

export interface Meter {
  readonly monotonicMs: () => number;
  /** The most memory that the process ever had. */
  readonly peakBytes: () => number;
}

const unmeasured: Meter = { monotonicMs: () => 0, peakBytes: () => 0 };

/** Did an interval hold the value, and what share should such intervals hold? */
export interface Interval {
  readonly inside: boolean;
  readonly coverage: number;
}

/** The first target of the bundle for the best provider of this machine; undefined when there is none. */
export function chooseTarget(manifest: Manifest, { arch, providers }: Able): Choice | undefined {
  for (const provider of providers) {
    const wanted = provider === 'tensorrt' ? ['tensorrt', 'cuda'] : [provider]; // it runs the same files
    for (const target of manifest.targets) {
      if (!(target.arch as readonly string[]).includes(arch) || !wanted.includes(target.provider)) continue;
      const modelFile = manifest.files.find(({ path, role }) => role === 'model' && target.files.includes(path))?.path;
      if (modelFile !== undefined) return { manifest, provider, precision: target.precision, modelFile };
    }
  }
  return undefined;
}

/** Loads a model from its bytes. Throws what `Engine.load` throws, and `ND_ENGINE_FAILED` when the graph's inputs are none we can feed. */
export async function createForecaster(
  engine: Engine,
  choice: Choice,
  model: Uint8Array,
  meter: Meter = unmeasured,
): Promise<Forecaster> {
  const session = await engine.load(model, { threads: 1, provider: choice.provider });
  const unknown = session.inputNames.filter((name) => name !== 'past' && name !== 'mask');
  if (unknown.length > 0 || !session.inputNames.includes('past') || !session.outputNames.includes('forecast')) {
    session.close();
    throw new NeuroDivergentError('ND_ENGINE_FAILED', {
      where: choice.modelFile,
      what: `The graph has inputs [${session.inputNames.join(', ')}] and outputs [${session.outputNames.join(', ')}].`,
      mend: 'This runtime feeds `past` and, if it is there, `mask`, and reads `forecast`.',
    });
  }
  return {
    ...choice,
    forecast: inBatches((windows) => forecastAll(session, choice.manifest, windows), mostAtOnce(choice), meter),
    close: () => session.close(),
  };
}

/** More gain little, and convolutions and recurrent layers lose what they have in the processor's cache. */
const MOST_AT_ONCE = 8;

/** A bundle whose forecasts would depend on each other says that it has one at a time; TensorRT builds a model anew for another shape. */
const mostAtOnce = ({ manifest: { outputs }, provider }: Choice): number =>
  outputs[0]?.shape[0] === 'batch' && provider !== 'tensorrt' ? MOST_AT_ONCE : 1;

type ForecastAll = (windows: readonly Window[]) => readonly (Forecast | undefined)[];

/** Streams that are due at the same moment share a run. One that makes the model fail costs the others a run of their own, no more. */
function inBatches(all: ForecastAll, most: number, { monotonicMs, peakBytes }: Meter): Forecaster['forecast'] {
  interface Due {
    readonly window: Window;
    run?: Run;
  }
  let waiting: Due[] = [];

  function work(due: readonly Due[]): void {
    const peak = peakBytes();
    const began = monotonicMs();
    let forecasts: ReturnType<ForecastAll> = [];
    let failed = 'the model answered with something that is no number';
    try {
      forecasts = all(due.map(({ window }) => window));
    } catch (error) {
      if (due.length > 1) return due.forEach((one) => work([one]));
      failed = (error as Error).message; // counted; the next bucket tries again
    }
    const inferenceMs = (monotonicMs() - began) / due.length;
    const grownBytes = peakBytes() - peak;
    for (const [i, one] of due.entries()) {
      const taken = { inferenceMs, grownBytes: i === 0 ? grownBytes : 0 };
      const forecast = forecasts[i];
      one.run = { forecast, failed: forecast === undefined ? failed : undefined, ...taken };
    }
  }

  return (window) => {
    const due: Due = { window };
    waiting.push(due);
    return () => {
      if (due.run === undefined) {
        const taken = waiting;
        waiting = [];
        for (let from = 0; from < taken.length; from += most) work(taken.slice(from, from + most));
      }
      return due.run!;
    };
  };
}

/** Of the first step of a forecast, as the bundle has it; undefined when it gives none. */
export function firstInterval(forecast: Forecast | undefined, value: number): Interval | undefined {
  if (forecast === undefined || forecast.coverage === null) return undefined;
  return { inside: Math.abs(value - forecast.p50[0]!) <= forecast.halfWidth[0]!, coverage: forecast.coverage };
}

/** In the order of the windows; undefined for what is no number. Throws what `Session.run` throws. */
function forecastAll(session: Session, manifest: Manifest, windows: readonly Window[]): ReturnType<ForecastAll> {
  const { inputLength, horizon, quantiles } = manifest;
  const dims = [windows.length, inputLength, 1]; // [batch, time, series]
  const past = { data: sideBySide(windows.map((window) => window.past)), dims };
  const mask = { data: sideBySide(windows.map((window) => window.mask)), dims };
  const { data } = session.run(session.inputNames.includes('mask') ? { past, mask } : { past })['forecast']!;
  const width = horizon * Math.max(1, quantiles.length); // [batch, horizon, quantile]
  return windows.map((window, i) => {
    const own = data.subarray(i * width, (i + 1) * width);
    return own.length === width && own.every(Number.isFinite) ? forecastOf(manifest, window, own) : undefined;
  });
}

function sideBySide(rows: readonly Float32Array[]): Float32Array {
  const [first] = rows as [Float32Array];
  if (rows.length === 1) return first;
  const all = new Float32Array(rows.length * first.length);
  for (const [i, row] of rows.entries()) all.set(row, i * first.length);
  return all;
}

/** `output [horizon, quantile]` */
function forecastOf({ horizon, quantiles, calibration }: Manifest, window: Window, output: Float32Array): Forecast {
  const width = Math.max(1, quantiles.length);
  const column = (index: number): Float32Array =>
    Float32Array.from({ length: horizon }, (_, step) => output[step * width + index]!);
  const p50 = column(Math.max(0, quantiles.indexOf(0.5)));
  const base = { startMs: window.nextMs, p50, imputed: window.imputed, ...(window.held && { held: window.held }) };
  if (calibration !== null && calibration.method === 'conformal' && calibration.scores.length === horizon) {
    return { ...base, halfWidth: Float32Array.from(calibration.scores, positive), coverage: calibration.coverage };
  }
  if (width === 1) return { ...base, halfWidth: new Float32Array(horizon).fill(1), coverage: null };
  const lowest = Math.min(...quantiles);
  const highest = Math.max(...quantiles);
  const low = column(quantiles.indexOf(lowest));
  const high = column(quantiles.indexOf(highest));
  return {
    ...base,
    halfWidth: Float32Array.from(high, (hi, step) => positive((hi - low[step]!) / 2)),
    coverage: highest - lowest,
  };
}

/** A width of zero (a constant series) would make every other value infinitely unusual. */
const positive = (width: number): number => Math.max(Math.abs(width), 1e-6);
