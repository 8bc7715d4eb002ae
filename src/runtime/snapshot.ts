/** What somebody who looks for a fault wants to see, at one moment: the answer to `cmd/snapshot`. */
import type { CommandReason } from '../contracts/command.js';
import { alertPayload } from '../contracts/payload.js';
import { accept, refuse } from '../contracts/reason.js';
import type { Outcome } from '../contracts/reason.js';
import { toWire } from '../contracts/wire.js';
import type { Watch } from './anomaly.js';
import type { Conditions } from './conditions.js';
import type { Detector } from './detector.js';
import type { Lane } from './lane.js';
import type { Metrics } from './metrics.js';
import type { Pauses } from './pause.js';
import type { Quarantine } from './quarantine.js';
import type { Readings } from './readings.js';

export interface Seen {
  readonly lanes: ReadonlyMap<string, Lane>;
  readonly detectors: ReadonlyMap<string, Detector>;
  readonly conditions: Conditions;
  readonly pauses: Pauses;
  readonly metrics: Metrics;
  readonly quarantine: Quarantine;
  readonly store: Readings;
}

/** Messages of each reason, the newest: all of them may be more than a broker takes. */
const REFUSED = 10;

/** Of one stream with its newest `count` readings, or of all without. Fields as on the wire. */
export function snapshotOf(
  { lanes, detectors, conditions, pauses, metrics, quarantine, store }: Seen,
  stream: string | undefined,
  count: number,
): Outcome<object, CommandReason> {
  const asked = (name: string): boolean => stream === undefined || name === stream;
  const watching = [
    ...[...lanes].map(([name, lane]) => ({ name, subject: lane.settings.subject, by: lane })),
    ...[...detectors].map(([name, detector]) => ({ name, subject: detector.subject, by: detector })),
  ].filter(({ name }) => asked(name));
  const readings = stream === undefined ? undefined : store.newest(stream, count);
  if (stream !== undefined && readings!.length === 0 && watching.length === 0)
    return refuse('not_possible', `nothing is known of “${stream}”`);

  const watches: Watch[] = [
    ...watching.map(({ by }) => by.watch),
    ...conditions.all().flatMap(({ subject, watch }) => (asked(subject.stream) ? [watch] : [])),
  ];
  return accept({
    judged: watching.map(({ name, subject: { model, detector }, by: { closedUntilMs, watch } }) => ({
      name,
      model,
      detector,
      state: watch.state,
      closed_until: Number.isFinite(closedUntilMs) ? closedUntilMs : null,
    })),
    alerts: watches.flatMap(({ alert }) => (alert === undefined ? [] : [toWire(alertPayload, alert)])),
    paused: pauses.all(),
    rejected: metrics.rejected,
    refused: Object.fromEntries(
      Object.entries(quarantine.samples()).map(([reason, samples]) => [
        reason,
        samples
          .slice(-REFUSED)
          .map(({ timeMs, topic, head, sizeBytes }) => ({ ts: timeMs, topic, head, bytes: sizeBytes })),
      ]),
    ),
    ...(readings !== undefined && { readings: readings.map(({ timeMs, value }) => [timeMs, value]) }),
  });
}
