/** A lane and its traces in the database: what was watched, what was learned, and the readings to begin from. */
import type { DeviceConfig } from '../contracts/config.js';
import type { Watch } from './anomaly.js';
import type { Forecaster } from './forecaster.js';
import type { IngestStream } from './ingest.js';
import { createLane } from './lane.js';
import type { Lane } from './lane.js';
import type { PastReading } from './readings.js';
import { seriesSettings } from './series.js';
import type { Store } from './store.js';
import type { Active } from './update.js';

export interface Binding {
  readonly config: DeviceConfig;
  readonly store: Store;
  readonly monotonicMs: () => number;
  readonly active: Active;
  readonly forecaster: Forecaster;
  readonly stream: IngestStream;
  readonly newId: () => string;
}

export interface BoundLane {
  readonly lane: Lane;
  /** In the order they were stored. */
  readonly readings: readonly PastReading[];
  /** The same model has served this stream before: its rings and its open alert are continued. */
  readonly continued: boolean;
}

/** One JSON value per stream; it names the model, so that another one begins afresh. */
interface StoredWatch {
  readonly model: string;
  readonly closedUntilMs: number;
  readonly watch: Watch;
}

/** SPOT's q: the chance of a false alarm per bucket that is accepted. */
const POT_RISK = 1e-4;

/** Puts a model on a stream, and continues where the same pair stopped. */
export function bindLane({ config, store, monotonicMs, active, forecaster, stream, newId }: Binding): BoundLane {
  const { manifest, pointer } = active;
  const { alerts } = config;
  const input = manifest.inputs[0]!;
  const series = seriesSettings(manifest, stream.settings);
  const model = `${manifest.name}@${pointer.release}`;
  const known = readWatch(store, stream.name);
  const stored = known?.model === model ? known : undefined;
  const lane = createLane(
    {
      active,
      forecaster,
      monotonicMs,
      series,
      calibration: {
        ringSize: alerts.ringSize,
        ringMinimum: alerts.ringMinimum,
        gamma: alerts.gamma,
        coverage: manifest.calibration?.coverage ?? 0.9,
        method: alerts.method,
      },
      rules: {
        ...alerts,
        threshold: alerts.threshold ?? (alerts.method === 'pot' ? POT_RISK : manifest.thresholds.anomalyP),
        // Forecasts made during an alert have seen it, and go on judging for one horizon.
        cooldownMs: Math.max(alerts.cooldownMs, manifest.horizon * input.cadenceMs),
      },
      subject: {
        key: `${config.device}/${stream.name}/anomaly`,
        stream: stream.name,
        detector: alerts.method,
        model,
        newId,
      },
      unit: stream.settings.unit ?? input.unit,
    },
    stored && { ...stored, rings: store.get(`calibration/${stream.name}`) },
  );
  const spanSteps =
    manifest.inputLength +
    manifest.horizon +
    2 * (alerts.openWindow + stream.settings.maxGap) +
    series.latenessMs / input.cadenceMs;
  const sinceMs =
    stored === undefined
      ? 0
      : stored.closedUntilMs -
        Math.max(spanSteps, input.impute === 'seasonal' ? 2 * spanSteps : 0) * input.cadenceMs -
        (stream.settings.holdMs ?? 0); // the report that held when the window began
  const readings = store.readings(stream.name, sinceMs);
  return { lane, readings, continued: stored !== undefined };
}

function readWatch(store: Store, stream: string): StoredWatch | undefined {
  const stored = store.get(`watch/${stream}`);
  return stored === undefined ? undefined : (JSON.parse(stored.toString()) as StoredWatch);
}

/** Call inside `store.write`, after steps were made. Rings are large and change slowly: `withRings` only now and then. */
export function storeLane(store: Store, lane: Lane, withRings: boolean): void {
  const { stream, model } = lane.settings.subject;
  const { closedUntilMs, watch } = lane;
  if (Number.isFinite(closedUntilMs))
    store.put(`watch/${stream}`, JSON.stringify({ model, closedUntilMs, watch } satisfies StoredWatch));
  if (withRings) store.put(`calibration/${stream}`, lane.saveCalibration());
}
