/**
 * What was refused, to be looked at (EDGE.md §17): the newest messages of each reason, in memory, since a flood of rubbish
 * must not wear a card out; and one line of the log for each reason and minute.
 */
import type { RejectionReason } from '../contracts/reason.js';
import type { Clock } from './clock.js';
import type { Ports } from './ports.js';

export interface Sample {
  /** When it was refused, milliseconds UTC. */
  readonly timeMs: number;
  readonly topic: string;
  /** The first 64 bytes, in printable ASCII; others as `\xff`. */
  readonly head: string;
  readonly sizeBytes: number;
}

export interface Quarantine {
  put(reason: RejectionReason, topic: string, payload: Uint8Array): void;
  /** By reason, oldest first: at most 100 of each. */
  samples(): Readonly<Partial<Record<RejectionReason, readonly Sample[]>>>;
}

const KEPT = 100;
const HEAD_BYTES = 64;
const TOPIC_LENGTH = 512;
const LINE_EVERY_MS = 60_000;

interface Reason {
  readonly samples: Sample[];
  /** Monotonic, of the newest line. */
  saidMs: number;
  /** Refused since then. */
  unsaid: number;
}

export function createQuarantine(clock: Clock, tell: Ports['tell']): Quarantine {
  const reasons = new Map<RejectionReason, Reason>();
  return {
    put(reason, topic, payload) {
      const of = reasons.get(reason) ?? { samples: [], saidMs: -Infinity, unsaid: 0 };
      reasons.set(reason, of);
      const sample = {
        timeMs: clock.now(),
        topic: topic.slice(0, TOPIC_LENGTH),
        head: escapeBytes(payload.subarray(0, HEAD_BYTES)),
        sizeBytes: payload.byteLength,
      };
      of.samples.push(sample);
      if (of.samples.length > KEPT) of.samples.shift();
      of.unsaid++;
      if (clock.monotonicMs() - of.saidMs < LINE_EVERY_MS) return;
      tell('rejected', {
        code: reason,
        topic: sample.topic,
        head: sample.head,
        bytes: sample.sizeBytes,
        count: of.unsaid,
      });
      Object.assign(of, { saidMs: clock.monotonicMs(), unsaid: 0 });
    },
    samples: () => Object.fromEntries([...reasons].map(([reason, { samples }]) => [reason, [...samples]])),
  };
}

/** One line, whatever the bytes are. */
export function escapeBytes(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes)
    text += byte >= 0x20 && byte < 0x7f && byte !== 0x5c ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`; // prettier-ignore
  return text;
}
