/** What the device says, made from what it knows (EDGE.md §1, §5). */
import type { DeviceConfig } from '../contracts/config.js';
import { limits } from '../contracts/limit.js';
import type { ForecastPayload, HealthPayload, InfoPayload } from '../contracts/payload.js';
import type { Forecast } from './forecaster.js';
import type { Lane } from './lane.js';
import type { Metrics } from './metrics.js';
import type { Outbox } from './outbox.js';
import type { Machine } from './ports.js';
import type { Active } from './update.js';

const MEGABYTE = 1024 * 1024;

/** What computes: the card, where a model runs on one. */
export const providerInUse = (models: readonly Active[]): Active['provider'] =>
  models.map(({ provider }) => provider).find((provider) => provider !== 'cpu') ?? 'cpu';

export interface ForecastFacts {
  readonly id: string;
  readonly issuedMs: number;
  readonly slot: string;
  readonly arm: string | null;
  readonly late: number;
  readonly inferenceMs: number;
}

export function forecastMessage(lane: Lane, forecast: Forecast, facts: ForecastFacts): ForecastPayload {
  const { subject, series, unit } = lane.settings;
  const interval = lane.interval(forecast);
  const p50 = Array.from(forecast.p50);
  const lo = interval?.lo ?? p50.map(() => null);
  const hi = interval?.hi ?? p50.map(() => null);
  return {
    v: 1,
    id: facts.id,
    stream: subject.stream,
    issued: facts.issuedMs,
    start: forecast.startMs,
    stepMs: series.cadenceMs,
    unit,
    p50,
    lo,
    hi,
    coverage: interval?.coverage ?? null,
    calibrated: interval !== undefined,
    model: subject.model,
    slot: facts.slot,
    arm: facts.arm,
    quality: { imputed: forecast.imputed, ...(forecast.held && { held: forecast.held }), late: facts.late },
    ms: facts.inferenceMs,
    ha: {
      v: p50.at(-1)!,
      lo: lo.at(-1)!,
      hi: hi.at(-1)!,
      at: new Date(forecast.startMs + (p50.length - 1) * series.cadenceMs).toISOString(),
    },
  };
}

export function infoMessage(
  config: DeviceConfig,
  machine: Machine,
  streams: readonly string[],
  models: readonly Active[],
): InfoPayload {
  return {
    v: 1,
    runtime: machine.runtime,
    node: machine.node,
    arch: machine.arch,
    cpu: machine.cpu,
    provider: providerInUse(models),
    streams: [...streams],
    models: models.map(({ line, pointer, provider, precision }) => ({
      line,
      release: pointer.release,
      slot: pointer.slot,
      provider,
      precision,
    })),
    limits: { streams: config.maxStreams, messageBytes: limits.messageBytes, databaseBytes: config.databaseBytes },
    capabilities: ['forecast', 'anomaly', 'update-http'],
  };
}

export function healthMessage(nowMs: number, metrics: Metrics, outbox: Outbox, machine: Machine): HealthPayload {
  const diskFreeBytes = machine.diskFreeBytes();
  return {
    v: 1,
    ts: nowMs,
    rssMb: machine.rssBytes() / MEGABYTE,
    loopLagMs: metrics.loopLagMs,
    outbox: outbox.depth(),
    dropped: { ...outbox.dropped },
    rejected: { ...metrics.rejected },
    samples: metrics.samples.stored,
    late: metrics.samples.late,
    duplicates: metrics.samples.duplicate,
    forecasts: metrics.forecasts.issued,
    diskFreeMb: diskFreeBytes === null ? null : diskFreeBytes / MEGABYTE,
    temperatureC: machine.temperatureC(),
    coldStartMs: metrics.coldStartMs,
    latencyMs: metrics.ingest.read(),
  };
}
