/** Which sensors are there: by their readings, and by what their availability says. Silence is counted by the monotonic clock. */
import type { Clock } from './clock.js';
import type { RulesOf, StreamRules } from './reporting.js';

export interface Presence {
  /** Begins to wait for a stream; one that is known stays as it is. */
  expect(stream: string): void;
  /** A reading came. */
  heard(stream: string): void;
  /** Its availability says that it is there. False for a stream that nobody waits for. */
  present(stream: string): boolean;
  /** Its availability says that it is gone. */
  gone(stream: string): void;
  /** Why nobody can say any more how the stream is, on a grid of `cadenceMs`; undefined while one can. */
  lost(stream: string, cadenceMs: number): string | undefined;
  /** Streams without a sign of life for longer than their `max_silence`. */
  overdue(): readonly { readonly stream: string; readonly silentMs: number }[];
  /** Streams whose value holds by now, and when their availability last said that they are there (ms UTC, or -Infinity). */
  holding(): readonly { readonly stream: string; readonly presentMs: number }[];
}

interface Sign {
  readonly rules: StreamRules;
  /** Monotonic, of the newest sign of life. */
  seenMs: number;
  presentMs: number;
  gone: boolean;
}

/** A stream at a steady pace is given up after three steps, or so long. */
const MIN_SILENCE_MS = 60_000;

export function createPresence(clock: Clock, rulesOf: RulesOf): Presence {
  const signs = new Map<string, Sign>();

  function sign(stream: string): Sign {
    const known = signs.get(stream);
    if (known !== undefined) return known;
    const made = { rules: rulesOf(stream), seenMs: clock.monotonicMs(), presentMs: -Infinity, gone: false };
    signs.set(stream, made);
    return made;
  }
  const see = (of: Sign): void => void Object.assign(of, { seenMs: clock.monotonicMs(), gone: false });
  const silenceOf = ({ seenMs }: Sign): number => clock.monotonicMs() - seenMs;

  return {
    expect: (stream) => void sign(stream),
    heard: (stream) => see(sign(stream)),
    present(stream) {
      const known = signs.get(stream);
      if (known === undefined) return false;
      see(known);
      known.presentMs = clock.now();
      return true;
    },
    gone(stream) {
      const known = signs.get(stream);
      if (known !== undefined) known.gone = true;
    },
    lost(stream, cadenceMs) {
      const of = sign(stream);
      const { holdMs } = of.rules;
      if (of.gone && holdMs !== null) return 'its availability says that it is gone';
      const silentMs = silenceOf(of);
      return silentMs > (holdMs ?? Math.max(3 * cadenceMs, MIN_SILENCE_MS)) ? noReading(silentMs) : undefined;
    },
    overdue: () =>
      [...signs].flatMap(([stream, of]) => {
        const silentMs = silenceOf(of);
        return of.rules.maxSilenceMs !== null && silentMs > of.rules.maxSilenceMs ? [{ stream, silentMs }] : [];
      }),
    holding: () =>
      [...signs].flatMap(([stream, { rules, gone, presentMs }]) =>
        rules.holdMs !== null && !gone ? [{ stream, presentMs }] : [],
      ),
  };
}

export const noReading = (silentMs: number): string => `no reading for ${Math.round(silentMs / 1000)} s`;
