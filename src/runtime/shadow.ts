/**
 * Models that forecast unheard (EDGE.md §13): on the windows of the model that runs, when its work is done and for at most
 * a fifth of the time; windows that come faster are left out and counted. What a shadow forecasts is held against the
 * values that come, beside the forecast of the running model from the same window, and nothing else is done with it.
 */
import type { Clock } from './clock.js';
import { firstInterval } from './forecaster.js';
import type { Forecast, Forecaster } from './forecaster.js';
import type { IngestStream } from './ingest.js';
import type { Lane, Step } from './lane.js';
import { addEvidence, intervalEvidence, newTally, runEvidence } from './probation.js';
import type { Evidence } from './probation.js';
import { createSeries, seriesSettings } from './series.js';
import type { Bucket, Series, Window } from './series.js';
import type { Store } from './store.js';
import type { Active } from './update.js';

export interface ShadowOptions {
  readonly store: Pick<Store, 'newest' | 'readings'>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly load: (active: Active) => Promise<Forecaster>;
  readonly admit: (stream: string) => Pick<IngestStream, 'settings'>;
  /** Brings to the store what has come. */
  readonly flush: () => void;
  /** Must not throw. */
  readonly observe: (line: string, release: number, evidence: Evidence, failure?: string) => void;
}

export interface Shadows {
  /** Loads a model as the shadow of its line. Throws when it does not load. */
  start(active: Active): Promise<void>;
  end(line: string): void;
  add(stream: string, timeMs: number, value: number | undefined): void;
  /** Time goes on without a reading, as `Series.advance` has it. */
  advance(stream: string, nowMs: number, presentMs: number): void;
  /**
   * Closes the buckets that the running model has closed: `steps` is what it made of them. What is to be computed is
   * computed later; nothing while the stream rests.
   */
  follow(stream: string, lane: Lane | undefined, steps: readonly Step[], rests?: boolean): void;
  /** Ends them all. */
  close(): void;
}

/** Two forecasts from one window. */
interface Pair {
  readonly own: Forecast;
  readonly active: Forecast | undefined;
}

/** One stream on one shadow. */
interface Follower {
  readonly series: Series;
  /** By the start of the first bucket that is forecast. */
  readonly pairs: Map<number, Pair>;
  /** The newest window, not forecast yet, and what the running model made of it. */
  waiting: { readonly window: Window; readonly beside: Forecast | undefined } | undefined;
}

interface Shadow {
  readonly active: Active;
  readonly forecaster: Forecaster;
  readonly followers: ReadonlyMap<string, Follower>;
}

/** It rests so many times as long as it has worked. */
const REST = 4;

