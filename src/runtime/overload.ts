/**
 * A stream that sends more than a device can be asked to take (EDGE.md §17). Each has an allowance that fills by the
 * second and holds some, so that what waited in a broker may come at once. A message beyond it waits, and gives way to the
 * next: of too many the newest wins.
 */
import type { Clock } from './clock.js';

export interface Overload<T> {
  /** What may be read now that this message came: it, what waited before it, or both in that order, or nothing. */
  take(stream: string, message: T): readonly T[];
  /** The messages whose time has come. */
  due(): readonly T[];
  /** All that wait, when the device stops. */
  drain(): readonly T[];
  /** Of the newest excess: the stream that was over its allowance, as long as that is no minute ago. */
  excess(): string | undefined;
}

/** An allowance holds so much: mosquitto keeps 1,000 messages for a device that was away. */
const HELD_SECONDS = 10;
const ENDS_AFTER_MS = 60_000;
/** Names come from outside. */
const STREAMS = 2000;

interface Allowance<T> {
  left: number;
  /** Monotonic, when `left` was worked out. */
  atMs: number;
  waiting: T | undefined;
}

/** `perSecond` of each stream; `drop` hears of every message that gave way. */
export function createOverload<T>(clock: Clock, perSecond: number, drop: (message: T) => void): Overload<T> {
  const full = HELD_SECONDS * perSecond;
  const allowances = new Map<string, Allowance<T>>();
  const waiting = new Map<string, Allowance<T>>();
  let last: { readonly stream: string; readonly atMs: number } | undefined;

  function fill(of: Allowance<T>): Allowance<T> {
    const nowMs = clock.monotonicMs();
    of.left = Math.min(full, of.left + ((nowMs - of.atMs) / 1000) * perSecond);
    of.atMs = nowMs;
    return of;
  }

  function allowanceOf(stream: string): Allowance<T> {
    const known = allowances.get(stream);
    if (known !== undefined) return fill(known);
    if (allowances.size >= STREAMS)
      for (const [name, of] of allowances) if (fill(of).left >= full) allowances.delete(name); // as new as a new one
    const made = { left: full, atMs: clock.monotonicMs(), waiting: undefined };
    allowances.set(stream, made);
    return made;
  }

  return {
    take(stream, message) {
      const of = allowanceOf(stream);
      const before = of.waiting;
      if (before === undefined && of.left >= 1) {
        of.left--;
        return [message];
      }
      last = { stream, atMs: of.atMs };
      const messages = before === undefined ? [message] : [before, message];
      const taken = messages.splice(0, Math.floor(of.left));
      of.left -= taken.length;
      of.waiting = messages.pop();
      messages.forEach(drop);
      if (of.waiting === undefined) waiting.delete(stream);
      else waiting.set(stream, of);
      return taken;
    },
    due() {
      const messages: T[] = [];
      for (const [stream, of] of waiting) {
        if (fill(of).left < 1) continue;
        of.left--;
        messages.push(of.waiting!);
        of.waiting = undefined;
        waiting.delete(stream);
      }
      return messages;
    },
    drain() {
      const messages = [...waiting.values()].map((of) => of.waiting!);
      for (const of of waiting.values()) of.waiting = undefined;
      waiting.clear();
      return messages;
    },
    excess: () => (last !== undefined && clock.monotonicMs() - last.atMs < ENDS_AFTER_MS ? last.stream : undefined),
  };
}
