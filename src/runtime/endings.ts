/** Every alert ends: also one whose stream fell silent or was paused, of which nobody can say any more that it lasts. */
import type { Clock } from './clock.js';
import type { Conditions } from './conditions.js';
import type { Detector } from './detector.js';
import { storeDetector } from './detector-store.js';
import type { Lane } from './lane.js';
import { storeLane } from './lane-store.js';
import type { Pauses } from './pause.js';
import type { Presence } from './presence.js';
import type { Recorder } from './recorder.js';
import type { Store } from './store.js';

export interface EndingsOptions {
  readonly lanes: ReadonlyMap<string, Lane>;
  readonly detectors: ReadonlyMap<string, Detector>;
  readonly conditions: Conditions;
  readonly presence: Presence;
  readonly pauses: Pauses;
  readonly recorder: Recorder;
  readonly store: Store;
  readonly clock: Clock;
}

export interface Endings {
  /** Ends the alerts of what is paused. */
  paused(reason: string): void;
  /** Ends the alerts of what fell silent, and says which sensors did. Call it every few seconds. */
  silent(): void;
}

/** What may have an open alert, and the streams that keep it going. */
interface Watching {
  readonly name: string;
  readonly by: Pick<Lane | Detector, 'closedUntilMs'> & Pick<Lane, 'end'>;
  readonly streams: readonly string[];
  readonly cadenceMs: number;
  readonly remember: () => void;
}

export function createEndings(options: EndingsOptions): Endings {
  const { lanes, detectors, conditions, presence, pauses, recorder, store, clock } = options;

  const watching = (): Watching[] => [
    ...[...lanes].map(([name, lane]) => ({
      name,
      by: lane,
      streams: [name],
      cadenceMs: lane.settings.series.cadenceMs,
      remember: () => storeLane(store, lane, true),
    })),
    ...[...detectors].map(([name, detector]) => ({
      name,
      by: detector,
      ...detector.settings,
      remember: () => storeDetector(store, detector, 0, true),
    })),
  ];

  function end({ name, by, remember }: Watching, reason: string): void {
    const alert = by.end('stale', by.closedUntilMs, reason);
    if (alert !== undefined) recorder.commit(remember, [{ stream: name, alert, kind: 'anomaly' }]);
  }

  return {
    paused(reason) {
      for (const one of watching()) if (pauses.paused(one.name)) end(one, reason);
      for (const name of lanes.keys()) if (pauses.paused(name)) conditions.unforeseen(name, clock.now());
      recorder.raiseFacts();
    },
    silent() {
      for (const one of watching()) {
        const reason = one.streams.map((stream) => presence.lost(stream, one.cadenceMs)).find((lost) => lost !== undefined); // prettier-ignore
        if (reason !== undefined) end(one, reason);
      }
      for (const { stream, silentMs } of presence.overdue()) conditions.silent(stream, clock.now(), silentMs);
      recorder.raiseFacts();
    },
  };
}
