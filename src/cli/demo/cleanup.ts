/** Whatever was started is stopped, last first, however the work ends. */

export interface Cleanup {
  /** Remembers how to stop something that has been started. */
  add(stop: () => unknown): void;
  /** Stops everything; a stop that fails does not keep the others from running. */
  run(): Promise<void>;
}

export function createCleanup(): Cleanup {
  const stops: (() => unknown)[] = [];
  return {
    add: (stop) => void stops.push(stop),
    run: async () => {
      for (let stop = stops.pop(); stop !== undefined; stop = stops.pop()) {
        try {
          await stop();
        } catch {
          // What cannot be stopped is already gone.
        }
      }
    },
  };
}
