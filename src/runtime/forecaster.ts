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
  /** Throws what `Session.run` throws; undefined when the model answered with something that is no number. */
  forecast(window: Window): Forecast | undefined;
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

/** What a forecast took, besides what it says. */
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
export async function createForecaster(engine: Engine, choice: Choice, model: Uint8Array): Promise<Forecaster> {
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
    forecast: (window) => run(session, choice.manifest, window),
    close: () => session.close(),
  };
}

/** Runs the model and looks at the clock and the memory. Never throws: a model that fails has said so. */
export function measure(forecaster: Forecaster, window: Window, { monotonicMs, peakBytes }: Meter): Run {
  const peak = peakBytes();
  const began = monotonicMs();
  const spent = () => ({ inferenceMs: monotonicMs() - began, grownBytes: peakBytes() - peak });
  try {
    const forecast = forecaster.forecast(window);
    const failed = forecast === undefined ? 'the model answered with something that is no number' : undefined;
    return { forecast, failed, ...spent() };
  } catch (error) {
    return { forecast: undefined, failed: (error as Error).message, ...spent() }; // counted; the next bucket tries again
  }
}

/** Of the first step of a forecast, as the bundle has it; undefined when it gives none. */
export function firstInterval(forecast: Forecast | undefined, value: number): Interval | undefined {
  if (forecast === undefined || forecast.coverage === null) return undefined;
  return { inside: Math.abs(value - forecast.p50[0]!) <= forecast.halfWidth[0]!, coverage: forecast.coverage };
}

function run(session: Session, manifest: Manifest, window: Window): Forecast | undefined {
  const { inputLength, horizon, quantiles, calibration } = manifest;
  const past = { data: window.past, dims: [1, inputLength, 1] }; // [batch, time, series]
  const mask = { data: window.mask, dims: [1, inputLength, 1] }; // [batch, time, series]
  const output = session.run(session.inputNames.includes('mask') ? { past, mask } : { past })['forecast']!;
  const width = Math.max(1, quantiles.length); // [batch, horizon, quantile]
  if (output.data.length < horizon * width || !output.data.every(Number.isFinite)) return undefined;

  const column = (index: number): Float32Array =>
    Float32Array.from({ length: horizon }, (_, step) => output.data[step * width + index]!);
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
