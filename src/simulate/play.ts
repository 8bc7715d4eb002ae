/** Sends what sensors say at the right moments. */

export interface PlayOptions<T> {
  /** Milliseconds of the recording in a millisecond; `Infinity` for as fast as messages are taken. */
  readonly speed: number;
  /** Resolves when the message is taken. Never rejects. */
  readonly send: (message: T) => Promise<unknown>;
  /** Ends it before the next message. */
  readonly signal: AbortSignal;
  /** Hears of each message when it leaves. */
  readonly onSent?: (message: T) => void;
  /** Holds back the next message while it is not resolved. */
  readonly ready?: (message: T) => Promise<void>;
}

const IN_FLIGHT = 64;

/** Resolves when all has been taken, or soon after the signal aborts. */
export async function play<T extends { readonly atMs: number }>(
  messages: Iterable<T>,
  { speed, send, signal, onSent, ready }: PlayOptions<T>,
): Promise<void> {
  const inFlight: Promise<unknown>[] = [];
  const began = performance.now();
  let firstMs: number | undefined;
  for (const message of messages) {
    firstMs ??= message.atMs;
    await until(began + (message.atMs - firstMs) / speed, signal);
    await ready?.(message);
    if (signal.aborted) break;
    inFlight.push(send(message));
    onSent?.(message);
    if (inFlight.length >= IN_FLIGHT) await inFlight.shift();
  }
  await Promise.all(inFlight);
}

/** Until a moment of `performance.now()`; timers take no more than 24 days. */
async function until(moment: number, signal: AbortSignal): Promise<void> {
  for (let left = moment - performance.now(); left > 0 && !signal.aborted; left = moment - performance.now())
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, Math.min(left, 60_000));
      signal.addEventListener('abort', done);
    });
}
