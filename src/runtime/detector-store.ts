/** The detectors of a device and their traces in the database: what was watched, and what was learned. */
import type { DeviceConfig } from '../contracts/config.js';
import type { Watch } from './anomaly.js';
import { createDetector, detectorName } from './detector.js';
import type { Detector, DetectorMemory } from './detector.js';
import type { RulesOf } from './reporting.js';
import type { Store } from './store.js';

/** What was learned is stored every so many buckets; a kill loses at most these, an alert's state never. */
const MEMORY_STEPS = 50;

/** A detector is continued as long as its streams, cadence and mode stay. */
interface StoredDetector<T> {
  readonly identity: string;
  readonly value: T;
}

const identityOf = ({ settings: { streams, cadenceMs, mode } }: Pick<Detector, 'settings'>): string =>
  JSON.stringify([streams, cadenceMs, mode]);

export function openDetectors(
  config: DeviceConfig,
  store: Store,
  newId: () => string,
  rulesOf: RulesOf,
): Map<string, Detector> {
  return new Map(
    Object.entries(config.detectors).map(([name, settings]) => {
      const read = <T>(key: string): T | undefined => {
        const text = store.get(`detector/${name}/${key}`);
        const stored = text && (JSON.parse(text.toString()) as StoredDetector<T>);
        return stored?.identity === identityOf({ settings }) ? stored.value : undefined;
      };
      const [watch, memory] = [read<Watch>('watch'), read<DetectorMemory>('memory')];
      const subject = {
        key: `${config.device}/${name}/anomaly`,
        stream: name,
        detector: detectorName(settings),
        model: '',
        newId,
      };
      const unit = config.streams[settings.streams[0]!]?.unit ?? null;
      const before = { ...(watch && { watch }), ...(memory && { memory }) };
      return [name, createDetector(settings, subject, unit, before, (stream) => rulesOf(stream).holdMs)];
    }),
  );
}

const stepsSinceMemory = new WeakMap<Detector, number>();

/** Call inside `store.write`, after `steps` buckets were judged; `whole` stores what was learned in any case. */
export function storeDetector(store: Store, detector: Detector, steps: number, whole = false): void {
  const put = (key: string, value: unknown): void =>
    store.put(`detector/${detector.subject.stream}/${key}`, JSON.stringify({ identity: identityOf(detector), value }));
  put('watch', detector.watch);
  const since = (stepsSinceMemory.get(detector) ?? 0) + steps;
  stepsSinceMemory.set(detector, whole || since >= MEMORY_STEPS ? 0 : since);
  if (whole || since >= MEMORY_STEPS) put('memory', detector.save());
}