export function createShadows({ store, clock, load, admit, flush, observe }: ShadowOptions): Shadows {
  const shadows = new Map<string, Shadow>();
  const queue = new Map<Follower, Shadow>();
  const closed = new AbortController();
  let working = false;
  let workedMs = 0;

  /** From the stored readings, so that a restart does not wait for a new window. */
  function followerOf({ manifest }: Active, name: string): Follower {
    const series = createSeries(seriesSettings(manifest, admit(name).settings));
    const { cadenceMs, latenessMs, maxGap, inputLength } = series.settings;
    const newestMs = store.newest(name, 1)[0]?.timeMs ?? 0;
    const spanMs = (2 * inputLength + maxGap) * cadenceMs + latenessMs + (series.settings.holdMs ?? 0);
    for (const { timeMs, value } of store.readings(name, newestMs - spanMs)) {
      series.add(timeMs, value ?? undefined);
      while (series.close() !== undefined);
    }
    return { series, pairs: new Map(), waiting: undefined };
  }

  function end(line: string): void {
    shadows.get(line)?.forecaster.close();
    shadows.delete(line);
  }

  /** Returns how long it took. */
  function forecast({ active: { line, pointer, manifest }, forecaster }: Shadow, follower: Follower): number {
    const { window, beside } = follower.waiting!;
    follower.waiting = undefined;
    const run = forecaster.forecast(window)();
    const { forecast: own, failed, inferenceMs } = run;
    if (own !== undefined) {
      follower.pairs.set(own.startMs, { own, active: beside });
      const oldestMs = own.startMs - manifest.horizon * follower.series.settings.cadenceMs;
      for (const startMs of follower.pairs.keys()) if (startMs <= oldestMs) follower.pairs.delete(startMs);
    }
    observe(line, pointer.release, own === undefined ? {} : runEvidence(run, manifest.budget), failed);
    return inferenceMs;
  }

  /** The stream that has waited longest. */
  function next(): [Shadow, Follower] | undefined {
    for (const [follower, shadow] of queue) {
      queue.delete(follower);
      if (shadows.get(shadow.active.line) === shadow) return [shadow, follower];
    }
    return undefined;
  }

  async function workOff(): Promise<void> {
    working = true;
    while (queue.size > 0) {
      await clock.sleep(REST * workedMs, closed.signal); // readings that wait go first, even when it is for no time
      const work = next();
      workedMs = work === undefined ? 0 : forecast(...work);
    }
    working = false;
  }

  return {
    end,
    async start(active) {
      const forecaster = await load(active);
      flush();
      end(active.line);
      const followers = new Map(active.pointer.streams.map((name) => [name, followerOf(active, name)]));
      shadows.set(active.line, { active, forecaster, followers });
    },
    add(stream, timeMs, value) {
      for (const { followers } of shadows.values()) followers.get(stream)?.series.add(timeMs, value);
    },
    advance(stream, nowMs, presentMs) {
      for (const { followers } of shadows.values()) followers.get(stream)?.series.advance(nowMs, presentMs);
    },
    follow(stream, lane, steps, rests = false) {
      for (const shadow of [...shadows.values()]) {
        const { active, followers } = shadow;
        const follower = followers.get(stream);
        if (follower === undefined) continue;
        const { series, pairs } = follower;
        const { cadenceMs } = series.settings;
        const beside = new Map(forecastsOf(steps).map((forecast) => [forecast.startMs, forecast]));
        const seen: Evidence[] = beside.size > 0 ? [{ activeForecasts: beside.size }] : [];
        for (let bucket = series.close(); bucket !== undefined; bucket = series.close()) {
          if (!bucket.imputed && !bucket.held)
            seen.push(compare(bucket, pairs, cadenceMs, active.manifest.horizon, lane));
          const window = series.window();
          if (window === undefined || rests) continue;
          if (follower.waiting !== undefined) seen.push({ skipped: 1 });
          follower.waiting = { window, beside: beside.get(window.nextMs) };
          queue.set(follower, shadow);
        }
        if (seen.length > 0) observe(active.line, active.pointer.release, seen.reduce(addEvidence, newTally));
      }
      if (queue.size > 0 && !working) void workOff();
    },
    close() {
      closed.abort();
      for (const line of [...shadows.keys()]) end(line);
    },
  };
}

const forecastsOf = (steps: readonly Step[]): Forecast[] => steps.flatMap(({ run }) => run().forecast ?? []);

/** A value beside all that was forecast for it. */
function compare(
  { startMs, value }: Bucket,
  pairs: ReadonlyMap<number, Pair>,
  cadenceMs: number,
  horizon: number,
  lane: Lane | undefined,
): Evidence {
  let [count, error, activeError] = [0, 0, 0];
  for (let step = 0; step < horizon; step++) {
    const pair = pairs.get(startMs - step * cadenceMs);
    const beside = pair?.active?.p50[step];
    if (beside === undefined) continue;
    count++;
    error += Math.abs(value - pair!.own.p50[step]!);
    activeError += Math.abs(value - beside);
  }
  const first = lane?.watch.state === 'firing' ? undefined : pairs.get(startMs);
  const { judged, inside } = intervalEvidence(firstInterval(first?.active, value));
  return {
    ...(count > 0 && { pairs: 1, error: error / count, activeError: activeError / count }),
    ...intervalEvidence(firstInterval(first?.own, value)),
    ...(judged !== undefined && { activeJudged: judged, activeInside: inside }),
  };
}
