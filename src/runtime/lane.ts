/** One stream on one model: buckets in; forecasts, scores and alerts out. Nothing here touches disk or network. */
import type { AlertPayload } from '../contracts/payload.js';
import { endAlert, judge, newWatch } from './anomaly.js';
import type { AlertRules, Subject, Watch } from './anomaly.js';
import { createCalibration, deviations } from './calibration.js';
import type { CalibrationSettings, Surprise } from './calibration.js';
import type { Answer, Forecast, Forecaster } from './forecaster.js';
import { createSeries } from './series.js';
import type { Bucket, SeriesSettings } from './series.js';
import type { PastReading } from './store.js';
import { surpriseVerdict } from './verdict.js';
import type { Active } from './update.js';

export interface LaneSettings {
  /** The bundle that serves, and where it lies. */
  readonly active: Active;
  readonly forecaster: Forecaster;
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
  /** Undefined while the window is short. Ask late: all streams that are due by then share a run of the model. */
  readonly answer: () => Answer | undefined;
}

export interface Lane {
  readonly settings: LaneSettings;
  readonly watch: Watch;
  /** End of the newest closed bucket; -Infinity before the first. */
  readonly closedUntilMs: number;
  add(timeMs: number, value: number | undefined): 'taken' | 'late';
  /** Judges and forecasts the next closed bucket; undefined when none has closed. */
  step(): Step | undefined;
  /**
   * Goes through stored readings without judging them: fills the window and the expectations, and lets the rings learn
   * from at most `learnSteps` buckets. Returns the newest forecast.
   */
  rehearse(readings: readonly PastReading[], learnSteps: number): Forecast | undefined;
  /** From what is known now; undefined while the window is short, or when the model fails. */
  forecast(): Answer | undefined;
  /** Ends an open alert; undefined when there is none. */
  end(event: 'stale' | 'superseded', timeMs: number, reason: string): AlertPayload | undefined;
  /** Interval of a forecast, as wide as the errors seen here ask for. */
  interval(forecast: Forecast): { lo: number[]; hi: number[]; coverage: number } | undefined;
  saveCalibration(): Buffer;
}

/** `storedWatch` and `storedRings` continue where the same model on the same stream stopped. */
export function createLane(settings: LaneSettings, storedWatch?: Watch, storedRings?: Buffer): Lane {
  const { forecaster } = settings;
  const { cadenceMs } = settings.series;
  const { horizon } = forecaster.manifest;
  const series = createSeries(settings.series);
  const calibration = createCalibration(horizon, settings.calibration, storedRings);
  const expectations = new Map<number, Forecast>();
  let watch = storedWatch ?? newWatch;

  /** The newest forecast asked for; what comes next is judged by it, too. */
  let newest: Step['answer'] = () => undefined;

  function forecastNext(): Step['answer'] {
    const window = series.window();
    if (window === undefined) return () => undefined;
    const asked = forecaster.forecast(window);
    let answer: Answer | undefined;
    newest = () => (answer ??= expecting(asked()));
    return newest;
  }

  function expecting(answer: Answer): Answer {
    const { forecast } = answer;
    if (forecast === undefined) return answer;
    expectations.set(forecast.startMs, forecast);
    for (const startMs of expectations.keys())
      if (startMs <= forecast.startMs - horizon * cadenceMs) expectations.delete(startMs);
    return answer;
  }

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
    add: (timeMs, value) => series.add(timeMs, value),
    step() {
      const bucket = series.close();
      if (bucket === undefined) return undefined;
      newest();
      if (bucket.imputed) return { bucket, surprise: undefined, alert: undefined, answer: forecastNext() }; // a guess is not judged
      const found = deviationsOf(bucket);
      const surprise = calibration.surprise(found);
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
      if (watch.state !== 'firing' && !anomalous) calibration.learn(found);
      return {
        bucket,
        surprise: watch.state === 'warming' ? undefined : surprise,
        alert: judged.alert,
        answer: forecastNext(),
      };
    },
    rehearse(readings, learnSteps) {
      let newestMs = -Infinity;
      for (const { timeMs } of readings) newestMs = Math.max(newestMs, timeMs);
      const learnFromMs = newestMs - learnSteps * cadenceMs;
      const expectFromMs = Math.min(learnFromMs, newestMs) - (horizon + 2) * cadenceMs - settings.series.latenessMs;
      let found: Forecast | undefined;
      for (const { timeMs, value } of readings) {
        series.add(timeMs, value ?? undefined);
        for (let bucket = series.close(); bucket !== undefined; bucket = series.close()) {
          if (bucket.startMs >= learnFromMs && learnSteps > 0 && !bucket.imputed)
            calibration.learn(deviationsOf(bucket));
          if (bucket.startMs >= expectFromMs) found = forecastNext()()?.forecast;
        }
      }
      return found;
    },
    forecast: () => forecastNext()(),
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
