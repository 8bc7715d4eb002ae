/** A detector without a model: one stream held against its baseline, or several together as a group. Touches no disk. */
import type { DetectorSettings } from '../contracts/config.js';
import type { AlertPayload } from '../contracts/payload.js';
import { endAlert, judge, newWatch } from './anomaly.js';
import type { Subject, Watch } from './anomaly.js';
import { createBaseline } from './baseline.js';
import type { BaselineMemory } from './baseline.js';
import { fitGroup, judgeGroup } from './group.js';
import type { GroupModel, GroupState } from './group.js';
import { createSeries } from './series.js';
import type { Bucket } from './series.js';
import { baselineVerdict, groupVerdict } from './verdict.js';
import type { Verdict } from './verdict.js';

export interface DetectorStep {
  /** Start of the bucket. */
  readonly timeMs: number;
  readonly verdict: Verdict | undefined;
  readonly alert: AlertPayload | undefined;
}

export interface Detector {
  readonly settings: DetectorSettings;
  readonly subject: Subject;
  readonly watch: Watch;
  /** End of the newest bucket that was judged; -Infinity before the first. */
  readonly closedUntilMs: number;
  add(stream: string, timeMs: number, value: number | undefined): void;
  /** Time goes on without a reading, as `Series.advance` has it. */
  advance(stream: string, nowMs: number, presentMs: number): void;
  /** Judges the next bucket that every stream has closed, unless it rests; undefined when there is none. */
  step(rests?: boolean): DetectorStep | undefined;
  /** Ends an open alert; undefined when there is none. */
  end(event: 'stale' | 'superseded', timeMs: number, reason: string): AlertPayload | undefined;
  /** What it learned, for `createDetector`; plain data. */
  save(): DetectorMemory;
}

export interface DetectorMemory {
  readonly baseline?: BaselineMemory | undefined;
  readonly group?: GroupMemory | undefined;
}

/** What a judge says of a row, [stream]; learning from it is its own affair. */
interface Judge {
  readonly ready: boolean;
  judge(timeMs: number, row: readonly number[]): Verdict | undefined;
  save(): DetectorMemory;
}

interface GroupMemory {
  /** Rows of quiet times, until there are enough. */
  readonly rows: readonly (readonly number[])[];
  readonly fitted: { readonly model: GroupModel; readonly state: GroupState } | null;
}

/** A chance below it is an anomaly when the configuration names none. */
export const detectorThreshold = 1e-3;
/** Rows that wait for a stream that is behind; then the oldest go unjudged. */
const WAITING_MAXIMUM = 1000;

export const detectorName = ({ streams }: DetectorSettings): string => (streams.length === 1 ? 'baseline' : 'group');

/** `unit` is that of a single stream. `watch` and `memory` continue where it stopped; `holdMsOf` as in the series' settings. */
export function createDetector(
  settings: DetectorSettings,
  subject: Subject,
  unit: string | null,
  stored: { readonly watch?: Watch; readonly memory?: DetectorMemory } = {},
  holdMsOf: (stream: string) => number | null = () => null,
): Detector {
  const { streams, cadenceMs } = settings;
  const rules = { ...settings.alerts, threshold: settings.alerts.threshold ?? detectorThreshold };
  const judging =
    streams.length === 1
      ? baselineJudge(cadenceMs, unit, stored.memory?.baseline)
      : groupJudge(settings, stored.memory?.group);
  const series = new Map(
    streams.map((stream) => [
      stream,
      createSeries({
        cadenceMs,
        aggregate: 'mean',
        impute: 'none',
        maxGap: 1,
        latenessMs: settings.latenessMs ?? Math.max(2 * cadenceMs, 2000),
        inputLength: 1,
        holdMs: holdMsOf(stream),
      }),
    ]),
  );
  const waiting = new Map<number, Map<string, Bucket>>(); // bucket start -> stream -> its bucket
  const whole: number[] = []; // starts of the buckets that every stream has closed and some have measured, in order
  let watch = stored.watch ?? newWatch;
  let closedUntilMs = -Infinity;
  let givenUpMs = -Infinity; // newest bucket that went unjudged for lack of room

  function collect(stream: string): void {
    const own = series.get(stream)!;
    for (let bucket = own.close(); bucket !== undefined; bucket = own.close()) {
      if (bucket.startMs <= givenUpMs) continue;
      const buckets = waiting.get(bucket.startMs) ?? new Map<string, Bucket>();
      waiting.set(bucket.startMs, buckets.set(stream, bucket));
      if (buckets.size === streams.length) {
        if ([...buckets.values()].some(({ held }) => !held)) whole.push(bucket.startMs);
        else waiting.delete(bucket.startMs); // nothing new was said
      } else if (waiting.size > WAITING_MAXIMUM) {
        givenUpMs = waiting.keys().next().value!;
        waiting.delete(givenUpMs);
      }
    }
  }

  return {
    settings,
    subject,
    get watch() {
      return watch;
    },
    get closedUntilMs() {
      return closedUntilMs;
    },
    add(stream, timeMs, value) {
      series.get(stream)!.add(timeMs, value);
      collect(stream);
    },
    advance(stream, nowMs, presentMs) {
      series.get(stream)!.advance(nowMs, presentMs);
      collect(stream);
    },
    step(rests = false) {
      const timeMs = whole.shift();
      if (timeMs === undefined) return undefined;
      const values = waiting.get(timeMs)!;
      const row = streams.map((stream) => values.get(stream)!.value);
      for (const startMs of waiting.keys()) if (startMs <= timeMs) waiting.delete(startMs); // what is older stays in pieces
      closedUntilMs = timeMs + cadenceMs;
      if (rests) return { timeMs, verdict: undefined, alert: undefined };
      const { ready } = judging;
      const verdict = judging.judge(timeMs, row);
      const value = verdict?.channel === undefined ? row[0]! : row[streams.indexOf(verdict.channel)]!;
      const judged = judge(watch, { timeMs, value, verdict, ready }, rules, subject);
      watch = judged.watch;
      return { timeMs, verdict: watch.state === 'warming' ? undefined : verdict, alert: judged.alert };
    },
    end(event, timeMs, reason) {
      const ended = endAlert(watch, event, timeMs, reason, rules);
      watch = ended.watch;
      return ended.alert;
    },
    save: () => judging.save(),
  };
}

function baselineJudge(cadenceMs: number, unit: string | null, stored: BaselineMemory | undefined): Judge {
  const baseline = createBaseline(cadenceMs, stored);
  return {
    get ready() {
      return baseline.ready;
    },
    judge(timeMs, row) {
      const found = baseline.judge(timeMs, row[0]!);
      return found && baselineVerdict(found, unit);
    },
    save: () => ({ baseline: baseline.save() }),
  };
}

function groupJudge({ streams, training, mode }: DetectorSettings, stored: GroupMemory | undefined): Judge {
  const rows = [...(stored?.rows ?? [])];
  let fitted = stored?.fitted ?? null;
  return {
    get ready() {
      return fitted !== null;
    },
    judge(_timeMs, row) {
      if (fitted === null) {
        rows.push(row);
        if (rows.length >= training) fitted = fitGroup(rows.splice(0), mode);
        return undefined;
      }
      const { verdict, state } = judgeGroup(fitted.model, fitted.state, row);
      fitted = { model: fitted.model, state };
      return groupVerdict(verdict, row, streams);
    },
    save: () => ({ group: { rows, fitted } }),
  };
}
