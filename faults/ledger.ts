/** Which readings a device owes: what it has acknowledged, and what a broker that kept its memory has taken for it. */

export interface Ledger {
  /** The broker has taken it. */
  taken(stream: string, timeMs: number): void;
  /** The device has acknowledged it. */
  acknowledged(stream: string, timeMs: number): void;
  /** The broker has lost its memory: nobody owes what only the broker had. */
  forget(): void;
  /** Taken, and not yet acknowledged. */
  readonly waiting: number;
  readonly owed: ReadonlyMap<string, ReadonlyMap<number, boolean>>;
}

export function createLedger(): Ledger {
  /** Time of the reading -> the device has acknowledged it. */
  const owed = new Map<string, Map<number, boolean>>();
  const waiting = new Map<string, Set<number>>();
  const inside = <T>(map: Map<string, T>, stream: string, empty: () => T): T => {
    if (!map.has(stream)) map.set(stream, empty());
    return map.get(stream)!;
  };
  const owedOf = (stream: string) => inside(owed, stream, () => new Map<number, boolean>());
  const waitingOf = (stream: string) => inside(waiting, stream, () => new Set<number>());
  return {
    owed,
    taken(stream, timeMs) {
      if (owedOf(stream).has(timeMs)) return; // the second copy of a doubled one, or the device was faster
      owedOf(stream).set(timeMs, false);
      waitingOf(stream).add(timeMs);
    },
    acknowledged(stream, timeMs) {
      owedOf(stream).set(timeMs, true);
      waitingOf(stream).delete(timeMs);
    },
    forget() {
      for (const [stream, times] of waiting) {
        for (const timeMs of times) owedOf(stream).delete(timeMs);
        times.clear();
      }
    },
    get waiting() {
      return [...waiting.values()].reduce((sum, { size }) => sum + size, 0);
    },
  };
}
