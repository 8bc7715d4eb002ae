/** What the device said, held against what really happened. */
import type { AlertPayload, ForecastPayload } from '../../contracts/payload.js';
import { quantileOfSorted } from '../../stats/quantile.js';
import type { Scenario } from './scenario.js';
import type { Series } from './replay.js';

export interface Alert {
  readonly openedMs: number;
  /** When it ended; null while it is open. */
  readonly endedMs: number | null;
  readonly severity: string;
  readonly reason: string;
  /** Number of the labelled window it falls into, from 0; null for a false one. */
  readonly window: number | null;
}

export interface Outcome {
  readonly alerts: readonly Alert[];
  readonly windowsHit: number;
  /** Mean |error| of all forecast steps whose truth arrived, and of the first step alone; sensor units. */
  readonly forecastMae: number;
  readonly firstStepMae: number;
  /** Share of values inside the interval they were given. */
  readonly coverage: number;
  readonly latencyMs: { readonly p50: number; readonly p99: number };
}

/** All times as the device saw them. */
export function judgeOutcome(
  forecasts: readonly ForecastPayload[],
  events: readonly AlertPayload[],
  windows: Scenario['windows'],
  readings: Series,
): Outcome {
  const truth = new Map<number, number>();
  for (let i = 0; i < readings.time.length; i++) truth.set(readings.time[i]!, readings.value[i]!);

  const errors = { all: sum(), first: sum(), inside: sum() };
  for (const { start, stepMs, p50, lo, hi } of forecasts) {
    for (const [step, expected] of p50.entries()) {
      const value = truth.get(start + step * stepMs);
      if (value === undefined || expected === null) continue;
      errors.all.add(Math.abs(value - expected));
      if (step === 0) errors.first.add(Math.abs(value - expected));
      errors.inside.add(value >= lo[step]! && value <= hi[step]! ? 1 : 0);
    }
  }

  const alerts = alertsOf(events, windows);
  const times = forecasts.map(({ ms }) => ms).sort((a, b) => a - b);
  return {
    alerts,
    windowsHit: new Set(alerts.flatMap(({ window }) => (window === null ? [] : [window]))).size,
    forecastMae: errors.all.mean(),
    firstStepMae: errors.first.mean(),
    coverage: errors.inside.mean(),
    latencyMs: { p50: quantileOfSorted(times, 0.5), p99: quantileOfSorted(times, 0.99) },
  };
}

/** One entry per alert, from its transitions. */
function alertsOf(events: readonly AlertPayload[], windows: Scenario['windows']): Alert[] {
  const newest = new Map<string, AlertPayload>();
  for (const event of events) if ((newest.get(event.id)?.seq ?? -1) < event.seq) newest.set(event.id, event);
  return [...newest.values()]
    .map(({ id, started, ended, severity }) => {
      const window = windows.findIndex(([from, to]) => started <= to && (ended ?? started) >= from);
      const opened = events.find((event) => event.id === id && event.event === 'opened');
      return {
        openedMs: started,
        endedMs: ended,
        severity,
        reason: opened?.reason ?? '',
        window: window < 0 ? null : window,
      };
    })
    .sort((a, b) => a.openedMs - b.openedMs);
}

function sum() {
  let total = 0;
  let count = 0;
  return {
    add: (value: number): void => {
      total += value;
      count++;
    },
    mean: (): number => total / count,
  };
}
