/** One stream on one model: buckets in; forecasts, scores and alerts out. Nothing here touches disk or network. */
import type { AlertPayload } from '../contracts/payload.js';
import { endAlert, judge, newWatch } from './anomaly.js';
import type { AlertRules, Subject, Watch } from './anomaly.js';
import { createCalibration, deviations } from './calibration.js';
import type { CalibrationSettings, Surprise } from './calibration.js';
import { firstInterval } from './forecaster.js';
import type { Forecast, Forecaster, Interval, Run } from './forecaster.js';
import { createQuality } from './quality.js';
import type { Quality } from './quality.js';
import { createSeries } from './series.js';
import type { Bucket, SeriesSettings } from './series.js';
import type { PastReading } from './readings.js';
import { surpriseVerdict } from './verdict.js';
import type { Active } from './update.js';

export interface LaneSettings {
  /** The bundle that serves, and where it lies. */
  readonly active: Active;
  readonly forecaster: Forecaster;
  readonly monotonicMs: () => number;
  readonly series: SeriesSettings;
  readonly calibration: CalibrationSettings;
  readonly rules: AlertRules;
  readonly subject: Subject;
  readonly unit: string | null;
}

/** What one closed bucket led to. */
export interface Step {
  readonly bucket: Bucket;
  readonly surprise: Surprise | undefined;
  readonly alert: AlertPayload | undefined;
  /** Did the bundle's own interval hold the value? Undefined when none was at hand, and during an alert, which says nothing of the model. */
  readonly interval: Interval | undefined;
  /** The forecast, which is also undefined while the window is short. Ask late: all streams that are due by then share a run. */
  readonly run: () => Run;
}

/** How far a rehearsal goes. */
export interface RehearsalLimits {
  /** Buckets that the rings may learn from. */
  readonly learnSteps: number;
  /** Milliseconds of forecasting. */
  readonly budgetMs: number;
  /** The last value holds until then, if it holds. */
  readonly untilMs?: number;
}

export interface Lane {
  readonly settings: LaneSettings;
  readonly watch: Watch;
  /** End of the newest closed bucket; -Infinity before the first. */
  readonly closedUntilMs: number;
  /** Of the newest forecasts; undefined before the first could be judged. */
  readonly quality: Quality | undefined;
  /** Monotonic time of the newest forecast; undefined before the first. */
  readonly forecastMs: number | undefined;
  add(timeMs: number, value: number | undefined): 'taken' | 'late';
  /** Time goes on without a reading, as `Series.advance` has it. */
  advance(nowMs: number, presentMs: number): void;
  /** Judges and forecasts the next closed bucket, unless it rests; undefined when none has closed. */
  step(rests?: boolean): Step | undefined;
  /**
   * Goes through stored readings without judging them: fills the window and the expectations, and lets the rings learn.
   * Returns the newest forecast.
   */
  rehearse(readings: readonly PastReading[], limits: RehearsalLimits): Forecast | undefined;
  /** From what is known now; as the run of a step. */
  forecast(): Step['run'];
  /** Ends an open alert; undefined when there is none. */
  end(event: 'stale' | 'superseded', timeMs: number, reason: string): AlertPayload | undefined;
  /** Interval of a forecast, as wide as the errors seen here ask for. */
  interval(forecast: Forecast): { lo: number[]; hi: number[]; coverage: number } | undefined;
  saveCalibration(): Buffer;
}

/** What the same model on the same stream left when it stopped. */
export interface LaneMemory {
  readonly watch: Watch;
  /** Buckets before it were judged, though the readings of the last may have been lost. */
  readonly closedUntilMs: number;
  readonly rings: Buffer | undefined;
}

const noRun: Run = { forecast: undefined, failed: undefined, inferenceMs: 0, grownBytes: 0 };
const rest: Step['run'] = () => noRun;

/** Works once, when it is first asked. */
function once<T extends object>(work: () => T): () => T {
  let done: T | undefined;
  return () => (done ??= work());
}

