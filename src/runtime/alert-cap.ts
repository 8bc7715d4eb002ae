/**
 * How many alerts are told (EDGE.md §6): so many openings a minute, one by one; those beyond are folded into one summary on
 * `event/device`. Their state stands on `alert/…` all the same, and what is critical is always told.
 */
import type { DeviceConfig } from '../contracts/config.js';
import { severities } from '../contracts/payload.js';
import type { AlertPayload } from '../contracts/payload.js';
import type { Clock } from './clock.js';
import type { Store } from './store.js';

export interface AlertCap {
  /** Is this event told? Call it once for each, in order. */
  tells(alert: AlertPayload): boolean;
  /** What was folded, once its minute is over. */
  summary(): AlertPayload | undefined;
  /** Call it inside `store.write`, with the alerts that were asked about. */
  readonly remember: () => void;
}

/** Survives a restart: an alert that was never told is not told to have ended either. */
interface Folded {
  /** Ids of open alerts whose opening was not told. */
  readonly ids: readonly string[];
  /** For the summary to come. */
  readonly keys: readonly string[];
  readonly count: number;
  readonly severity: AlertPayload['severity'];
  /** Event time of the first. */
  readonly sinceMs: number;
}

const MINUTE_MS = 60_000;
const NAMED = 5;
/** More open alerts than a device may have. */
const IDS = 1000;
const KEY = 'alert-cap';
const nothing: Folded = { ids: [], keys: [], count: 0, severity: 'info', sinceMs: 0 };
const nothingText = JSON.stringify(nothing);

export function createAlertCap(
  { alerts: { rateCap }, device }: Pick<DeviceConfig, 'alerts' | 'device'>,
  store: Pick<Store, 'get' | 'put'>,
  clock: Clock,
  newId: () => string,
): AlertCap {
  let folded = JSON.parse(store.get(KEY)?.toString() ?? nothingText) as Folded;
  let told: number[] = []; // monotonic times of the openings of the last minute
  let foldingSinceMs = -Infinity; // monotonic; long ago for what a run before left

  function fold({ id, key, severity, started }: AlertPayload): void {
    if (folded.count === 0) foldingSinceMs = clock.monotonicMs();
    folded = {
      ids: [...folded.ids, id].slice(-IDS),
      keys: [...folded.keys, key].slice(0, NAMED),
      count: folded.count + 1,
      severity: severities[Math.max(severities.indexOf(severity), severities.indexOf(folded.severity))]!,
      sinceMs: folded.count === 0 ? started : folded.sinceMs,
    };
  }

  return {
    tells(alert) {
      const { id, event, severity, ended } = alert;
      if (event === 'opened') {
        const nowMs = clock.monotonicMs();
        told = told.filter((timeMs) => nowMs - timeMs < MINUTE_MS);
        if (rateCap === null || severity === 'critical' || told.length < rateCap) {
          told.push(nowMs);
          return true;
        }
        fold(alert);
        return false;
      }
      if (!folded.ids.includes(id)) return true;
      const rises = severity === 'critical';
      if (rises || ended !== null) folded = { ...folded, ids: folded.ids.filter((each) => each !== id) };
      return rises;
    },
    summary() {
      if (folded.count === 0 || clock.monotonicMs() - foldingSinceMs < MINUTE_MS) return undefined;
      const { count, keys, severity, sinceMs } = folded;
      folded = { ...nothing, ids: folded.ids };
      const more = count > keys.length ? ` and ${count - keys.length} more` : '';
      return {
        v: 1,
        id: newId(),
        key: `${device}/device/suppressed`,
        detector: 'rate_cap',
        state: 'normal',
        event: 'suppressed',
        seq: 1,
        severity,
        started: sinceMs,
        ended: clock.now(),
        value: null,
        expected: null,
        lo: null,
        hi: null,
        score: null,
        p: null,
        threshold: rateCap,
        channel: 'device',
        reason: `more than ${rateCap} alerts in a minute; not told one by one: ${keys.join(', ')}${more}`,
        model: '',
        suppressed: count,
      };
    },
    remember() {
      const text = JSON.stringify(folded);
      if (text !== (store.get(KEY)?.toString() ?? nothingText)) store.put(KEY, text);
    },
  };
}
