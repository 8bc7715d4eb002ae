/** The conditions of all streams: what readings, silence and forecasts show is collected until its cause is committed. */
import type { DeviceConfig, StreamSettings } from '../contracts/config.js';
import type { AlertPayload } from '../contracts/payload.js';
import { conditionKinds, createCondition, crossing, inspectReading } from './condition.js';
import type { Condition, ConditionKind, LastReading } from './condition.js';
import type { IngestStream, NewReading } from './ingest.js';
import type { Lane, Step } from './lane.js';
import { noReading } from './presence.js';
import type { Store } from './store.js';

export interface Raised {
  readonly stream: string;
  readonly kind: ConditionKind;
  readonly alert: AlertPayload;
}

export interface Conditions {
  /** Faults of a sensor that show in its readings. */
  inspect(reading: NewReading): void;
  /** A reading was refused for leaving the stream's range. */
  outOfRange(stream: IngestStream, timeMs: number, value: number): void;
  /** Levels that the newest forecast crosses. */
  foresee(lane: Lane, steps: readonly Step[]): void;
  /** Nobody forecasts any more. */
  unforeseen(stream: string, nowMs: number): void;
  /** Nothing has come for so long. */
  silent(stream: string, nowMs: number, silentMs: number): void;
  /** Another maker's software says that the sensor is gone. */
  offline(stream: string, nowMs: number): void;
  /** A sign of life without a reading. */
  present(stream: string, nowMs: number): void;
  /** Messages are dropped, so many so far; or no longer. */
  overload(nowMs: number, dropped: number, trouble: string | undefined): void;
  /** Nothing can be stored, or it can again. */
  disk(nowMs: number, freeBytes: number, trouble: string | undefined): void;
  /** The alerts since it was last asked; each must be stored, and its condition remembered. */
  take(): readonly Raised[];
  /** Call it inside `store.write`. */
  readonly remember: (raised: Raised) => void;
  all(): readonly Condition[];
}

/** Nothing about a reading of most streams can be a fault. */
const watches = ({ maxRate, stuckCount }: StreamSettings): boolean => maxRate !== null || stuckCount !== null;

export function createConditions(config: DeviceConfig, store: Store, newId: () => string): Conditions {
  const known = new Map<string, Readonly<Record<ConditionKind, Condition>>>();
  const last = new Map<string, LastReading>();
  let raised: Raised[] = [];

  function of(stream: string): Readonly<Record<ConditionKind, Condition>> {
    const found = known.get(stream);
    if (found !== undefined) return found;
    const made = Object.fromEntries(conditionKinds.map((kind) => [kind, open(stream, kind)]));
    known.set(stream, made as Record<ConditionKind, Condition>);
    return made as Record<ConditionKind, Condition>;
  }

  function open(stream: string, kind: ConditionKind): Condition {
    const name = `${stream}/${kind}`;
    const stored = store.get(`condition/${name}`);
    const subject = { key: `${config.device}/${name}`, stream, detector: kind, model: '', newId };
    const watch = stored && (JSON.parse(stored.toString()) as Condition['watch']);
    // What is wrong with the device itself is observed once, when it begins: it cannot be asked for twice.
    return createCondition(kind, subject, watch, stream === 'device' ? null : config.alerts.flapping);
  }

  function observe(stream: string, kind: ConditionKind, timeMs: number, value: number, fact: string | undefined): void {
    const alert = of(stream)[kind].observe(timeMs, value, fact);
    if (alert !== undefined) raised.push({ stream, kind, alert });
  }

  [...Object.keys(config.streams), 'device'].forEach(of); // an alert of before the restart is told on connecting

  return {
    inspect({ stream: { name, settings }, timeMs, value }) {
      if (value === undefined) return;
      const { last: newest, ...shown } = inspectReading(last.get(name), timeMs, value, settings);
      last.set(name, newest);
      if (!watches(settings) && Object.values(of(name)).every(({ watch }) => watch.state === 'normal')) return;
      // A reading that is taken lies in its range and ends a silence.
      const facts = { ...shown, sensor_range: undefined, sensor_dropout: undefined };
      for (const [kind, fact] of Object.entries(facts)) observe(name, kind as keyof typeof facts, timeMs, value, fact);
    },
    outOfRange({ name, settings: { min, max } }, timeMs, value) {
      observe(name, 'sensor_range', timeMs, value, `${value} lies outside of ${min ?? '−∞'} to ${max ?? '∞'}`);
    },
    foresee({ settings: { subject, series, unit } }, steps) {
      const step = steps.findLast(({ run }) => run().forecast !== undefined);
      const levels = config.streams[subject.stream]?.levels;
      if (step === undefined || levels === undefined) return;
      const fact = crossing(step.run().forecast!, series.cadenceMs, levels, unit);
      observe(subject.stream, 'level', step.bucket.startMs, step.bucket.value, fact);
    },
    unforeseen(stream, nowMs) {
      observe(stream, 'level', nowMs, last.get(stream)?.value ?? 0, undefined);
    },
    silent(stream, nowMs, silentMs) {
      const value = last.get(stream)?.value ?? 0;
      observe(stream, 'sensor_dropout', nowMs, value, noReading(silentMs));
    },
    offline(stream, nowMs) {
      observe(stream, 'sensor_dropout', nowMs, last.get(stream)?.value ?? 0, 'its availability says that it is gone');
    },
    present: (stream, nowMs) => observe(stream, 'sensor_dropout', nowMs, last.get(stream)?.value ?? 0, undefined),
    overload: (nowMs, dropped, trouble) => observe('device', 'overload', nowMs, dropped, trouble),
    disk: (nowMs, freeBytes, trouble) => observe('device', 'disk_full', nowMs, freeBytes, trouble),
    take() {
      const taken = raised;
      raised = [];
      return taken;
    },
    remember: ({ stream, kind }) => store.put(`condition/${stream}/${kind}`, JSON.stringify(of(stream)[kind].watch)),
    all: () => [...known.values()].flatMap((kinds) => Object.values(kinds)),
  };
}