export function createLane(settings: LaneSettings, memory?: LaneMemory): Lane {
  const { forecaster, monotonicMs } = settings;
  const { cadenceMs } = settings.series;
  const { horizon } = forecaster.manifest;
  const series = createSeries(settings.series);
  const calibration = createCalibration(horizon, settings.calibration, memory?.rings);
  const expectations = new Map<number, Forecast>();
  const judgedUntilMs = memory?.closedUntilMs ?? -Infinity;
  const quality = createQuality();
  let forecastMs: number | undefined;
  let watch = memory?.watch ?? newWatch;

  /** What the rehearsal and commands have taken since the last step, which no step has told. */
  let grownBytes = 0;

  /** The newest run: the bucket that comes next is judged by it, too. */
  let newest = rest;

  function forecastNext(): Step['run'] {
    const window = series.window();
    if (window === undefined) return rest;
    const run = forecaster.forecast(window);
    newest = once(() => expecting(run()));
    return newest;
  }

  function expecting(run: Run): Run {
    const { forecast } = run;
    grownBytes += run.grownBytes;
    if (forecast === undefined) return run;
    forecastMs = monotonicMs();
    expectations.set(forecast.startMs, forecast);
    for (const startMs of expectations.keys())
      if (startMs <= forecast.startMs - horizon * cadenceMs) expectations.delete(startMs);
    return run;
  }

  function forecastStep(): Step['run'] {
    const next = forecastNext();
    return once(() => {
      const run = next();
      const grown = grownBytes;
      grownBytes = 0;
      return { ...run, grownBytes: grown };
    });
  }

  /** Of a long time that a value held, only what is still to come is forecast. */
  const runAfter = (bucket: Bucket): Step['run'] =>
    bucket.held && series.waiting > horizon + 2 ? rest : forecastStep();

  const deviationsOf = ({ value, startMs }: Bucket) =>
    deviations(value, startMs, cadenceMs, calibration.leads, expectations);

  return {
    settings,
    get closedUntilMs() {
      return series.closedUntilMs;
    },
    get watch() {
      return watch;
    },
    get quality() {
      return quality.read();
    },
    get forecastMs() {
      return forecastMs;
    },
    add: (timeMs, value) => series.add(timeMs, value),
    advance: (nowMs, presentMs) => series.advance(nowMs, presentMs),
    step(rests = false) {
      const bucket = series.close();
      if (bucket === undefined) return undefined;
      if (rests) return { bucket, surprise: undefined, alert: undefined, interval: undefined, run: rest };
      newest();
      // Silence alone begins nothing: that a value held only confirms, or ends, what a report began.
      const quiet = bucket.held && (watch.state === 'warming' || watch.state === 'normal');
      if (bucket.imputed || quiet || bucket.startMs < judgedUntilMs)
        return { bucket, surprise: undefined, alert: undefined, interval: undefined, run: runAfter(bucket) }; // a guess is not judged, and nothing twice
      const found = deviationsOf(bucket);
      const surprise = calibration.surprise(found);
      const next = found.find(({ lead }) => lead === 1);
      if (next !== undefined && !bucket.held) {
        const promised = expectations.get(bucket.startMs)!.coverage !== null;
        quality.add(bucket.value - next.expected, promised ? next.score <= calibration.stretch(1) : undefined);
      }
      const judged = judge(
        watch,
        {
          timeMs: bucket.startMs,
          value: bucket.value,
          verdict: surprise && surpriseVerdict(bucket.value, surprise, settings.unit),
          ready: calibration.ready,
        },
        settings.rules,
        settings.subject,
      );
      watch = judged.watch;
      // An open alert must not become the new normal, nor, by SPOT's rule, a single anomaly.
      const anomalous = settings.calibration.method === 'pot' && (surprise?.p ?? 1) < settings.rules.threshold;
      if (watch.state !== 'firing' && !anomalous && !bucket.held) calibration.learn(found);
      return {
        bucket,
        surprise: watch.state === 'warming' ? undefined : surprise,
        alert: judged.alert,
        interval:
          watch.state === 'firing' || bucket.held
            ? undefined
            : firstInterval(expectations.get(bucket.startMs), bucket.value),
        run: runAfter(bucket),
      };
    },
    rehearse(readings, { learnSteps, budgetMs, untilMs = -Infinity }) {
      let newestMs = typeof settings.series.holdMs === 'number' ? untilMs : -Infinity;
      for (const { timeMs } of readings) newestMs = Math.max(newestMs, timeMs);
      const learnFromMs = newestMs - learnSteps * cadenceMs;
      const expectFromMs = Math.min(learnFromMs, newestMs) - (horizon + 2) * cadenceMs - settings.series.latenessMs;
      let found: Forecast | undefined;
      let spentMs = 0;
      const goThrough = (): void => {
        for (let bucket = series.close(); bucket !== undefined; bucket = series.close()) {
          if (bucket.startMs >= learnFromMs && learnSteps > 0 && !bucket.imputed && !bucket.held)
            calibration.learn(deviationsOf(bucket));
          if (bucket.startMs < expectFromMs || spentMs > budgetMs) continue;
          const { forecast, inferenceMs } = forecastNext()();
          found = forecast;
          spentMs += inferenceMs;
        }
      };
      for (const { timeMs, value } of readings) {
        series.add(timeMs, value ?? undefined);
        goThrough();
      }
      series.advance(newestMs, -Infinity);
      goThrough();
      return spentMs > budgetMs ? forecastNext()().forecast : found;
    },
    forecast: forecastNext,
    end(event, timeMs, reason) {
      const ended = endAlert(watch, event, timeMs, reason, settings.rules);
      watch = ended.watch;
      return ended.alert;
    },
    interval({ p50, halfWidth, coverage }) {
      if (coverage === null) return undefined;
      const half = halfWidth.map((width, step) => width * calibration.stretch(step + 1));
      return {
        lo: Array.from(p50, (value, step) => value - half[step]!),
        hi: Array.from(p50, (value, step) => value + half[step]!),
        coverage,
      };
    },
    saveCalibration: () => calibration.save(),
  };
}
