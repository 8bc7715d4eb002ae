/** Streams that are neither forecast nor judged for a while: someone works on the plant. Their readings are stored all the same. */
import type { Clock } from './clock.js';
import type { Store } from './store.js';

export interface Pause {
  /** Milliseconds UTC; null until it is resumed. */
  readonly until: number | null;
  readonly by: string;
}

export interface Pauses {
  /** Of this stream, or of all. */
  paused(stream: string): boolean;
  /** `stream` is undefined for all. */
  begin(stream: string | undefined, pause: Pause): void;
  /** False when there was none. */
  end(stream: string | undefined): boolean;
  /** Those that last, by stream; `*` for all. */
  all(): Readonly<Record<string, Pause>>;
}

const KEY = 'pauses';
const ALL = '*';

export function createPauses(store: Store, clock: Clock): Pauses {
  const pauses = new Map(Object.entries(JSON.parse(store.get(KEY)?.toString() ?? '{}') as Record<string, Pause>));
  const save = (): void => store.write(() => store.put(KEY, JSON.stringify(Object.fromEntries(pauses))), 'full');
  const lasts = (stream: string): boolean => {
    const pause = pauses.get(stream);
    return pause !== undefined && (pause.until === null || clock.now() < pause.until);
  };
  return {
    paused: (stream) => pauses.size > 0 && (lasts(stream) || lasts(ALL)),
    begin(stream, pause) {
      pauses.set(stream ?? ALL, pause);
      save();
    },
    end(stream) {
      const lasted = lasts(stream ?? ALL);
      if (pauses.delete(stream ?? ALL)) save();
      return lasted;
    },
    all: () => Object.fromEntries([...pauses].filter(([stream]) => lasts(stream))),
  };
}
