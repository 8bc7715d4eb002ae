/** The newest readings of a stream, enough to know a repeated one by: 16 bytes each, so that a hundred streams are few megabytes. */

export interface Remembered {
  /** The value at this time: undefined for a missing one, null when the time is not remembered. */
  find(timeMs: number): number | undefined | null;
  /** Replaces the value of a time that is remembered; the oldest gives way. */
  put(timeMs: number, value: number | undefined): void;
}

const FIRST_SIZE = 32;

export function createRemembered(capacity: number): Remembered {
  let times = new Float64Array(Math.min(FIRST_SIZE, capacity));
  let values = new Float64Array(times.length);
  let count = 0;
  let next = 0;
  let newestMs = -Infinity;

  /** Nearly all that is looked for is new, or was the last to come. */
  function indexOf(timeMs: number): number {
    if (timeMs > newestMs) return -1;
    for (let i = 1; i <= count; i++) {
      const at = (next - i + times.length) % times.length;
      if (times[at] === timeMs) return at;
    }
    return -1;
  }

  function grow(): void {
    const size = Math.min(capacity, 2 * times.length);
    const [olderTimes, olderValues] = [times, values];
    times = new Float64Array(size);
    values = new Float64Array(size);
    times.set(olderTimes);
    values.set(olderValues);
  }

  return {
    find(timeMs) {
      const at = indexOf(timeMs);
      if (at < 0) return null;
      return Number.isNaN(values[at]!) ? undefined : values[at];
    },
    put(timeMs, value) {
      const known = indexOf(timeMs);
      if (known < 0 && count === times.length && count < capacity) {
        grow();
        next = count;
      }
      const at = known < 0 ? next : known;
      times[at] = timeMs;
      values[at] = value ?? NaN;
      if (known >= 0) return;
      next = (next + 1) % times.length;
      count = Math.min(count + 1, times.length);
      newestMs = Math.max(newestMs, timeMs);
    },
  };
}
